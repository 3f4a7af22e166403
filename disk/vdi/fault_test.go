package vdi_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
)

// What fails below an image is told, and nothing is lost by it.
func TestFaults(t *testing.T) {
	for _, variant := range []string{"dynamic", "fixed"} {
		t.Run(variant, func(t *testing.T) { disktest.Faults(t, subject(variant)) })
	}
}
