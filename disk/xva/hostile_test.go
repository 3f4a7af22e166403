package xva_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
)

// contentOf is where the content of the n-th member of a name lies in an archive.
func contentOf(t *testing.T, p []byte, name string, n int) int64 {
	t.Helper()
	at := 0
	for ; ; n-- {
		i := bytes.Index(p[at:], append([]byte(name), 0))
		if i < 0 {
			t.Fatalf("there is no %s", name)
		}
		if at += i + 512; n == 0 {
			return int64(at)
		}
	}
}

// faults tell what is wrong with an archive, made by hand, and at which member.
var faults = map[string]struct {
	make   func(t *testing.T, x *export)
	member string // whose content is at the offset that the error names
	nth    int
	want   string
}{
	"a chunk twice": {func(t *testing.T, x *export) {
		x.chunk(t, "Ref:12/00000000", full('a'))
		x.chunk(t, "Ref:12/00000001", full('b'))
		x.chunk(t, "Ref:12/00000001", full('c'))
	}, "Ref:12/00000001", 1, "chunk Ref:12/00000001 comes after one of a number as large"},
	"out of order": {func(t *testing.T, x *export) {
		x.chunk(t, "Ref:12/00000000", full('a'))
		x.chunk(t, "Ref:12/00000002", full('c'))
		x.chunk(t, "Ref:12/00000001", full('b'))
	}, "Ref:12/00000001", 0, "chunk Ref:12/00000001 comes after one of a number as large or larger, 00000002"},
	"behind another disk": {func(t *testing.T, x *export) {
		x.chunk(t, "Ref:12/00000003", full('a'))
		x.chunk(t, "Ref:7/00000000", full('b'))
		x.chunk(t, "Ref:12/00000000", full('c'))
	}, "Ref:12/00000000", 0, "chunk Ref:12/00000000 comes after"},
	"wrong SHA-1": {func(t *testing.T, x *export) {
		x.add(t, "Ref:12/00000000", full('a'))
		x.add(t, "Ref:12/00000000.checksum", []byte(strings.Repeat("0", 40)))
	}, "Ref:12/00000000", 0, "chunk Ref:12/00000000 has the checksum "},
	"wrong XXH64": {func(t *testing.T, x *export) {
		x.add(t, "Ref:12/00000000", full('a'))
		x.add(t, "Ref:12/00000000.xxhash", []byte(strings.Repeat("0", 16)))
	}, "Ref:12/00000000", 0, "chunk Ref:12/00000000 has the xxhash "},
	"another kind's digest": {func(t *testing.T, x *export) {
		x.xxhash = true
		x.add(t, "Ref:12/00000000", full('a'))
		x.add(t, "Ref:12/00000000.checksum", []byte("0123456789ABCDEF"))
	}, "Ref:12/00000000", 0, "chunk Ref:12/00000000 has the checksum "},
	"an empty digest": {func(t *testing.T, x *export) {
		x.add(t, "Ref:12/00000000", full('a'))
		x.add(t, "Ref:12/00000000.xxhash", nil)
	}, "Ref:12/00000000", 0, `it should have ""`},
	"a long digest": {func(t *testing.T, x *export) {
		x.add(t, "Ref:12/00000000", full('a'))
		x.add(t, "Ref:12/00000000.checksum", bytes.Repeat([]byte("0"), 257))
	}, "Ref:12/00000000.checksum", 0, "the digest of chunk Ref:12/00000000 has 257 bytes"},
	"a long chunk": {func(t *testing.T, x *export) {
		x.add(t, "Ref:12/00000000", make([]byte, 2<<20))
	}, "Ref:12/00000000", 0, "has 2097152 bytes; up to 1048576 are read"},
	"a short chunk before another": {func(t *testing.T, x *export) {
		x.chunk(t, "Ref:12/00000000", full('a')[:mib/2])
		x.chunk(t, "Ref:12/00000001", full('b'))
	}, "Ref:12/00000001", 0, "chunk Ref:12/00000001 comes behind one of less than 1048576 bytes, 00000000"},
	"more chunks than the disk is long": {func(t *testing.T, x *export) {
		for i := range 9 {
			x.chunk(t, fmt.Sprintf("Ref:12/%08d", i), full('a'))
		}
	}, "Ref:12/00000008", 0, "chunk Ref:12/00000008, at 8388608 of the disk, lies behind the 8388608 bytes"},
	"a chunk far behind": {func(t *testing.T, x *export) {
		x.chunk(t, "Ref:12/00000000", full('a'))
		x.chunk(t, "Ref:12/00000007", full('b'))
		x.chunk(t, "Ref:12/99999999", full('c'))
	}, "Ref:12/99999999", 0, "chunk Ref:12/99999999, at "},
}

