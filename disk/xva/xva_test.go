package xva_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/tarfs"
	"github.com/panalvm/panal/disk/xva"
)

var formats = []*disk.Format{xva.Format}

const mib = 1 << 20

// export writes an XVA as xapi does.
type export struct {
	b       bytes.Buffer
	w       *tar.Writer
	xxhash  bool
	noSums  bool
	corrupt string // a chunk whose digest is made wrong
}

func newExport(t *testing.T, ova string) *export {
	t.Helper()
	x := &export{}
	x.w = tar.NewWriter(&x.b)
	x.add(t, "ova.xml", []byte(ova))
	return x
}

func (x *export) add(t *testing.T, name string, p []byte) {
	t.Helper()
	if err := x.w.WriteHeader(&tar.Header{Name: name, Size: int64(len(p)), Format: tar.FormatUSTAR}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.w.Write(p); err != nil {
		t.Fatal(err)
	}
}

func (x *export) chunk(t *testing.T, name string, p []byte) {
	t.Helper()
	x.add(t, name, p)
	if x.noSums {
		return
	}
	sum, kind := fmt.Sprintf("%x", sha1.Sum(p)), ".checksum"
	if x.xxhash {
		sum, kind = fmt.Sprintf("%016X", xxhash.Sum64(p)), ".xxhash"
	}
	if name == x.corrupt {
		sum = strings.Repeat("0", len(sum))
	}
	x.add(t, name+kind, []byte(sum))
}

// disk writes a disk; idle puts in a chunk of no bytes after every so many
// chunks of zeros.
func (x *export) disk(t *testing.T, ref string, content []byte, idle int) {
	t.Helper()
	number, quiet := 0, 0
	for off := 0; off < len(content); off += mib {
		p := content[off:min(off+mib, len(content))]
		last := off+mib >= len(content)
		if off > 0 && !last && bytes.Count(p, []byte{0}) == len(p) {
			if quiet++; idle > 0 && quiet%idle == 0 {
				x.chunk(t, fmt.Sprintf("%s/%08d", ref, number), nil)
				number++
			}
		} else {
			x.chunk(t, fmt.Sprintf("%s/%08d", ref, number), p)
		}
		number++
	}
}

func (x *export) bytes(t *testing.T, kind string) []byte {
	t.Helper()
	if err := x.w.Close(); err != nil {
		t.Fatal(err)
	}
	return compressed(t, kind, x.b.Bytes())
}

func compressed(t *testing.T, kind string, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch kind {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zstd":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	default:
		return p
	}
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// ovaOf is an ova.xml with disks, and a CD that is none.
func ovaOf(disks map[string]int64) string {
	object := func(class, id, snapshot string) string {
		return "<value><struct><member><name>class</name><value>" + class + "</value></member><member><name>id</name><value>" + id +
			"</value></member><member><name>snapshot</name><value><struct>" + snapshot + "</struct></value></member></struct></value>"
	}
	member := func(name, value string) string {
		return "<member><name>" + name + "</name><value>" + value + "</value></member>"
	}
	s := object("VDI", "Ref:99", member("virtual_size", "700000000")) +
		object("VBD", "Ref:98", member("type", "CD")+member("VDI", "Ref:99"))
	for _, ref := range []string{"Ref:12", "Ref:7"} {
		if size, ok := disks[ref]; ok {
			s += object("VDI", ref, member("name_label", "disk &amp; "+ref)+member("virtual_size", fmt.Sprint(size))+member("sm_config", "<struct></struct>"))
			s += object("VBD", ref+"0", member("type", "Disk")+member("VDI", ref))
		}
	}
	return "<value><struct><member><name>version</name><value><struct></struct></value></member><member><name>objects</name><value><array><data>" +
		s + "</data></array></value></member></struct></value>"
}

// someDisk is a content with rows of zero chunks, that ends within a chunk.
func someDisk(chunks int, seed byte) []byte {
	p := make([]byte, chunks*mib-300*1024)
	rng := rand.NewChaCha8([32]byte{seed})
	for i := range chunks {
		if i%7 < 2 || i == 12 {
			_, _ = rng.Read(p[i*mib : min((i+1)*mib-5000, len(p))])
		}
	}
	return p
}

func put(p []byte) *memfs.FS {
	m := memfs.New()
	m.Put("vm.xva", p)
	return m
}

func open(t *testing.T, fs disk.FS, name string) disk.Image {
	t.Helper()
	img, err := disk.Open(name, disk.Options{FS: fs, Formats: formats})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	return img
}

func same(t *testing.T, img disk.Image, want []byte) {
	t.Helper()
	have := make([]byte, len(want)+1)
	if n, err := img.ReadAt(have, 0); n != len(want) || err != io.EOF || !bytes.Equal(have[:n], want) {
		t.Fatalf("reading all gave %d of %d bytes, %v, the same: %v", n, len(want), err, bytes.Equal(have[:n], want))
	}
}

func TestDisksAreReadWhole(t *testing.T) {
	content := someDisk(40, 1)
	for _, kind := range []string{"plain", "gzip", "zstd"} {
		for name, change := range map[string]func(x *export){
			"SHA-1": func(*export) {}, "XXH64": func(x *export) { x.xxhash = true }, "no digests": func(x *export) { x.noSums = true },
		} {
			for _, idle := range []int{0, 2} {
				for _, size := range []int64{0, int64(len(content))} {
					t.Run(fmt.Sprintf("%s/%s/idle %d/size %d", kind, name, idle, size), func(t *testing.T) {
						x := newExport(t, ovaOf(map[string]int64{"Ref:12": size}))
						change(x)
						x.disk(t, "Ref:12", content, idle)
						img := open(t, put(x.bytes(t, kind)), "vm.xva")
						if i := disk.Describe(img); i.Variant != kind || i.Size != int64(len(content)) || i.Comment != "disk & Ref:12" {
							t.Errorf("described as %+v", i)
						}
						same(t, img, content)
						mapped(t, img, content)
						randomly(t, img, content)
						r, err := disk.Check(context.Background(), img)
						if _, found := r.Worst(); err != nil || found != (name == "no digests") {
							t.Errorf("check: %+v, %v", r.Findings, err)
						}
					})
				}
			}
		}
	}
}

// mapped compares the map with the content.
func mapped(t *testing.T, img disk.Image, content []byte) {
	t.Helper()
	data := int64(0)
	for e, err := range disk.Extents(t.Context(), img, 0, img.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		if p := content[e.Off:e.End()]; e.State == disk.Unallocated && bytes.Count(p, []byte{0}) != len(p) {
			t.Fatalf("there is data in [%d,+%d)", e.Off, e.Len)
		}
		if e.State == disk.Data {
			data += e.Len
		}
	}
	if data == 0 || data > int64(len(content)/2) {
		t.Errorf("%d of %d bytes are data", data, len(content))
	}
}

func randomly(t *testing.T, img disk.Image, content []byte) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		off := rng.IntN(len(content))
		p := make([]byte, min(rng.IntN(3*mib), len(content)-off))
		if _, err := img.ReadAt(p, int64(off)); err != nil || !bytes.Equal(p, content[off:off+len(p)]) {
			t.Fatalf("[%d,+%d): %v", off, len(p), err)
		}
	}
}

