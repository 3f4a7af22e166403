package qcow2_test

import (
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/qcow2"
)

// What is done to images as a whole can be broken off.
func TestUpkeep(t *testing.T) {
	for _, o := range kinds {
		t.Run(label(o), func(t *testing.T) {
			format := qcow2.Format
			if o["dataFile"] != "" {
				format = parentless()
			}
			block, err := disk.ParseSize(o["clusterSize"])
			if err != nil {
				block = 64 << 10
			}
			disktest.Upkeep(t, disktest.Subject{Format: format, Options: o, Block: block, Rare: rare(o) || o["clusterSize"] == "2M"}, nil)
		})
	}
}
