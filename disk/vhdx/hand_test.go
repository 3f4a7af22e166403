package vhdx

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// hand is a file that is put together by offsets alone, so that it shares no
// mistake with what writes images.
type hand []byte

func (h hand) put(off int64, v any) {
	b := &bytes.Buffer{}
	if err := binary.Write(b, binary.LittleEndian, v); err != nil {
		panic(err)
	}
	copy(h[off:], b.Bytes())
}

func (h hand) guid(off int64, text string) {
	g, err := parseGUID(text)
	if err != nil {
		panic(err)
	}
	copy(h[off:], g[:])
}

// seal computes the checksums of headers and region tables.
func (h hand) seal() hand {
	for off, n := range map[int64]int64{65536: 4096, 131072: 4096, 196608: 65536, 262144: 65536} {
		h.put(off+4, uint32(0))
		h.put(off+4, sum(h[off:off+n], 4))
	}
	return h
}

const (
	handBAT    = 3 << 20
	handBlocks = 4 << 20
	handWrite  = "11111111-2222-4333-8444-555555555555" // the data write GUID
)

// handBuilt is an image of blocks of 1 MiB with room for so many; its
// table is empty.
func handBuilt(blocks, sector int64, locator []byte) hand {
	h := make(hand, handBlocks+blocks<<20)
	copy(h, "vhdxfile")
	for i, off := range []int64{65536, 131072} {
		copy(h[off:], "head")
		h.put(off+8, uint64(7+i))
		h.guid(off+16, "99999999-2222-4333-8444-555555555555")
		h.guid(off+32, handWrite)
		h.put(off+66, uint16(1))
		h.put(off+68, uint32(1<<20))
		h.put(off+72, uint64(1<<20))
	}
	for _, off := range []int64{196608, 262144} {
		copy(h[off:], "regi")
		h.put(off+8, uint32(2))
		h.guid(off+16, "2DC27766-F623-4200-9D64-115E9BFD4A08")
		h.put(off+32, []uint64{handBAT, 1<<32 | 1<<20})
		h.guid(off+48, "8B7CA206-4790-4B9A-B8FE-575F050F886E")
		h.put(off+64, []uint64{2 << 20, 1<<32 | 1<<20})
	}
	const meta = 2 << 20
	copy(h[meta:], "metadata")
	h.put(meta+10, uint16(5))
	item := func(i int64, id string, at, n, flags uint32, v any) {
		h.guid(meta+32+32*i, id)
		h.put(meta+32+32*i+16, []uint32{at, n, flags})
		h.put(meta+int64(at), v)
	}
	parameters := []uint32{1 << 20, 0}
	if locator != nil {
		parameters[1] = 2
		h.put(meta+10, uint16(6))
		item(5, "A8D35F2D-B30B-454D-ABF7-D3D84834AB0C", 65600, uint32(len(locator)), 4, locator)
	}
	item(0, "CAA16737-FA36-4D43-B3B6-33F0AA44E76B", 65536, 8, 4, parameters)
	item(1, "2FA54224-CD1B-4876-B211-5DBED83BF4B8", 65544, 8, 6, uint64(blocks<<20))
	item(2, "BECA12AB-B2E6-4523-93EF-C309E000C746", 65552, 16, 6, make([]byte, 16))
	item(3, "8141BF1D-A96F-4709-BA47-F233A8FAAB5F", 65568, 4, 6, uint32(sector))
	item(4, "CDA348C7-445D-4471-9CC9-E9885251C556", 65572, 4, 6, uint32(4096))
	return h.seal()
}

// handLocator is a parent locator.
func handLocator(pairs ...string) []byte {
	h := make(hand, 20+6*len(pairs), 4096)
	h.guid(0, "B04AEFB7-D19E-4A81-B789-25B8E9445913")
	h.put(18, uint16(len(pairs)/2))
	for i, text := range pairs {
		text16 := toUTF16(text)
		h.put(20+12*int64(i/2)+4*int64(i%2), uint32(len(h)))
		h.put(20+12*int64(i/2)+8+2*int64(i%2), uint16(len(text16)))
		h = append(h, text16...)
	}
	return h
}

// entry sets an entry of the table.
func (h hand) entry(index int64, state int, host int64) {
	h.put(handBAT+8*index, uint64(state)|uint64(host))
}

// opened opens an image of a file system in memory.
func opened(t *testing.T, mem *memfs.FS, name string, write bool) (disk.Image, error) {
	t.Helper()
	img, err := disk.Open(name, disk.Options{FS: mem, Formats: formats(), Write: write})
	if err == nil {
		t.Cleanup(func() { img.Close() })
	}
	return img, err
}