// counting counts what is read of a file.
type counting struct {
	disk.FS
	mu   sync.Mutex // guards read
	read int64
}

func (c *counting) Open(name string, write bool) (disk.File, error) {
	f, err := c.FS.Open(name, write)
	return countingFile{f, c}, err
}

type countingFile struct {
	disk.File
	c *counting
}

func (f countingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	f.c.read += int64(n)
	return n, err
}

func TestAscendingReadsAreOnePass(t *testing.T) {
	content := someDisk(160, 2)
	for i := range content { // more data than is cached
		if content[i] == 0 && i/mib%3 != 0 {
			content[i] = byte(i >> 8)
		}
	}
	x := newExport(t, ovaOf(map[string]int64{"Ref:12": int64(len(content))}))
	x.disk(t, "Ref:12", content, 0)
	p := x.bytes(t, "zstd")
	c := &counting{FS: put(p)}
	img := open(t, c, "vm.xva")
	piece := make([]byte, 300_000)
	for e, err := range disk.Extents(t.Context(), img, 0, img.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		for off := e.Off; off < e.End(); off += int64(len(piece)) {
			q := piece[:min(int64(len(piece)), e.End()-off)]
			if _, err := img.ReadAt(q, off); err != nil || !bytes.Equal(q, content[off:off+int64(len(q))]) {
				t.Fatalf("[%d,+%d): %v", off, len(q), err)
			}
		}
	}
	// The beginning is read more often: to recognise the file, for ova.xml.
	if limit := int64(len(p)) + 2*mib; c.read > limit {
		t.Errorf("%d bytes were read of a file of %d", c.read, len(p))
	}
	for range 2 { // the second time round again, a file is filled
		same(t, img, content)
	}
	before := c.read
	for _, off := range []int64{3 * mib, 150 * mib, 80 * mib, 40 * mib} {
		if _, err := img.ReadAt(piece, off); err != nil || !bytes.Equal(piece, content[off:off+int64(len(piece))]) {
			t.Fatalf("at %d: %v", off, err)
		}
	}
	if c.read != before {
		t.Errorf("%d more bytes were read of the archive, with all of it spooled", c.read-before)
	}
}

func TestOneOfSeveralDisksIsNamed(t *testing.T) {
	a, b := someDisk(3, 3), someDisk(5, 4)
	for _, kind := range []string{"plain", "gzip"} {
		for _, described := range []bool{true, false} {
			disks := map[string]int64{"Ref:12": int64(len(a)), "Ref:7": int64(len(b))}
			if !described {
				disks = nil
			}
			x := newExport(t, ovaOf(disks))
			x.disk(t, "Ref:12", a, 0)
			x.disk(t, "Ref:7", b, 0)
			fs := tarfs.Over(put(x.bytes(t, kind)))
			_, err := disk.Open("vm.xva", disk.Options{FS: fs, Formats: formats})
			var usage *disk.UsageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), "vm.xva/Ref:12, vm.xva/Ref:7") {
				t.Errorf("without a name: %v", err)
			}
			same(t, open(t, fs, "vm.xva/Ref:12"), a)
			same(t, open(t, fs, "vm.xva/Ref:7"), b)
			if _, err := disk.Open("vm.xva/Ref:8", disk.Options{FS: fs, Formats: formats}); !errors.As(err, &usage) {
				t.Errorf("a disk that is not there: %v", err)
			}
		}
	}
}

