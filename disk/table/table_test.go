package table_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/table"
	"pgregory.net/rapid"
)

func open(t *testing.T, content []byte) (*memfs.FS, disk.File) {
	t.Helper()
	m := memfs.New()
	m.Put("t", content)
	f, err := m.Open("t", true)
	if err != nil {
		t.Fatal(err)
	}
	return m, f
}

func TestNothingIsWrittenBeforeFlush(t *testing.T) {
	m, f := open(t, make([]byte, 8192))
	c := table.New(f, binary.LittleEndian, 1<<20, "test")
	if err := c.SetUint32(4096, 7); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m.Bytes("t"), make([]byte, 8192)) {
		t.Error("an entry was written at once")
	}
	if v, err := c.Uint32(4096); v != 7 || err != nil {
		t.Errorf("it reads as %d, %v", v, err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := binary.LittleEndian.Uint32(m.Bytes("t")[4096:]); got != 7 || c.Dirty() != 0 {
		t.Errorf("after Flush it is %d, dirty %d", got, c.Dirty())
	}
}

func TestFlushLeavesWhatLiesBeside(t *testing.T) {
	m, f := open(t, make([]byte, 4096))
	c := table.New(f, binary.BigEndian, 1<<20, "test")
	if err := c.SetUint64(64, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("header"), 0); err != nil { // behind the cache's back
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(m.Bytes("t"), []byte("header")) {
		t.Error("Flush wrote over the header")
	}
}

func TestEntriesBehindTheEnd(t *testing.T) {
	_, f := open(t, make([]byte, 100))
	c := table.New(f, binary.LittleEndian, 1<<20, "test")
	var bad *disk.FormatError
	if _, err := c.Uint32(100); !errors.As(err, &bad) || bad.Offset != 100 {
		t.Errorf("got %v", err)
	}
	if err := c.SetUint32(100, 5); err != nil {
		t.Fatal(err)
	}
	if v, err := c.Uint32(100); v != 5 || err != nil {
		t.Errorf("a new entry reads as %d, %v", v, err)
	}
}

func TestItIsATableWhateverLeavesTheCache(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const entries = 64 << 10
		m := memfs.New()
		m.Put("t", make([]byte, entries*4))
		f, _ := m.Open("t", true)
		c := table.New(f, binary.LittleEndian, 1, "test") // the fewest pages there can be
		model := map[int]uint32{}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				i, v := rapid.IntRange(0, entries-1).Draw(t, "entry"), rapid.Uint32().Draw(t, "value")
				if err := c.SetUint32(int64(i)*4, v); err != nil {
					t.Fatal(err)
				}
				model[i] = v
			},
			"get": func(t *rapid.T) {
				i := rapid.IntRange(0, entries-1).Draw(t, "entry")
				if v, err := c.Uint32(int64(i) * 4); v != model[i] || err != nil {
					t.Fatalf("entry %d is %d, not %d: %v", i, v, model[i], err)
				}
			},
			"flush": func(t *rapid.T) {
				if err := c.Flush(); err != nil {
					t.Fatal(err)
				}
				content := m.Bytes("t")
				for i, v := range model {
					if got := binary.LittleEndian.Uint32(content[i*4:]); got != v {
						t.Fatalf("the file has %d as entry %d, not %d", got, i, v)
					}
				}
			},
		})
	})
}
