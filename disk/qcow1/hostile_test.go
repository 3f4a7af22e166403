package qcow1_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/qcow1"
)

// Where the parts of an image built by hand lie: clusters of 512 bytes, L2 tables of
// 64 entries, one cluster plain and one compressed.
const (
	handL1, handL2, handPlain, handPacked = 48, 512, 1024, 1536
	handSize                              = 64 << 10
)

// hand is an image that is right.
func hand() []byte {
	be := binary.BigEndian
	p := make([]byte, 2048)
	be.PutUint32(p, 0x514649fb)
	be.PutUint32(p[4:], 1)
	be.PutUint64(p[24:], handSize)
	p[32], p[33] = 9, 6
	be.PutUint64(p[40:], handL1)
	be.PutUint64(p[handL1:], handL2)
	be.PutUint64(p[handL2:], handPlain)
	copy(p[handPlain:], bytes.Repeat([]byte("plain..."), 64))
	packed := deflated(bytes.Repeat([]byte{'z'}, 512))
	be.PutUint64(p[handL2+8:], 1<<63|uint64(len(packed))<<54|handPacked)
	copy(p[handPacked:], packed)
	return p
}

// deflated is a stream of one stored block.
func deflated(p []byte) []byte {
	p = p[:400] // and a run of the last byte, by the fixed code
	out := []byte{0, byte(len(p)), byte(len(p) >> 8), ^byte(len(p)), ^byte(len(p) >> 8)}
	out = append(out, p...)
	// 112 times a distance of 1: the length 112 is code 279 with 4 extra bits, 13 above 99.
	bits, n := uint64(0), 0
	put := func(v uint64, k int, msb bool) {
		for i := range k {
			b := v >> i & 1
			if msb {
				b = v >> (k - 1 - i) & 1
			}
			bits |= b << n
			n++
		}
	}
	put(1, 1, false) // the last block
	put(1, 2, false) // of the fixed code
	put(279-256, 7, true)
	put(112-99, 4, false)
	put(0, 5, true)
	put(0, 7, true)
	return append(out, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
}

func memOpen(p []byte, write bool) (disk.Image, error) {
	fs := memfs.New()
	fs.Put("hand.qcow", p)
	return disk.Open("hand.qcow", disk.Options{FS: fs, Formats: formats, Write: write, Format: "qcow"})
}

func TestBuiltByHand(t *testing.T) {
	img, err := memOpen(hand(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, img)
	want := make([]byte, handSize)
	copy(want, bytes.Repeat([]byte("plain..."), 64))
	copy(want[512:], bytes.Repeat([]byte{'z'}, 512))
	holds(t, img, want)
	copy(want[700:], "over")
	if _, err := img.(disk.Writer).WriteAt([]byte("over"), 700); err != nil {
		t.Fatal(err)
	}
	holds(t, img, want)
}

// What an image built by hand may be spoilt by, and what is said then.
var spoilt = []struct {
	name string
	at   int
	v    uint64 // 8 bytes
	open string // why it is not opened
	read string // why it is not read
	find string // what check finds
}{
	{name: "version", at: 0, v: 0x514649fb<<32 | 2, open: "version 2"},
	{name: "signature", at: 0, v: 1, open: "no QCOW signature"},
	{name: "cluster bits", at: 32, v: 8<<56 | 6<<48, open: "clusters of 2^8"},
	{name: "L2 bits", at: 32, v: 9<<56 | 14<<48, open: "2^14 entries"},
	{name: "encrypted", at: 32, v: 9<<56 | 6<<48 | 1, open: "encrypted"},
	{name: "encrypted unheard-of", at: 32, v: 9<<56 | 6<<48 | 2, open: "method 2"},
	{name: "size", at: 24, v: 1<<63 + 5, open: "a disk of 9223372036854775813"},
	{name: "large", at: 24, v: 1 << 40, open: "the L1 table"},
	{name: "L1 at 0", at: 40, v: 0, open: "the L1 table lies at"},
	{name: "L1 behind the end", at: 40, v: 1 << 40, open: "the L1 table"},
	{name: "name behind the end", at: 8, v: 4096, open: ""},
	{name: "L2 odd", at: handL1, v: 513, read: "no L2 table can be", find: "an L2 table at"},
	{name: "L2 behind the end", at: handL1, v: 1 << 30, read: "behind the end", find: "an L2 table at"},
	{name: "L2 nowhere", at: handL1, v: 1 << 63, read: "no L2 table can be", find: "an L2 table at"},
	{name: "L2 over a cluster", at: handL1, v: handPlain, find: "where none can be"},
	{name: "cluster behind the end", at: handL2, v: 1 << 30, find: "where none can be"},
	{name: "cluster in the header", at: handL2, v: 8, find: "where none can be"},
	{name: "cluster twice", at: handL2 + 16, v: handPlain, find: "overlaps"},
	{name: "cluster over a table", at: handL2, v: handL2, find: "overlaps"},
	{name: "packed over a cluster", at: handL2 + 8, v: 1<<63 | 100<<54 | handPlain, read: "deflate", find: "overlaps"},
	{name: "packed of nothing", at: handL2 + 8, v: 1<<63 | handPacked, read: "behind the end of the file"},
	{name: "packed behind the end", at: handL2 + 8, v: 1<<63 | 100<<54 | 1<<40, read: "behind the end", find: "where none can be"},
	{name: "packed cut", at: handL2 + 8, v: 1<<63 | 100<<54 | handPacked, read: "compressed to 100 bytes"},
}

func TestSpoilt(t *testing.T) {
	for _, s := range spoilt {
		t.Run(s.name, func(t *testing.T) {
			p := hand()
			binary.BigEndian.PutUint64(p[s.at:], s.v)
			if err := disktest.Hostile(formats, p); err != nil {
				t.Error(err)
			}
			img, err := memOpen(p, true)
			if s.open != "" || err != nil {
				expect(t, "opening", err, s.open)
				return
			}
			defer img.Close()
			_, err = img.ReadAt(make([]byte, handSize), 0)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			expect(t, "reading", err, s.read)
			report, err := disk.Check(t.Context(), img)
			if found := fmt.Sprint(report.Findings); err != nil || !strings.Contains(found, s.find) {
				t.Errorf("check finds %s, %v; want %q", found, err, s.find)
			}
			_, err = img.(disk.Writer).WriteAt(make([]byte, 10), 5000)
			if s.find != "" {
				expect(t, "writing", err, "can only be read")
			}
		})
	}
}

func expect(t *testing.T, what string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v; want %q", what, err, want)
	}
}

// A new name of the parent is there as a whole, or the old one is.
func TestParentsAreRenamedAtOnce(t *testing.T) {
	fs := memfs.New()
	base, err := disk.Create("base.qcow", disk.CreateOptions{FS: fs, Formats: formats, Format: "qcow", Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, base)
	img, err := disk.Create("img.qcow", disk.CreateOptions{FS: fs, Formats: formats, Format: "qcow", Parent: base, ParentName: "base.qcow"})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, img)
	other := strings.Repeat("other-", 150)
	rng, cuts := rand.New(rand.NewPCG(1, 1)), 0
	fs.OnOp = func(kind, _ string) {
		for range 20 {
			cuts++
			left, err := disk.Open("img.qcow", disk.Options{FS: fs.Crash(rng), Formats: formats, Alone: true})
			if err != nil {
				t.Fatal(err)
			}
			if name := disk.Describe(left).Parent.Name; name != "base.qcow" && name != other {
				t.Errorf("before a %s: the parent is called %q", kind, name)
			}
			closed(t, left)
		}
	}
	if err := img.(disk.Reparenter).SetParent(base, other, ""); err != nil {
		t.Fatal(err)
	}
	fs.OnOp = nil
	if cuts == 0 {
		t.Error("nothing was written")
	}
}

func FuzzOpen(f *testing.F) {
	fs := memfs.New()
	img, err := disk.Create("seed", disk.CreateOptions{FS: fs, Formats: formats, Format: "qcow", Size: 40000})
	if err == nil {
		_, err = img.(disk.Writer).WriteAt([]byte("some content"), 33000)
	}
	if err = errors.Join(err, img.Close()); err != nil {
		f.Fatal(err)
	}
	disktest.Fuzz(f, []*disk.Format{qcow1.Format}, hand(), fs.Bytes("seed"))
}
