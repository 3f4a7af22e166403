package raw_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/raw"
)

// What fails below an image is told, and nothing is lost by it.
func TestFaults(t *testing.T) {
	disktest.Faults(t, disktest.Subject{Format: raw.Format, Variant: "plain", Align: 1, Unsigned: true, NoCheck: true})
}
