package vhdx

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
)

// What fails below an image is told, and nothing is lost by it.
func TestFaults(t *testing.T) {
	disktest.Faults(t, disktest.Subject{
		Format: Format, Variant: "dynamic", Options: map[string]string{optionBlock: "1M"}, Block: mib, Size: 2*mib + mib/2 + 512,
	})
}