func TestEveryBlockState(t *testing.T) {
	h := handBuilt(8, 512, nil)
	want := make([]byte, 8<<20)
	for i, state := range []int{0, 1, 2, 3, 5, 6, 6, 0} {
		host := int64(handBlocks + (7-i)<<20) // backwards, so that none adjoin
		for k := range h[host : host+1<<20] {
			h[host+int64(k)] = byte(i + 1)
		}
		if h.entry(int64(i), state, host); state == 6 {
			copy(want[i<<20:(i+1)<<20], h[host:])
		}
	}
	mem := memfs.New()
	mem.Put("a.vhdx", h)
	img, err := opened(t, mem, "a.vhdx", false)
	if err != nil {
		t.Fatal(err)
	}
	same(t, img, want)
	states := []disk.State{disk.Unallocated, disk.Zeroed, disk.Zeroed, disk.Zeroed, disk.Zeroed, disk.Data, disk.Data, disk.Unallocated}
	for i, state := range states {
		if x, err := disk.MapAt(img, int64(i)<<20, 1<<20); err != nil || x.State != state {
			t.Errorf("block %d is mapped as %v (%v), want %v", i, x, err, state)
		}
	}
}

// child is a differencing image: of block 0 it has the sectors of which a bit
// is set in its bitmap, block 1 is all its own, block 2 is zero, the others are the parent's.
func child(sector int64, pairs ...string) hand {
	h := handBuilt(4, sector, handLocator(pairs...))
	ratio := (int64(1) << 23) * sector >> 20
	h.entry(0, 7, handBlocks)
	h.entry(1, 6, handBlocks+1<<20)
	h.entry(2, 2, 0)
	h.entry(ratio, 6, handBlocks+2<<20)
	for k := range int64(2 << 20) {
		h[handBlocks+k] = 'c'
	}
	h[handBlocks+2<<20] = 0b0000_1001 // sectors 0 and 3
	h[handBlocks+2<<20+1] = 0xff      // sectors 8 to 15
	return h
}

// childView is what a guest reads of child over a parent that is all 'p'.
func childView(sector int64) []byte {
	want := bytes.Repeat([]byte{'p'}, 4<<20)
	for _, s := range []int64{0, 3, 8, 9, 10, 11, 12, 13, 14, 15} {
		copy(want[s*sector:], bytes.Repeat([]byte{'c'}, int(sector)))
	}
	copy(want[1<<20:], bytes.Repeat([]byte{'c'}, 1<<20))
	clear(want[2<<20 : 3<<20])
	return want
}

// parent is an image that is all 'p'.
func parent(sector int64) hand {
	h := handBuilt(4, sector, nil)
	for b := range int64(4) {
		h.entry(b, 6, handBlocks+b<<20)
	}
	for k := range int64(4 << 20) {
		h[handBlocks+k] = 'p'
	}
	return h
}

func TestDifferencing(t *testing.T) {
	link := "{" + strings.ToUpper(handWrite) + "}"
	for name, c := range map[string]struct {
		place string
		pairs []string
	}{
		"relative":     {"dir/p.vhdx", []string{"parent_linkage", link, "relative_path", `.\p.vhdx`}},
		"above":        {"p.vhdx", []string{"relative_path", `..\p.vhdx`, "parent_linkage", link}},
		"absolute":     {"/vms/p.vhdx", []string{"parent_linkage", link, "absolute_win32_path", `\\?\C:\vms\p.vhdx`}},
		"volume":       {"/vms/p.vhdx", []string{"parent_linkage", link, "volume_path", `\\?\Volume{11111111-2222-4333-8444-555555555555}\vms\p.vhdx`}},
		"sibling":      {"dir/renamed.vhdx", []string{"parent_linkage", link, "relative_path", `.\gone.vhdx`}},
		"second":       {"dir/p.vhdx", []string{"parent_linkage", "{00000000-0000-0000-0000-000000000001}", "parent_linkage2", link, "relative_path", "p.vhdx"}},
		"4096 sectors": {"dir/p.vhdx", []string{"parent_linkage", link, "relative_path", "p.vhdx"}},
	} {
		t.Run(name, func(t *testing.T) {
			sector := int64(512)
			if strings.HasPrefix(name, "4096") {
				sector = 4096
			}
			mem := memfs.New()
			mem.Put("dir/c.vhdx", child(sector, c.pairs...))
			mem.Put(c.place, parent(sector))
			img, err := opened(t, mem, "dir/c.vhdx", true)
			if err != nil {
				t.Fatal(err)
			}
			want := childView(sector)
			same(t, img, want)
			sound(t, img, disk.Leak)
			for _, at := range []int64{700, 3<<20 + 100, 1<<20 - 50} { // of a sector, of a block, over a border
				copy(want[at:], "written")
				if _, err := img.(disk.Writer).WriteAt([]byte("written"), at); err != nil {
					t.Fatal(err)
				}
			}
			same(t, img, want)
			if err := img.Close(); err != nil {
				t.Fatal(err)
			}
			if img, err = opened(t, mem, "dir/c.vhdx", false); err != nil {
				t.Fatal(err)
			}
			same(t, img, want)
			sound(t, img, disk.Leak)
		})
	}
}

