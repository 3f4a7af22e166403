package parallels

import (
	"cmp"
	"fmt"
	"io"
	"sort"

	"github.com/panalvm/panal/disk"
)

// stack is the files of some shots in a row, side by side as the disk is split.
type stack struct{ parts []part }

// part is a storage with its files.
type part struct {
	start, end int64
	own        []level // the youngest first; at least one
	below      layer   // what shows through them, nil if nothing
}

// level is an open file.
type level struct {
	layer layer
	path  string // as the descriptor has it
}

// top is the youngest file.
func (p *part) top() layer { return p.own[0].layer }

// at is the part that has an offset of the disk.
func (s *stack) at(off int64) *part {
	i := sort.Search(len(s.parts), func(i int) bool { return s.parts[i].end > off })
	return &s.parts[i]
}

// each splits a range of the disk by the parts.
func (s *stack) each(off, n int64, do func(p *part, off, n int64) error) error {
	for end := off + n; off < end; {
		p := s.at(off)
		k := min(end, p.end) - off
		if err := do(p, off-p.start, k); err != nil {
			return err
		}
		off += k
	}
	return nil
}

// read reads a disk of the given size.
func (s *stack) read(p []byte, off, size int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, disk.ErrRange)
	}
	total := min(int64(len(p)), max(0, size-off))
	err := s.each(off, total, func(part *part, from, n int64) error {
		at := part.start + from - off
		return disk.ReadParent(part.top(), p[at:at+n], from)
	})
	if err != nil {
		return 0, err
	}
	if total < int64(len(p)) {
		return int(total), io.EOF
	}
	return int(total), nil
}

// describe asks the files for the range at off, the youngest first.
func (s *stack) describe(off, n int64) (disk.Extent, error) {
	p := s.at(off)
	e, err := p.describe(off-p.start, min(n, p.end-off))
	e.Off += p.start
	return e, err
}

func (p *part) describe(off, n int64) (disk.Extent, error) {
	for _, l := range p.own {
		if off >= l.layer.Size() { // what is not there hides what is older
			return disk.Extent{Off: off, Len: n, State: disk.Zeroed}, nil
		}
		e, err := l.layer.Map(off, min(n, l.layer.Size()-off))
		if err != nil || e.State != disk.Unallocated {
			return e, err
		}
		n = e.Len
	}
	return disk.Extent{Off: off, Len: n}, nil
}

// close closes the files, and those below them.
func (s *stack) close() error {
	err := s.all(func(l layer) error { return l.Close() })
	s.parts = nil
	return err
}

// all does something with the youngest file of each part, and gives the first
// error: what one file has, the others have mostly too.
func (s *stack) all(do func(layer) error) error {
	var first error
	for _, p := range s.parts {
		first = cmp.Or(first, do(p.top()))
	}
	return first
}

// nothing stands for a parent that was left out: what is not allocated above it
// must stay told from what is zero.
type nothing struct{ layer }

// Size is none.
func (nothing) Size() int64 { return 0 }

// ReadAt is at the end.
func (nothing) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

// Parent is none.
func (nothing) Parent() disk.Image { return nil }

// Close does nothing.
func (nothing) Close() error { return nil }

// borrowed is a file that belongs to somebody else.
type borrowed struct{ layer }

// Close leaves it open.
func (borrowed) Close() error { return nil }
