package vmdk_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// holed is an image of 4 MiB, all written, of which the second MiB was given up
// before it was closed.
func holed(t *testing.T) (*memfs.FS, []byte) {
	t.Helper()
	files, content := filledSparse(t)
	img := mustOpen(t, files, "a.vmdk", disk.Options{Write: true})
	if err := disk.Zero(img, 1<<20, 1<<20); err != nil {
		t.Fatal(err)
	}
	closed(t, img)
	clear(content[1<<20 : 2<<20])
	return files, content
}

// TestHolesAreUsedAgain writes as much as was given up before the image was
// closed: the file does not become longer, but where somebody may need the place.
func TestHolesAreUsedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		harm  func(p []byte, first, second int)
		grows int64
	}{
		"sound":                     {func([]byte, int, int) {}, 0},
		"known to the second copy":  {func(p []byte, first, second int) { copy(p[second+4*16:][:4], place(p, first, 15)) }, 1 << 16},
		"a table leads elsewhere":   {func(p []byte, first, _ int) { copy(p[first+4*63:][:4], "\xff\xff\xff\x7f") }, 1 << 20},
		"a second copy's directory": {func(p []byte, _, _ int) { copy(p[48:], "\xff\xff\xff\x7f") }, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			files, content := holed(t)
			p := files.Bytes("a.vmdk")
			first, second := tables(p)
			c.harm(p, first, second)
			damage(t, files, p)
			before := sizeOf(t, files)
			img := mustOpen(t, files, "a.vmdk", disk.Options{Write: true})
			young := bytes.Repeat([]byte("other"), 1<<20/5+1)[:1<<20]
			write(t, img, young, 1<<20)
			copy(content[1<<20:], young)
			const known = 63 << 16 // what is behind may be damaged
			got := make([]byte, known)
			if _, err := img.ReadAt(got, 0); err != nil || !bytes.Equal(got, content[:known]) {
				t.Errorf("it reads otherwise: %v", err)
			}
			closed(t, img)
			if grown := sizeOf(t, files) - before; grown != c.grows {
				t.Errorf("the file became %d bytes longer, not %d", grown, c.grows)
			}
			if report := checked(t, files); c.grows == 0 && len(report.Findings) > 0 {
				t.Errorf("a check finds %+v", report.Findings)
			}
		})
	}
}

// place is the entry for the place behind that of a grain.
func place(p []byte, table, grain int) []byte {
	at := fmt.Appendf(nil, "%s", p[table+4*grain:][:4])
	at[0] += 128 // sectors
	if at[0] < 128 {
		at[1]++
	}
	return at
}

// damage changes the sectors of an image that differ, and leaves its holes.
func damage(t *testing.T, files *memfs.FS, p []byte) {
	t.Helper()
	old := files.Bytes("a.vmdk")
	f, err := files.Open("a.vmdk", true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for off := 0; off < len(p); off += 512 {
		if end := min(off+512, len(p)); !bytes.Equal(p[off:end], old[off:end]) {
			if _, err := f.WriteAt(p[off:end], int64(off)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestHolesAreUsedInTurn writes without order to an image with holes, again and
// again opened: it stays as large as what it holds.
func TestHolesAreUsedInTurn(t *testing.T) {
	files, content := holed(t)
	most := sizeOf(t, files)
	for round := range 8 {
		img := mustOpen(t, files, "a.vmdk", disk.Options{Write: true})
		for i := range 8 {
			off := (i*5 + round*3) % 64 << 16
			if err := disk.Zero(img, int64(off), 1<<16); err != nil {
				t.Fatal(err)
			}
			clear(content[off:][:1<<16])
		}
		if err := img.(disk.Writer).Sync(); err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			off := (i*7 + round) % 64 << 16
			p := mixed(1<<16, uint64(round*8+i)+1)
			write(t, img, p, int64(off))
			copy(content[off:], p)
		}
		if got := readAll(t, img); !bytes.Equal(got, content) {
			t.Fatalf("round %d: it reads otherwise", round)
		}
		closed(t, img)
		if size := sizeOf(t, files); size > most {
			t.Errorf("round %d: the file has %d bytes, more than %d", round, size, most)
		}
	}
	if worst, _ := checked(t, files).Worst(); worst > disk.Note {
		t.Error("a check finds more than a note")
	}
}

// TestCompactAFarGrain moves the only grain of a file that is two TiB long, and
// takes no memory for all the places before it.
func TestCompactAFarGrain(t *testing.T) {
	files := memfs.New()
	files.Put("a.vmdk", small(t, "monolithicSparse"))
	p := files.Bytes("a.vmdk")
	first, second := tables(p)
	const far = 1<<32 - 256 // sectors
	f, err := files.Open("a.vmdk", true)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("far away"), 64<<10/8)
	entry := binary.LittleEndian.AppendUint32(nil, far)
	for _, w := range []struct {
		p   []byte
		off int64
	}{{content, far * 512}, {entry, int64(first + 4)}, {entry, int64(second + 4)}} {
		if _, err := f.WriteAt(w.p, w.off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	img := mustOpen(t, files, "a.vmdk", disk.Options{Write: true})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := img.(disk.Compacter).Compact(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
		t.Errorf("it took %d MiB", took>>20)
	}
	got := make([]byte, len(content))
	if _, err := img.ReadAt(got, 64<<10); err != nil || !bytes.Equal(got, content) {
		t.Errorf("it reads otherwise: %v", err)
	}
	closed(t, img)
	if size := sizeOf(t, files); size > 1<<20 {
		t.Errorf("the file has %d bytes still", size)
	}
}
