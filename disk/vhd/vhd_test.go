package vhd_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/vhd"
)

// small makes images of many blocks quick to test.
var small = map[string]string{"blockSize": "64K"}

func subject() disktest.Subject {
	return disktest.Subject{Format: vhd.Format, Variant: "dynamic", Options: small, Block: 64 << 10}
}

func TestDynamic(t *testing.T) { disktest.Run(t, subject()) }

func TestFixed(t *testing.T) {
	disktest.Run(t, disktest.Subject{Format: vhd.Format, Variant: "fixed", Block: 64 << 10})
}

// Blocks so small that the table moves when the disk grows, and that tables,
// bitmaps and paths are as long as blocks.
func TestSmallBlocks(t *testing.T) {
	disktest.Run(t, disktest.Subject{Format: vhd.Format, Variant: "dynamic", Options: map[string]string{"blockSize": "4K"}, Block: 4 << 10, Size: 100<<12 + 512})
}