func full(c byte) []byte { return bytes.Repeat([]byte{c}, mib) }

func TestHostileArchivesAreToldByOffset(t *testing.T) {
	for name, c := range faults {
		for _, kind := range []string{"plain", "gzip", "zstd"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				x := newExport(t, ovaOf(map[string]int64{"Ref:12": 8 * mib}))
				c.make(t, x)
				plain := x.bytes(t, "plain")
				err := readAll(put(compressed(t, kind, plain)))
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("the error is %v", err)
				}
				at := contentOf(t, plain, c.member, c.nth)
				told := fmt.Sprintf("at offset %#x", at)
				if kind != "plain" && !errors.Is(err, errors.ErrUnsupported) {
					told += " of what it decompresses to"
				}
				if !strings.Contains(err.Error(), told) {
					t.Errorf("the error is %v; it should say %s", err, told)
				}
				if bad := (*disk.FormatError)(nil); kind == "plain" && errors.As(err, &bad) && bad.Offset != at {
					t.Errorf("the offset is %#x, not %#x", bad.Offset, at)
				}
			})
		}
	}
}

// A chunk that is left out is zero, but the first and the last are always
// there.
func TestMissingChunks(t *testing.T) {
	for name, c := range map[string]struct {
		chunks string // numbers
		want   string
	}{
		"the first":  {"123", "the first chunk is missing: they begin with 00000001"},
		"the last":   {"012", "the last chunk is missing: the chunks end at 3145728 of 4194304 bytes"},
		"one within": {"013", ""},
	} {
		for _, kind := range []string{"plain", "gzip"} {
			x := newExport(t, ovaOf(map[string]int64{"Ref:12": 4 * mib}))
			for _, n := range c.chunks {
				x.chunk(t, fmt.Sprintf("Ref:12/0000000%c", n), full('a'))
			}
			img := open(t, put(x.bytes(t, kind)), "vm.xva")
			r, err := disk.Check(context.Background(), img)
			if err != nil {
				t.Fatal(err)
			}
			found := ""
			for _, f := range r.Findings {
				if f.Severity != disk.Damage {
					t.Errorf("%s, %s: %+v", name, kind, f)
				}
				found += f.Reason
			}
			if (c.want == "") != (found == "") || !strings.Contains(found, c.want) {
				t.Errorf("%s, %s: found %q", name, kind, found)
			}
		}
	}
}

// Some programs fill the last chunk up with zeros; other content behind the end would be lost.
func TestTheLastChunkMayBeFilledUp(t *testing.T) {
	const size = mib + 700
	for _, kind := range []string{"plain", "gzip"} {
		for _, behind := range []byte{0, 'c'} {
			last := full(0)
			last[5], last[size-mib] = 'b', behind
			x := newExport(t, ovaOf(map[string]int64{"Ref:12": size}))
			x.chunk(t, "Ref:12/00000000", full('a'))
			x.chunk(t, "Ref:12/00000001", last)
			p := x.bytes(t, "plain")
			err := readAll(put(compressed(t, kind, p)))
			got, piped := forward(bytes.NewReader(p))
			for _, err := range []error{err, piped} {
				if (behind == 0) != (err == nil) || err != nil && !strings.Contains(err.Error(), "goes on behind the 1049276 bytes") {
					t.Errorf("%s, %q behind the end: %v", kind, behind, err)
				}
			}
			if disk := got["Ref:12"]; piped == nil && (len(disk) != size || disk[mib+5] != 'b') {
				t.Errorf("%d bytes came through the pipe", len(disk))
			}
		}
	}
}

