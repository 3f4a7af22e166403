package vdi_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/vdi"
)

// small makes images of many blocks quick to test.
var small = map[string]string{"blockSize": "64K"}

func subject(variant string) disktest.Subject {
	return disktest.Subject{Format: vdi.Format, Variant: variant, Options: small, Block: 64 << 10}
}

func TestDynamic(t *testing.T) { disktest.Run(t, subject("dynamic")) }

func TestFixed(t *testing.T) { disktest.Run(t, subject("fixed")) }
