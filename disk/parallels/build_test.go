package parallels_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/parallels"
)

// hds builds an expanding image by hand: a header, a BAT, and in each place
// clusters that are filled with a letter.
type hds struct {
	old     bool   // WithoutFreeSpace
	tracks  uint32 // sectors a cluster; 0: 8
	sectors uint64 // of the disk; 0: as the BAT says
	dataOff uint32 // sectors; 0: one cluster, behind the header
	bat     []uint32
	letters string // content of the places from the data offset on
	inUse   uint32
	flags   uint32
	extOff  uint64
	tail    []byte
}

func (b hds) bytes() []byte {
	if b.tracks == 0 {
		b.tracks = 8
	}
	if b.sectors == 0 {
		b.sectors = uint64(len(b.bat)) * uint64(b.tracks)
	}
	if b.dataOff == 0 {
		b.dataOff = b.tracks
	}
	h := parallels.NewTestHeader(!b.old, b.tracks, uint32(len(b.bat)), b.sectors, b.dataOff)
	h.Mark(b.inUse, b.flags, b.extOff)
	p := h.Encode()
	for _, e := range b.bat {
		p = binary.LittleEndian.AppendUint32(p, e)
	}
	p = append(p, make([]byte, int(b.dataOff)*512-len(p))...)
	for _, letter := range []byte(b.letters) {
		p = append(p, bytes.Repeat([]byte{letter}, int(b.tracks)*512)...)
	}
	return append(p, b.tail...)
}

// letters is a disk's content, a letter for each 4 KiB; '.' is zeros and '?'
// anything else.
func letters(t *testing.T, img disk.Image) string {
	t.Helper()
	const unit = 4096
	p := make([]byte, img.Size())
	if n, err := img.ReadAt(p, 0); n != len(p) {
		t.Fatalf("read %d of %d bytes: %v", n, len(p), err)
	}
	var s strings.Builder
	for ; len(p) >= unit; p = p[unit:] {
		switch {
		case !bytes.Equal(p[:unit], bytes.Repeat(p[:1], unit)):
			s.WriteByte('?')
		case p[0] == 0:
			s.WriteByte('.')
		default:
			s.WriteByte(p[0])
		}
	}
	return s.String()
}

func openIn(fs disk.FS, name string, o disk.Options) (disk.Image, error) {
	o.FS, o.Formats = fs, []*disk.Format{parallels.Format}
	return disk.Open(name, o)
}

func mustOpen(t *testing.T, fs disk.FS, name string, o disk.Options) disk.Image {
	t.Helper()
	img, err := openIn(fs, name, o)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func mustClose(t *testing.T, img disk.Image) {
	t.Helper()
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
}

// alone is a file system with one image, a.hds.
func alone(b hds) *memfs.FS {
	fs := memfs.New()
	fs.Put("a.hds", b.bytes())
	return fs
}

// reasons are what a check found, with severities.
func reasons(t *testing.T, r disk.Report) string {
	t.Helper()
	var all []string
	for _, f := range r.Findings {
		all = append(all, fmt.Sprintf("%s at %d: %s", f.Severity, f.Offset, f.Reason))
	}
	return strings.Join(all, "\n")
}

func mustCheck(t *testing.T, img disk.Image) disk.Report {
	t.Helper()
	r, err := disk.Check(context.Background(), img)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