// However an archive is cut, it is told where.
func TestCutArchives(t *testing.T) {
	x := newExport(t, ovaOf(map[string]int64{"Ref:12": 2 * mib}))
	x.chunk(t, "Ref:12/00000000", full('a'))
	x.chunk(t, "Ref:12/00000001", full('b'))
	plain := x.bytes(t, "plain")
	first, second := contentOf(t, plain, "Ref:12/00000000", 0), contentOf(t, plain, "Ref:12/00000001", 0)
	for _, kind := range []string{"plain", "gzip", "zstd"} {
		// In ova.xml, in the header of a chunk, in a chunk, behind one, in the last.
		for _, cut := range []int64{first - 700, first - 100, first + 1000, first + mib, second + 5000} {
			err := readAll(put(compressed(t, kind, plain[:cut])))
			if cut == first+mib { // ends between two members: not to be seen but by what is missing
				img := open(t, put(compressed(t, kind, plain[:cut])), "vm.xva")
				if r, err := disk.Check(context.Background(), img); err != nil || !strings.Contains(fmt.Sprint(r.Findings), "the last chunk is missing") {
					t.Errorf("%s cut at %d: %+v, %v", kind, cut, r.Findings, err)
				}
				continue
			}
			if bad := (*disk.FormatError)(nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), "offset") {
				t.Errorf("%s cut at %d: %v", kind, cut, err)
			}
		}
		whole := compressed(t, kind, plain)
		if err := readAll(put(whole[:len(whole)*2/5])); err == nil || !strings.Contains(err.Error(), "offset") {
			t.Errorf("%s, the file itself cut: %v", kind, err)
		}
	}
}

// endless is a tar archive that goes on: ova.xml, and then members of a kind.
func endless(t *testing.T, ova string, count int, member func(x *export, i int)) *export {
	t.Helper()
	x := newExport(t, ova)
	for i := range count {
		member(x, i)
	}
	return x
}

// A small file that becomes large takes no memory for that.
func TestBombs(t *testing.T) {
	chunk := func(size int) func(x *export, i int) {
		zero := make([]byte, size)
		return func(x *export, i int) { x.add(t, fmt.Sprintf("Ref:12/%08d", i), zero) }
	}
	for name, x := range map[string]*export{
		"large chunks":       endless(t, ovaOf(map[string]int64{"Ref:12": 1 << 40}), 256, chunk(mib)),
		"many chunks":        endless(t, ovaOf(map[string]int64{"Ref:12": 1 << 40}), 60_000, chunk(1)),
		"chunks of no bytes": endless(t, ovaOf(map[string]int64{"Ref:12": 1 << 40}), 60_000, chunk(0)),
		"no size":            endless(t, ovaOf(nil), 128, chunk(mib)),
		"many disks":         endless(t, ovaOf(nil), 20_000, func(x *export, i int) { x.add(t, fmt.Sprintf("Ref:%d/00000000", i), nil) }),
		"a large ova.xml":    endless(t, "<value>"+strings.Repeat("<value/>", 3<<20)+"</value>", 0, nil),
		"a deep ova.xml":     endless(t, strings.Repeat("<value>", 3<<20), 0, nil),
	} {
		plain := x.bytes(t, "plain")
		for _, kind := range []string{"gzip", "zstd"} {
			p := compressed(t, kind, plain)
			if got := allocated(func() {
				img, err := disk.Open("vm.xva", disk.Options{FS: put(p), Formats: formats, Format: "xva"})
				if err != nil {
					return
				}
				buffer := make([]byte, 4096)
				for _, off := range []int64{0, img.Size() / 2, max(0, img.Size()-4096)} {
					_, _ = img.ReadAt(buffer, off)
				}
				_, _ = disk.Check(context.Background(), img)
				_ = img.Close()
			}); got > 192<<20 {
				t.Errorf("%s, %s, %d bytes: %d MiB were allocated", name, kind, len(p), got>>20)
			}
		}
	}
}

// allocated is how much memory was asked for in all while something was done;
// most of it is given back before the next is taken.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestSmallBombsAreCheap(t *testing.T) {
	for _, kind := range []string{"gzip", "zstd"} {
		for name, ova := range map[string]string{
			"wide": "<value>" + strings.Repeat("<value/>", 40_000) + "</value>", "long": "<value>" + strings.Repeat(" ", 4<<20) + "</value>",
		} {
			x := newExport(t, ova)
			x.add(t, "Ref:12/00000000", make([]byte, mib))
			if err := disktest.Hostile(formats, x.bytes(t, kind)); err != nil {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
		}
	}
}
