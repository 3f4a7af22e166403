package qcow1_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/qcow1"
)

// subject is the format with clusters of a size, "" for what it chooses itself.
func subject(cluster string, bytes int64) disktest.Subject {
	s := disktest.Subject{Format: qcow1.Format, FixedSize: true, Block: bytes}
	if cluster != "" {
		s.Options = map[string]string{"clusterSize": cluster}
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Run("default", func(t *testing.T) { disktest.Run(t, subject("", 4096)) })
	t.Run("512", func(t *testing.T) { disktest.Run(t, subject("512", 512)) })
	t.Run("64K", func(t *testing.T) { disktest.Run(t, subject("64K", 64<<10)) })
}

// What fails below an image is told, and nothing is lost by it.
func TestFaults(t *testing.T) {
	disktest.Faults(t, subject("", 4096))
	disktest.Faults(t, subject("64K", 64<<10))
}
