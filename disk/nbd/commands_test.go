package nbd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/nbd"
)

// styles are the three ways that replies are framed.
var styles = map[string][]uint32{"simple": nil, "structured": {optStructured}, "extended": {optExtended}}

func TestReadEveryLength(t *testing.T) {
	const size = 40 << 20
	m := patterned(size)
	for name, options := range styles {
		t.Run(name, func(t *testing.T) {
			_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
			c := connect(t, socket, options...)
			for _, try := range [][2]uint64{{0, 1}, {511, 2}, {4096, 4096}, {1000, 65536}, {77, 300 << 10}, {5, 3 << 20}, {8 << 20, 32 << 20}, {size - 1, 1}, {size, 0}} {
				got, _, e := c.read(0, try[0], try[1])
				if e != 0 || !bytes.Equal(got, pattern(int(try[0]), int(try[1]))) {
					t.Errorf("[%d,+%d): errno %d, or other content", try[0], try[1], e)
				}
			}
		})
	}
}

func TestReadSendsHoles(t *testing.T) {
	m := patterned(1 << 20)
	if err := m.ZeroAt(256<<10, 256<<10); err != nil {
		t.Fatal(err)
	}
	if err := m.ZeroAt(768<<10, 4096); err != nil { // too small to be worth a chunk
		t.Fatal(err)
	}
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	for _, options := range [][]uint32{{optStructured}, {optExtended}} {
		c := connect(t, socket, options...)
		got, chunks, e := c.read(0, 0, 1<<20)
		if e != 0 || !bytes.Equal(got, m.content()) {
			t.Fatalf("errno %d, or other content", e)
		}
		if len(chunks) != 3 || chunks[1].kind != chunkHole || chunks[1].off != 256<<10 || chunks[1].length != 256<<10 {
			t.Errorf("%d chunks", len(chunks))
		}
		if _, chunks, _ := c.read(0, 300<<10, 4096); len(chunks) != 1 || chunks[0].kind != chunkHole {
			t.Errorf("a short hole came as %d chunks", len(chunks))
		}
		if _, chunks, _ := c.read(df, 0, 1<<20); len(chunks) != 1 || chunks[0].kind != chunkData {
			t.Errorf("what must not be split came as %d chunks", len(chunks))
		}
	}
}

func TestWritesAreThere(t *testing.T) {
	for name, options := range styles {
		t.Run(name, func(t *testing.T) {
			m := newMemory(64 << 20)
			_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
			c := connect(t, socket, options...)
			for _, try := range [][2]uint64{{0, 1}, {4096, 4096}, {12345, 100_000}, {2 << 20, 1 << 20}, {30 << 20, 32 << 20}} {
				data := pattern(int(try[0]), int(try[1]))
				if e := c.do(write, 0, try[0], try[1], data); e != 0 {
					t.Fatalf("errno %d", e)
				}
				if got, _, e := c.read(0, try[0], try[1]); e != 0 || !bytes.Equal(got, data) {
					t.Errorf("[%d,+%d): errno %d, or other content", try[0], try[1], e)
				}
			}
			if len(m.writes) != 5 {
				t.Errorf("the writes were split: %v", m.writes)
			}
		})
	}
}

func TestWhatIsSynced(t *testing.T) {
	m := patterned(1 << 20)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	c := connect(t, socket)
	for _, try := range []struct {
		kind, flags uint16
		want        int
	}{{write, 0, 0}, {write, fua, 1}, {trim, fua, 2}, {zeroes, fua, 3}, {zeroes, 0, 3}, {flush, 0, 4}, {flush, fua, 5}, {cache, fua, 5}} {
		n, data := uint64(4096), []byte(nil)
		if try.kind == write {
			data = pattern(0, 4096)
		}
		if try.kind == flush {
			n = 0
		}
		if e := c.do(try.kind, try.flags, 0, n, data); e != 0 {
			t.Errorf("%+v: errno %d", try, e)
		}
		if m.set(func(m *memory) {}); m.synced != try.want {
			t.Errorf("%+v: synced %d times", try, m.synced)
		}
	}
}

