package imageserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/memfs"
)

const journalDisk = 4 << 20

// bench is an image and a journal that one server after another has.
type bench struct {
	fs      *memfs.FS
	format  string
	journal string // the path of the file
}

func newBench(t interface{ Fatal(...any) }, dir, format string) *bench {
	b := &bench{fs: memfs.New(), format: format, journal: filepath.Join(dir, "journal")}
	img, err := disk.Create("image", disk.CreateOptions{FS: b.fs, Formats: formats.All(), Format: format, Size: journalDisk})
	if err == nil {
		err = errors.Join(img.Close(), os.WriteFile(b.journal, nil, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// server opens the image as a server does that is started. What the one before
// it has in memory is lost.
func (b *bench) server() (*journal, error) {
	img, err := disk.Open("image", disk.Options{FS: b.fs, Formats: formats.All(), Format: b.format, Write: true})
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(b.journal, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return openJournal(img, file)
}

// TestWhatWasToldToBeWrittenSurvivesTheServer writes, zeroes and flushes at
// random, and lets servers die in between.
func TestWhatWasToldToBeWrittenSurvivesTheServer(t *testing.T) {
	for _, format := range []string{"vdi", "vhd", "vhdx", "vmdk", "parallels", "qcow2"} {
		t.Run(format, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				b := newBench(rt, t.TempDir(), format)
				model := make([]byte, journalDisk)
				j, err := b.server()
				if err != nil {
					rt.Fatal(err)
				}
				rt.Repeat(map[string]func(*rapid.T){
					"write": func(rt *rapid.T) {
						off := rapid.IntRange(0, journalDisk-1).Draw(rt, "off")
						p := bytes.Repeat([]byte{byte(rapid.IntRange(1, 255).Draw(rt, "byte"))}, rapid.IntRange(1, min(200_000, journalDisk-off)).Draw(rt, "n"))
						if _, err := j.WriteAt(p, int64(off)); err != nil {
							rt.Fatal(err)
						}
						copy(model[off:], p)
					},
					"zero": func(rt *rapid.T) {
						off := rapid.IntRange(0, journalDisk-1).Draw(rt, "off")
						n := rapid.IntRange(1, journalDisk-off).Draw(rt, "n")
						if err := j.ZeroAt(int64(off), int64(n)); err != nil {
							rt.Fatal(err)
						}
						clear(model[off : off+n])
					},
					"flush": func(rt *rapid.T) {
						if err := j.Sync(); err != nil {
							rt.Fatal(err)
						}
					},
					"die": func(rt *rapid.T) {
						if j, err = b.server(); err != nil {
							rt.Fatal(err)
						}
					},
					"": func(rt *rapid.T) {
						got := make([]byte, journalDisk)
						if _, err := j.ReadAt(got, 0); err != nil {
							rt.Fatal(err)
						}
						if !bytes.Equal(got, model) {
							rt.Fatal("the content is not what was written")
						}
					},
				})
			})
		})
	}
}

func TestJournalsAreBoundedAndEmptiedByFlushes(t *testing.T) {
	b := newBench(t, t.TempDir(), "vdi")
	j, err := b.server()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1<<20)
	for i := range 3 * maxJournal / len(p) {
		p[0] = byte(i)
		if _, err := j.WriteAt(p, int64(i%4)<<20); err != nil {
			t.Fatal(err)
		}
		if n := size(t, b.journal); n > maxJournal+2<<20 {
			t.Fatalf("the journal has %d bytes", n)
		}
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	if n := size(t, b.journal); n > journalStart {
		t.Errorf("after a flush it has %d bytes", n)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Flushes and writes come at once, from several requests.
func TestFlushesDropNothingThatComesMeanwhile(t *testing.T) {
	b := newBench(t, t.TempDir(), "vhdx")
	j, err := b.server()
	if err != nil {
		t.Fatal(err)
	}
	const writers, blocks = 4, 60
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range blocks {
				p := bytes.Repeat([]byte{byte(w*blocks + i + 1)}, 4096)
				if _, err := j.WriteAt(p, int64(w*blocks+i)*4096); err != nil {
					t.Error(err)
				}
				if i%7 == w {
					if err := j.Sync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	if j, err = b.server(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4096)
	for i := range writers * blocks {
		if _, err := j.ReadAt(got, int64(i)*4096); err != nil || got[0] != byte(i+1) || got[4095] != byte(i+1) {
			t.Fatalf("block %d begins with %d: %v", i, got[0], err)
		}
	}
}

// A record that was not completed was never told to the guest; one that is
// damaged must not make the server do what the guest never asked.
func TestRecordsThatAreNotWholeAreNotCarriedOut(t *testing.T) {
	record := func(kind, off, n uint64, data ...byte) []byte {
		r := binary.LittleEndian.AppendUint64(nil, kind)
		r = binary.LittleEndian.AppendUint64(r, off)
		return append(binary.LittleEndian.AppendUint64(r, n), data...)
	}
	begin := binary.LittleEndian.AppendUint64(nil, journalStart)
	for name, c := range map[string]struct {
		journal []byte
		refused bool
		want    string
	}{
		"empty":            {nil, false, "\x00\x00"},
		"whole":            {slices.Concat(begin, record(recordWrite, 0, 2, 'o', 'k')), false, "ok"},
		"no head yet":      {slices.Concat(begin, record(0, 0, 0, 'o', 'k')), false, "\x00\x00"},
		"second not whole": {slices.Concat(begin, record(recordWrite, 0, 2, 'o', 'k'), record(0, 0, 0, 'n', 'o')), false, "ok"},
		"beyond the disk":  {slices.Concat(begin, record(recordWrite, journalDisk, 2, 'n', 'o')), true, ""},
		"longer than it":   {slices.Concat(begin, record(recordWrite, 0, 1000, 'n', 'o')), true, ""},
		"of no kind":       {slices.Concat(begin, record(77, 0, 2, 'n', 'o')), true, ""},
		"begin beyond end": {binary.LittleEndian.AppendUint64(nil, 1<<40), false, "\x00\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, t.TempDir(), "vdi")
			if err := os.WriteFile(b.journal, c.journal, 0o600); err != nil {
				t.Fatal(err)
			}
			j, err := b.server()
			if (err != nil) != c.refused {
				t.Fatalf("opened with %v", err)
			}
			if c.refused {
				return
			}
			got := make([]byte, 2)
			if _, err := j.ReadAt(got, 0); err != nil || string(got) != c.want {
				t.Errorf("the disk begins with %q, %v", got, err)
			}
		})
	}
}

// Where no journal can be written the image is synced before the guest is told.
func TestWithoutRoomForAJournalWritesAreDurableAtOnce(t *testing.T) {
	b := newBench(t, t.TempDir(), "vdi")
	j, err := b.server()
	if err != nil {
		t.Fatal(err)
	}
	if err := j.file.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = j.WriteAt([]byte("written"), 1<<20)
	if err != nil && !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	next, err := b.server()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 7)
	if _, err := next.ReadAt(got, 1<<20); err != nil || string(got) != "written" {
		t.Error(fmt.Sprintf("read %q", got), err)
	}
}
