package qcow2_test

import (
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
)

func TestCorpus(t *testing.T) {
	for _, f := range disktest.CorpusFiles(t, "qcow2") {
		t.Run(f.Name, func(t *testing.T) {
			img := openImage(t, f.Path, false)
			defer closeImage(t, img)
			if f.QemuSize != 0 && img.Size() != f.QemuSize {
				t.Errorf("%d bytes; qemu-img says %d", img.Size(), f.QemuSize)
			}
			blocks, err := disktest.BlockDigest(img)
			if err != nil || f.Digest.Blocks != "" && blocks != f.Digest.Blocks {
				t.Errorf("digest %s, %v; want %s", blocks, err, f.Digest.Blocks)
			}
			report, err := disk.Check(t.Context(), img)
			if err != nil {
				t.Fatal(err)
			}
			for _, finding := range report.Findings {
				t.Errorf("%s at %#x: %s", finding.Severity, finding.Offset, finding.Reason)
			}
		})
	}
}
