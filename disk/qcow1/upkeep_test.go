package qcow1_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
)

// What is done to images as a whole can be broken off.
func TestUpkeep(t *testing.T) {
	disktest.Upkeep(t, subject("", 4096), nil)
}