func TestAWrongDigestIsTold(t *testing.T) {
	content := someDisk(9, 5)
	for _, kind := range []string{"plain", "zstd"} {
		for _, xx := range []bool{false, true} {
			x := newExport(t, ovaOf(map[string]int64{"Ref:12": int64(len(content))}))
			x.xxhash, x.corrupt = xx, "Ref:12/00000001"
			x.disk(t, "Ref:12", content, 0)
			img := open(t, put(x.bytes(t, kind)), "vm.xva")
			var bad *disk.FormatError
			if _, err := img.ReadAt(make([]byte, 10), mib+5); !errors.As(err, &bad) || !strings.Contains(err.Error(), "Ref:12/00000001") {
				t.Errorf("%s: reading it: %v", kind, err)
			}
			p := make([]byte, mib)
			if _, err := img.ReadAt(p, 7*mib); err != nil || !bytes.Equal(p, content[7*mib:8*mib]) {
				t.Errorf("%s: reading another: %v", kind, err)
			}
			r, err := disk.Check(context.Background(), img)
			if worst, _ := r.Worst(); err != nil || worst != disk.Damage || len(r.Findings) != 1 {
				t.Errorf("%s: check: %+v, %v", kind, r.Findings, err)
			}
		}
	}
}

func TestBadArchivesAreRefused(t *testing.T) {
	content := someDisk(4, 6)
	good := func() *export {
		x := newExport(t, ovaOf(map[string]int64{"Ref:12": int64(len(content))}))
		x.disk(t, "Ref:12", content, 0)
		return x
	}
	whole := good().bytes(t, "plain")
	backwards := newExport(t, ovaOf(map[string]int64{"Ref:12": 5 * mib}))
	backwards.chunk(t, "Ref:12/00000003", make([]byte, mib))
	backwards.chunk(t, "Ref:12/00000002", make([]byte, mib))
	far := newExport(t, ovaOf(nil))
	far.chunk(t, "Ref:12/00000000", make([]byte, mib))
	far.chunk(t, "Ref:12/99999999999999", make([]byte, mib))
	empty := newExport(t, ovaOf(map[string]int64{"Ref:12": 5 * mib}))
	other := newExport(t, "<value>x</value>")
	for name, p := range map[string][]byte{
		"cut short": whole[:len(whole)-mib], "cut in a header": whole[:len(whole)-1024-512-300], "backwards": backwards.bytes(t, "plain"),
		"no chunk": empty.bytes(t, "plain"), "no disk": other.bytes(t, "plain"), "not XML": newExport(t, "<value><a").bytes(t, "plain"),
		"deep": newExport(t, strings.Repeat("<value>", 1000)).bytes(t, "plain"),
	} {
		for _, kind := range []string{"plain", "gzip", "zstd"} {
			err := readAll(put(compressed(t, kind, p)))
			var bad *disk.FormatError
			if !errors.As(err, &bad) {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
		}
	}
	if err := readAll(put(far.bytes(t, "plain"))); err != nil {
		t.Errorf("a number that is none: %v", err)
	}
	z := good().bytes(t, "zstd")
	if err := readAll(put(z[:len(z)-mib/2])); err == nil {
		t.Error("a stream that is cut short was read whole")
	}
}

func readAll(fs disk.FS) error {
	img, err := disk.Open("vm.xva", disk.Options{FS: fs, Formats: formats, Format: "xva"})
	if err != nil {
		return err
	}
	p := make([]byte, img.Size())
	_, err = img.ReadAt(p, 0)
	return errors.Join(err, img.Close())
}

func TestDisksAreListed(t *testing.T) {
	x := newExport(t, ovaOf(map[string]int64{"Ref:12": 100, "Ref:7": 200}))
	f, err := put(x.bytes(t, "gzip")).Open("vm.xva", false)
	if err != nil {
		t.Fatal(err)
	}
	have, err := xva.Disks(f)
	if want := "[{Ref:12 disk & Ref:12 100} {Ref:7 disk & Ref:7 200}]"; fmt.Sprint(have) != want || err != nil {
		t.Errorf("the disks are %v, %v", have, err)
	}
}

func FuzzOpen(f *testing.F) {
	var t testing.T
	for _, kind := range []string{"plain", "gzip", "zstd"} {
		x := newExport(&t, ovaOf(map[string]int64{"Ref:12": 2*mib + 952}))
		x.chunk(&t, "Ref:12/00000000", full('a'))
		x.chunk(&t, "Ref:12/00000002", bytes.Repeat([]byte("b"), 952))
		f.Add(x.bytes(&t, kind))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if err := disktest.Hostile(formats, p); err != nil {
			t.Fatal(err)
		}
	})
}
