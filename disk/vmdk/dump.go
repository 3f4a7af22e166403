package vmdk

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/panalvm/panal/disk"
)

// Dump yields headers, the descriptor, and the tables in short.
func (m *image) Dump(context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		m.shape.RLock()
		defer m.shape.RUnlock()
		for _, p := range m.parts {
			d := &dumper{yield: yield, file: p.ref}
			m.dumpPart(d, p)
			if d.stopped {
				return
			}
		}
	}
}

// dumper passes fields on until nobody wants more.
type dumper struct {
	yield   func(disk.Field, error) bool
	file    string
	stopped bool
}

func (d *dumper) put(f disk.Field) {
	f.File = d.file
	d.stopped = d.stopped || !d.yield(f, nil)
}

func (d *dumper) fail(err error) {
	d.stopped = d.stopped || !d.yield(disk.Field{}, err)
	d.stopped = true
}

// dumpPart shows what lies in a file, in the order of the offsets where the
// file is laid out as usual.
func (m *image) dumpPart(d *dumper, p *part) {
	var s *sparse
	for i := range m.spans {
		if e, ok := m.spans[i].extent.(*sparse); ok && e.part == p {
			s = e
		}
	}
	if s != nil {
		s.dumpHeader(d)
	}
	if m.home.part == p {
		m.dumpText(d)
	}
	if s != nil {
		s.dumpTables(d)
	}
}

// dumpText shows the descriptor's lines.
func (m *image) dumpText(d *dumper) {
	m.identity.mu.Lock()
	lines := m.desc.Lines()
	m.identity.mu.Unlock()
	at := m.home.off
	for i, line := range lines {
		if d.stopped {
			return
		}
		if strings.TrimSpace(line) != "" {
			d.put(disk.Field{Part: "descriptor", Offset: at, Len: len(line), Name: fmt.Sprintf("line %d", i+1), Value: line})
		}
		at += int64(len(line)) + 1
	}
}

// dumpHeader shows the extent's first sector.
func (s *sparse) dumpHeader(d *dumper) {
	if s.facts != nil {
		for _, f := range s.facts {
			if !d.stopped {
				d.put(f)
			}
		}
		return
	}
	h, err := readHeader(s.part.file, 0)
	if err != nil {
		d.fail(err)
		return
	}
	h.dump(d, 0, "header")
}

// dump shows a header or footer that lies at the given offset.
func (h header) dump(d *dumper, at int64, part string) {
	field := func(off, n int, what, value, note string) {
		if !d.stopped {
			d.put(disk.Field{Part: part, Offset: at + int64(off), Len: n, Name: what, Value: value, Note: note})
		}
	}
	number := func(off, n int, what string, v uint64, note string) { field(off, n, what, fmt.Sprint(v), note) }
	place := func(off int, what string, v uint64) {
		if v == gdAtEnd {
			field(off, 8, what, "0xffffffffffffffff", "the footer tells")
			return
		}
		number(off, 8, what, v, fmt.Sprintf("sector; at %#x", v*sector))
	}
	field(0, 4, "magic", magicSparse, "")
	number(offVersion, 4, "version", uint64(h.version), "")
	field(offFlags, 4, "flags", fmt.Sprintf("%#x", h.flags), h.flagNames())
	number(offCapacity, 8, "capacity", h.capacity, "sectors")
	number(offGrain, 8, "grain size", h.grain, "sectors")
	place(offDescOffset, "descriptor", h.descOffset)
	number(offDescSize, 8, "descriptor size", h.descSize, "sectors")
	number(offEntries, 4, "entries of a grain table", uint64(h.entries), "")
	place(offRGD, "second grain directory", h.rgd)
	place(offGD, "grain directory", h.gd)
	number(offOverhead, 8, "overhead", h.overhead, "sectors before the first grain")
	field(offUnclean, 1, "unclean shutdown", fmt.Sprint(h.unclean), "")
	field(offNewlines, 4, "newline test", fmt.Sprintf("%q", h.newlines), "")
	field(offCompress, 2, "compression", fmt.Sprint(h.compress), map[uint16]string{0: "none", 1: "deflate"}[h.compress])
}

// flagNames are the flags in words.
func (h header) flagNames() string {
	var all []string
	for _, f := range []struct {
		bit  uint32
		name string
	}{
		{flagNewlines, "newline test"},
		{flagRedundant, "second grain directory"},
		{flagZeroed, "zeroed grains"},
		{flagCompressed, "compressed"},
		{flagMarkers, "markers"},
	} {
		if h.flags&f.bit != 0 {
			all = append(all, f.name)
		}
	}
	return strings.Join(all, ", ")
}

// dumpTables shows a line for each grain table that holds grains, and the
// markers of a stream that are no grains'.
func (s *sparse) dumpTables(d *dumper) {
	switch find := s.find.(type) {
	case *directory:
		for t := range int64(len(find.gd)) {
			if d.stopped {
				return
			}
			s.dumpTable(d, t, find.gdAt+4*t, 4, fmt.Sprint(find.gd[t]), find.gd[t] == 0, find.entries)
		}
	case *seDirectory:
		for t := range int64(len(find.gd)) {
			if d.stopped {
				return
			}
			s.dumpTable(d, t, find.gdAt+8*t, 8, fmt.Sprintf("%#x", find.gd[t]), find.gd[t] == 0, find.entries)
		}
	}
	if s.codec != nil && s.codec.markers && !d.stopped {
		s.dumpEnd(d)
	}
}

// dumpTable shows an entry of the grain directory, and what its table holds.
func (s *sparse) dumpTable(d *dumper, t, at int64, size int, value string, absent bool, entries int64) {
	if absent || s.find.missing(t*entries) > 0 {
		return
	}
	grains, zeroed, bad := 0, 0, 0
	for i := t * entries; i < (t+1)*entries && i*s.grain < s.covered; i++ {
		p, err := s.find.at(i)
		switch {
		case err != nil:
			bad++
			if bad > 8 {
				i = (t + 1) * entries // enough to see that it is no table
			}
		case p.state == disk.Data:
			grains++
		case p.state == disk.Zeroed:
			zeroed++
		}
	}
	if grains+zeroed+bad == 0 {
		return
	}
	note := fmt.Sprintf("%d grains, %d zero", grains, zeroed)
	if bad > 0 {
		note += ", some entries lead nowhere"
	}
	d.put(disk.Field{Part: "grain directory", Offset: at, Len: size, Name: fmt.Sprintf("table %d", t), Value: value, Note: note})
}

// dumpEnd shows what follows the grains of a stream.
func (s *sparse) dumpEnd(d *dumper) {
	if s.scanned != nil {
		d.put(disk.Field{Part: "markers", Offset: s.scanned.to, Name: "end of the markers", Value: fmt.Sprintf("%d grains", len(s.scanned.grains)), Note: "the grain directory is lost"})
		return
	}
	if s.end.Load() < 3*sector {
		return
	}
	at := s.end.Load() - 2*sector
	if h, err := readHeader(s.part.file, at); err == nil {
		d.put(disk.Field{Part: "markers", Offset: at - sector, Len: sector, Name: "marker", Value: "footer"})
		if !d.stopped {
			h.dump(d, at, "footer")
		}
	}
}