func TestZeroes(t *testing.T) {
	m := patterned(8 << 20)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m}, nbd.Export{Name: "plain", Image: plain{m}})
	c := connect(t, socket, optStructured)
	if e := c.do(zeroes, fastZero, 0, 1<<20, nil); e != 0 || m.states[0] != disk.Zeroed {
		t.Errorf("fast: errno %d, %v", e, m.states[0])
	}
	if e := c.do(zeroes, noHole, 1<<20, 3<<20, nil); e != 0 || m.states[256] != disk.Data {
		t.Errorf("no hole: errno %d, %v", e, m.states[256])
	}
	if e := c.do(zeroes, noHole|fastZero, 5<<20, 1<<20, nil); e != enotsup {
		t.Errorf("fast, and no hole: errno %d", e)
	}
	want := pattern(0, 8<<20)
	clear(want[:4<<20])
	if !bytes.Equal(m.content(), want) {
		t.Error("other content")
	}
	p := begin(t, socket)
	p.goTo("plain")
	if e := p.do(zeroes, fastZero, 5<<20, 1<<20, nil); e != enotsup {
		t.Errorf("fast, of an image that cannot: errno %d", e)
	}
	if e := p.do(zeroes, 0, 5<<20, 1<<20, nil); e != 0 {
		t.Errorf("of an image that cannot: errno %d", e)
	}
	clear(want[5<<20 : 6<<20])
	if !bytes.Equal(m.content(), want) {
		t.Error("other content")
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	const size = 1 << 20
	m := patterned(size)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m}, nbd.Export{Name: "ro", Image: m, ReadOnly: true})
	type try struct {
		name        string
		kind, flags uint16
		off, length uint64
		want        uint32
	}
	tries := []try{
		{"read behind the end", read, 0, size, 1, einval},
		{"read across the end", read, 0, size - 1, 2, einval},
		{"read at no offset at all", read, 0, 1<<64 - 1, 2, einval},
		{"write across the end", write, 0, size - 1, 2, enospc},
		{"zero across the end", zeroes, 0, size - 1, 2, enospc},
		{"trim across the end", trim, 0, size - 1, 2, einval},
		{"status across the end", status, 0, size - 1, 2, einval},
		{"unknown command", 55, 0, 0, 0, einval},
		{"unknown flag", read, 1 << 9, 0, 1, einval},
		{"wrong flag", write, df, 0, 1, einval},
		{"resize", resize, 0, size, 0, eperm},
		{"nothing to read", read, 0, 5, 0, 0},
		{"nothing to write", write, 0, 5, 0, 0},
		{"nothing to zero", zeroes, 0, 5, 0, 0},
		{"nothing to trim", trim, 0, 5, 0, 0},
		{"read with FUA", read, fua, 5, 0, 0},
	}
	check := func(c *client, style string, list []try) {
		for _, try := range list {
			var data []byte
			if try.kind == write {
				data = make([]byte, try.length)
			}
			if e := c.do(try.kind, try.flags, try.off, try.length, data); e != try.want {
				t.Errorf("%s: %s: errno %d, not %d", style, try.name, e, try.want)
			}
		}
	}
	for style, options := range styles {
		check(connect(t, socket, options...), style, tries)
		ro := begin(t, socket)
		ro.goTo("ro")
		check(ro, "read-only", []try{
			{"write", write, 0, 0, 1, eperm},
			{"zero", zeroes, 0, 0, 1, eperm},
			{"trim", trim, 0, 0, 1, eperm},
			{"flush", flush, 0, 0, 0, 0},
			{"cache", cache, 0, 0, size, 0},
			{"resize", resize, 0, 0, 0, eperm},
		})
	}
	check(connect(t, socket), "simple", []try{{"unsplit", read, df, 0, 1, einval}, {"status", status, 0, 0, 1, einval}})
	if !bytes.Equal(m.content(), pattern(0, size)) {
		t.Error("something was written")
	}
}

func TestMoreThanIsAllowed(t *testing.T) {
	m := newMemory(64 << 20)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	c := connect(t, socket, optStructured)
	if e := c.do(read, 0, 0, 33<<20, nil); e != eoverflow {
		t.Errorf("read: errno %d", e)
	}
	if e := c.do(cache, 0, 0, 33<<20, nil); e != eoverflow {
		t.Errorf("cache: errno %d", e)
	}
	if e := c.do(zeroes, 0, 0, 64<<20, nil); e != 0 {
		t.Errorf("zeroes: errno %d", e)
	}
	c.request(write, 0, 0, 33<<20, nil)
	c.closed()
}

// An extended request with a payload that does not belong there is read over.
func TestStrangePayloads(t *testing.T) {
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: patterned(8192)})
	c := connect(t, socket, optExtended)
	if e := c.do(status, payloadLen, 0, 100_000, make([]byte, 100_000)); e != einval {
		t.Errorf("status: errno %d", e)
	}
	c.put(uint32(0x21e41c71), uint16(0), uint16(write), uint64(9), uint64(0), uint64(512)) // a write without one
	if k := c.next(0); k.errno != einval || k.cookie != 9 {
		t.Errorf("write: %+v", k)
	}
	if got, _, e := c.read(0, 0, 8192); e != 0 || !bytes.Equal(got, pattern(0, 8192)) {
		t.Errorf("the stream is out of step: errno %d", e)
	}
}