func TestAWrongParentIsRefused(t *testing.T) {
	link := "{" + handWrite + "}"
	mem := memfs.New()
	mem.Put("c.vhdx", child(512, "parent_linkage", link, "relative_path", "p.vhdx"))
	if _, err := opened(t, mem, "c.vhdx", false); !errors.Is(err, disk.ErrNoParent) {
		t.Errorf("without its parent: %v", err)
	}
	mem.Put("p.vhdx", parent(512))
	base, err := opened(t, mem, "p.vhdx", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := base.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := opened(t, mem, "c.vhdx", false); err != nil {
		t.Errorf("its parent was opened for writing and not written to: %v", err)
	}
	if base, err = opened(t, mem, "p.vhdx", true); err != nil {
		t.Fatal(err)
	}
	if _, err := base.(disk.Writer).WriteAt([]byte("changed"), 12345); err != nil {
		t.Fatal(err)
	}
	if err := base.Close(); err != nil {
		t.Fatal(err)
	}
	// Hyper-V writes an absolute path as well, which leads nowhere elsewhere.
	mem.Put("two.vhdx", child(512, "parent_linkage", link, "relative_path", "p.vhdx", "absolute_win32_path", `C:\Disks\gone.vhdx`))
	for _, name := range []string{"c.vhdx", "two.vhdx"} {
		if _, err := opened(t, mem, name, false); !errors.Is(err, disk.ErrWrongParent) || errors.Is(err, disk.ErrNoParent) {
			t.Errorf("%s: its parent was written to: %v", name, err)
		}
	}
	// A file beside it that is another image is not its parent.
	mem.Put("lost.vhdx", child(512, "parent_linkage", link, "relative_path", "gone.vhdx"))
	if _, err := opened(t, mem, "lost.vhdx", false); !errors.Is(err, disk.ErrNoParent) || errors.Is(err, disk.ErrWrongParent) {
		t.Errorf("its parent is gone: %v", err)
	}
}

func TestADiskHasASector(t *testing.T) {
	for _, kind := range []string{"vhdx:dynamic", "vhdx:fixed"} {
		o := disk.CreateOptions{FS: memfs.New(), Formats: formats(), Format: kind}
		var usage *disk.UsageError
		if _, err := disk.Create("a.vhdx", o); !errors.As(err, &usage) {
			t.Errorf("%s of no bytes: %v", kind, err)
		}
		if _, err := disk.NewStream(io.Discard, o); !errors.As(err, &usage) {
			t.Errorf("%s of no bytes, to a pipe: %v", kind, err)
		}
		o.Size = mib
		img, err := disk.Create("a.vhdx", o)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int64{0, -512} {
			if err := disk.Resize(img, size); !errors.As(err, &usage) {
				t.Errorf("%s resized to %d bytes: %v", kind, size, err)
			}
		}
		if err := img.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRepair(t *testing.T) {
	whole := func(change func(h hand)) hand {
		h := parent(512)
		change(h)
		return h
	}
	for name, c := range map[string]struct {
		file   hand
		reason string
		worst  disk.Severity
		intact []int // blocks that hold what they did
	}{
		"torn header":       {whole(func(h hand) { h[131072+9]++ }), "header 2", disk.Note, []int{0, 1, 2, 3}},
		"torn regions":      {whole(func(h hand) { h[196608+17]++ }), "region table 1", disk.Damage, []int{0, 1, 2, 3}},
		"beyond the end":    {whole(func(h hand) { h.entry(2, 6, 64<<20) }), "beyond the end", disk.Damage, []int{0, 1, 3}},
		"in the tables":     {whole(func(h hand) { h.entry(2, 6, 2<<20) }), "own tables", disk.Damage, []int{0, 1, 3}},
		"unknown state":     {whole(func(h hand) { h.entry(1, 4, handBlocks) }), "state 4", disk.Damage, []int{0, 2, 3}},
		"shared":            {whole(func(h hand) { h.entry(1, 6, handBlocks) }), "shares its place", disk.Damage, []int{0, 2, 3}},
		"partly of nothing": {whole(func(h hand) { h.entry(1, 7, handBlocks+1<<20) }), "has none", disk.Damage, []int{0, 1, 2, 3}},
		"reserved bits":     {whole(func(h hand) { h.entry(1, 6, handBlocks+1<<20|1<<5) }), "reserved", disk.Note, []int{0, 1, 2, 3}},
		"leak":              {whole(func(h hand) { h.entry(1, 0, 0) }), "nothing uses", disk.Leak, []int{0, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			mem := memfs.New()
			mem.Put("a.vhdx", c.file)
			img, err := opened(t, mem, "a.vhdx", true)
			if err != nil {
				t.Fatal(err)
			}
			report, err := disk.Check(context.Background(), img)
			if err != nil || len(report.Findings) == 0 || !strings.Contains(report.Findings[0].Reason, c.reason) {
				t.Fatalf("check found %+v (%v), not %q", report.Findings, err, c.reason)
			}
			if worst, _ := report.Worst(); worst != c.worst {
				t.Errorf("the worst is %v, want %v", worst, c.worst)
			}
			if mended, err := disk.Repair(context.Background(), img); err != nil || len(mended.Findings) == 0 {
				t.Fatalf("repair mended %+v (%v)", mended.Findings, err)
			}
			if err := img.Close(); err != nil {
				t.Fatal(err)
			}
			if img, err = opened(t, mem, "a.vhdx", true); err != nil {
				t.Fatal(err)
			}
			sound(t, img, disk.Leak)
			// What was lost may be looked for in the file, until it is repaired again.
			if lost := slices.Sorted(maps.Keys(heldBy(c.file))); !slices.Equal(slices.Sorted(maps.Keys(heldBy(mem.Bytes("a.vhdx")))), lost) != (c.worst == disk.Leak) {
				t.Errorf("the places with data were %v", lost)
			}
			if _, err := disk.Repair(context.Background(), img); err != nil {
				t.Fatal(err)
			}
			sound(t, img, disk.Note)
			for _, b := range c.intact {
				p := make([]byte, 1<<20)
				if _, err := img.ReadAt(p, int64(b)<<20); err != nil || !bytes.Equal(p, bytes.Repeat([]byte{'p'}, 1<<20)) {
					t.Errorf("block %d does not hold what it did (%v)", b, err)
				}
			}
		})
	}
}

// heldBy are the places for blocks that hold anything.
func heldBy(h hand) map[int64]bool {
	places := map[int64]bool{}
	for b := range int64(4) {
		if !bytes.Equal(h[handBlocks+b<<20:handBlocks+(b+1)<<20], make([]byte, 1<<20)) {
			places[b] = true
		}
	}
	return places
}

func TestRefused(t *testing.T) {
	const meta = 2 << 20
	for name, c := range map[string]struct {
		change      func(h hand)
		unsupported bool
		reason      string
	}{
		"version":            {func(h hand) { h.put(65536+66, uint16(2)); h.put(131072+66, uint16(2)) }, true, "version 2"},
		"log beyond the end": {func(h hand) { h.put(65536+72, uint64(1<<40)); h.put(131072+72, uint64(1<<40)) }, false, "goes beyond the end"},
		"required region": {func(h hand) {
			h.put(196608+8, uint32(3))
			region3(h, 196608)
			h.put(262144+8, uint32(3))
			region3(h, 262144)
		}, true, "a region"},
		"required metadata": {func(h hand) {
			h.put(meta+10, uint16(6))
			h.guid(meta+32+160, handWrite)
			h.put(meta+32+160+24, uint32(4))
		}, true, "metadata " + handWrite},
		"block size":          {func(h hand) { h.put(meta+65536, uint32(3<<20)) }, false, "blocks cannot have"},
		"sector size":         {func(h hand) { h.put(meta+65568, uint32(520)) }, false, "sectors cannot have"},
		"disk size":           {func(h hand) { h.put(meta+65544, uint64(1<<63)) }, false, "cannot have"},
		"table too short":     {func(h hand) { h.put(meta+65544, uint64(1<<45)) }, false, "the disk needs"},
		"item outside":        {func(h hand) { h.put(meta+32+16, uint32(1<<20)) }, false, "cannot lie at"},
		"parent without name": {func(h hand) { h.put(meta+65540, uint32(2)) }, false, "nothing says which"},
	} {
		t.Run(name, func(t *testing.T) {
			h := parent(512)
			c.change(h)
			mem := memfs.New()
			mem.Put("a.vhdx", h.seal())
			_, err := opened(t, mem, "a.vhdx", false)
			var corrupt *disk.FormatError
			if c.unsupported != errors.Is(err, errors.ErrUnsupported) || !c.unsupported && !errors.As(err, &corrupt) || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("it gives %v", err)
			}
		})
	}
}

// region3 adds a region of unknown kind that is required.
func region3(h hand, table int64) {
	h.guid(table+80, handWrite)
	h.put(table+96, []uint64{handBlocks, 1<<32 | 1<<20})
}
