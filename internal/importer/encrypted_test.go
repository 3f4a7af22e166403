package importer

import (
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/ovf"
)

// noise is what a wrong passphrase makes of content.
func noise(size int) string {
	var all []byte
	for block := sha256.Sum256([]byte("wrong")); len(all) < size; block = sha256.Sum256(block[:]) {
		all = append(all, block[:]...)
	}
	return string(all[:size])
}

func TestWhatAWrongPassphraseMakesIsNoDisk(t *testing.T) {
	qcow2 := "QFI\xfb\x00\x00\x00\x03" + strings.Repeat("\x00", 600)
	for name, c := range map[string]struct {
		format, content string
		taken           bool
	}{
		"noise for a format with a header":           {"qcow2", noise(4096), false},
		"noise that is no sectors, without a format": {"", noise(4091), false},
		"noise that is no sectors, for raw":          {"raw", noise(4091), false},
		"a disk":                                     {"qcow2", qcow2, true},
		"a disk whose format is not said":            {"", qcow2, true},
		"sectors of anything":                        {"raw", noise(4096), true},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := judged(appliance.Disk{File: "d", Format: c.format}, strings.NewReader(c.content))
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if taken := err == nil; taken != c.taken || !taken && !errors.Is(err, ovf.ErrPassphrase) {
				t.Errorf("taken %t, error %v; want taken %t", taken, err, c.taken)
			}
		})
	}
}