func TestErrorsOfTheImage(t *testing.T) {
	m := patterned(1 << 20)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	for style, options := range styles {
		c := connect(t, socket, options...)
		for _, try := range []struct {
			err  error
			want uint32
		}{
			{errors.New("anything"), eio},
			{disk.Corrupt("vdi", 7, "broken"), eio},
			{disk.ErrReadOnly, eperm},
			{fs.ErrPermission, eperm},
			{&fs.PathError{Op: "write", Path: "/secret", Err: syscall.ENOSPC}, enospc},
			{fmt.Errorf("x: %w", syscall.EDQUOT), enospc},
			{syscall.EFBIG, enospc},
			{syscall.ENOMEM, enomem},
			{disk.Unsupported("vdi", "no"), einval},
			{disk.Usage("no"), einval},
		} {
			m.set(func(m *memory) { m.fail = try.err })
			for _, kind := range []uint16{read, write, zeroes, trim, flush} {
				n, data := uint64(4096), []byte(nil)
				if kind == write {
					data = make([]byte, n)
				}
				if e := c.do(kind, 0, 0, n, data); e != try.want {
					t.Errorf("%s: command %d, %v: errno %d, not %d", style, kind, try.err, e, try.want)
				}
			}
			if _, _, e := c.read(0, 0, 1<<20); e != try.want {
				t.Errorf("%s: long read, %v: errno %d, not %d", style, try.err, e, try.want)
			}
			m.set(func(m *memory) { m.fail = nil })
		}
	}
}

func TestResize(t *testing.T) {
	m := patterned(1 << 20)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m, Resize: true})
	c := connect(t, socket, optStructured)
	if e := c.do(resize, 0, 2<<20, 0, nil); e != 0 || m.Size() != 2<<20 {
		t.Fatalf("larger: errno %d, %d bytes", e, m.Size())
	}
	if e := c.do(write, 0, 2<<20-4096, 4096, pattern(0, 4096)); e != 0 {
		t.Errorf("write to what is new: errno %d", e)
	}
	other := connect(t, socket)
	if e := c.do(resize, 0, 1<<19, 0, nil); e != eperm {
		t.Errorf("smaller, with another client: errno %d", e)
	}
	other.request(disc, 0, 0, 0, nil)
	other.closed()
	if e := c.do(resize, 0, 1<<19, 0, nil); e != 0 || m.Size() != 1<<19 {
		t.Fatalf("smaller: errno %d, %d bytes", e, m.Size())
	}
	for end, want := range map[uint64]uint32{1 << 19: 0, 1<<19 + 1: enospc, 2 << 20: enospc, 2<<20 + 1: einval} {
		if _, _, e := c.read(0, end-1, 1); e != want {
			t.Errorf("read up to %d: errno %d, not %d", end, e, want)
		}
	}
	if e := c.do(resize, 0, 1<<63, 0, nil); e != einval {
		t.Errorf("beyond all measure: errno %d", e)
	}
}

// Whatever is done, by several connections in turn, the disk holds what a plain
// slice of bytes would hold.
func TestModel(t *testing.T) {
	const size = 1 << 20
	for name, options := range styles {
		t.Run(name, func(t *testing.T) {
			m := newMemory(size)
			m.parent = patterned(size - 5000)
			model := m.content()
			_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
			clients := []*client{connect(t, socket, options...), connect(t, socket, options...)}
			rapid.Check(t, func(rt *rapid.T) {
				c := clients[rapid.IntRange(0, 1).Draw(rt, "client")]
				off := rapid.IntRange(0, size-1).Draw(rt, "off")
				n := rapid.IntRange(1, size-off).Draw(rt, "n")
				switch rapid.SampledFrom([]uint16{read, read, write, zeroes, trim}).Draw(rt, "command") {
				case read:
					if got, _, e := c.read(0, uint64(off), uint64(n)); e != 0 || !bytes.Equal(got, model[off:off+n]) {
						rt.Fatalf("[%d,+%d): errno %d, or other content", off, n, e)
					}
				case write:
					data := bytes.Repeat([]byte{rapid.Byte().Draw(rt, "byte")}, n)
					copy(model[off:], data)
					if e := c.do(write, 0, uint64(off), uint64(n), data); e != 0 {
						rt.Fatalf("errno %d", e)
					}
				case zeroes:
					clear(model[off : off+n])
					if e := c.do(zeroes, 0, uint64(off), uint64(n), nil); e != 0 {
						rt.Fatalf("errno %d", e)
					}
				case trim: // which memory does by zeroing
					clear(model[off : off+n])
					if e := c.do(trim, 0, uint64(off), uint64(n), nil); e != 0 {
						rt.Fatalf("errno %d", e)
					}
				}
			})
			if !bytes.Equal(m.content(), model) {
				t.Error("other content in the end")
			}
		})
	}
}
