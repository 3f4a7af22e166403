package vhd_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/vhd"
)

// What fails below an image is told, and nothing is lost by it.
func TestFaults(t *testing.T) {
	t.Run("dynamic", func(t *testing.T) { disktest.Faults(t, subject()) })
	t.Run("fixed", func(t *testing.T) {
		disktest.Faults(t, disktest.Subject{Format: vhd.Format, Variant: "fixed", Block: 64 << 10})
	})
}
