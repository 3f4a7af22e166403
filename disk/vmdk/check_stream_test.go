package vmdk_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// markersOf are where the compressed grains of a stream of ours lie.
func markersOf(file []byte) []int {
	var all []int
	for at := 128 * 512; at+16 <= len(file); {
		size := int(binary.LittleEndian.Uint32(file[at+8:]))
		if size == 0 {
			break
		}
		all = append(all, at)
		at += (12 + size + 511) / 512 * 512
	}
	return all
}

func TestCheckDecodesTheGrainsOfStreams(t *testing.T) {
	file, _ := filledStream(t)
	grains := markersOf(file)
	if len(grains) < 5 {
		t.Fatalf("the stream has %d grains", len(grains))
	}
	for name, whole := range map[string]bool{"by its tables": true, "by its markers": false} {
		damaged := bytes.Clone(file)
		hit := []int{grains[1], grains[len(grains)-2]}
		for _, at := range hit {
			size := int(binary.LittleEndian.Uint32(damaged[at+8:]))
			damaged[at+12+size-1] ^= 1 // of the checksum: all decodes
		}
		if !whole {
			damaged = damaged[:len(damaged)-1024]
		}
		m := memfs.New()
		m.Put("a.vmdk", damaged)
		img := mustOpen(t, m, "a.vmdk", disk.Options{})
		report, err := disk.Check(context.Background(), img)
		if err != nil {
			t.Fatal(err)
		}
		var found []int
		for _, f := range report.Findings {
			if f.Severity == disk.Damage && strings.Contains(f.Reason, "cannot be decoded") {
				found = append(found, int(f.Offset))
			}
		}
		if len(found) != 2 || found[0] != hit[0] || found[1] != hit[1] {
			t.Errorf("%s: found damage at %v; it is at %v: %+v", name, found, hit, report.Findings)
		}
	}
	m := memfs.New()
	m.Put("a.vmdk", file)
	if report, err := disk.Check(context.Background(), mustOpen(t, m, "a.vmdk", disk.Options{})); err != nil || len(report.Findings) > 0 {
		t.Errorf("the whole stream: %+v, %v", report, err)
	}
}
