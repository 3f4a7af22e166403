package blockmap

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/panalvm/panal/disk"
)

// Held is a block that the file has, and where.
type Held struct {
	Pointer uint32
	Index   int64 // of the block on the disk, which may be behind its end
}

// Survey is what all pointers say.
type Survey struct {
	Held    []Held  // by pointer, ascending; of several with one pointer the lower block first
	Faults  []Fault // in this order too
	Missing int64   // blocks without a place
	End     int64   // of the last block without fault in the file; 0 if there is none
	Crowded bool    // there are more blocks than the file can hold; Held ends there
}

// Fault is a block that cannot be where its pointer leads.
type Fault struct {
	Held
	Lost bool   // the file ends before
	Over string // it lies over this, which is no block
	With int64  // else: it lies over this block
}

// Survey reads all pointers. The layout and the space are held.
func (m *Image) Survey(ctx context.Context) (Survey, error) {
	var s Survey
	room := m.File.End()/m.Shape.Stride() + 2
	for index := range m.Shape.Entries {
		if index%longestRun == 0 && ctx.Err() != nil {
			return s, ctx.Err()
		}
		pointer, err := m.Pointer(index)
		switch {
		case err != nil:
			return s, err
		case pointer >= m.Shape.None:
			s.Missing++
		case int64(len(s.Held)) >= room:
			s.Crowded = true
			return s, nil
		default:
			s.Held = append(s.Held, Held{pointer, index})
		}
	}
	slices.SortFunc(s.Held, func(a, b Held) int {
		return cmp.Or(cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Index, b.Index))
	})
	m.findFaults(&s)
	return s, nil
}

// findFaults looks for blocks that cannot be where they are said to be.
func (m *Image) findFaults(s *Survey) {
	used := m.kind.Used()
	last := int64(-1) // of the blocks without fault
	for _, h := range s.Held {
		from, to := m.Shape.At(h.Pointer), m.Shape.At(h.Pointer)+m.Shape.Stride()
		over := slices.IndexFunc(used, func(u Span) bool { return from < u.To && u.From < to })
		switch {
		case m.kind.Lost(h.Pointer):
			s.Faults = append(s.Faults, Fault{Held: h, Lost: true})
		case over >= 0:
			s.Faults = append(s.Faults, Fault{Held: h, Over: used[over].What})
		case from < s.End:
			s.Faults = append(s.Faults, Fault{Held: h, With: last})
		default:
			last, s.End = h.Index, to
		}
	}
}

// FindSpace finds the room that a survey leaves; the one behind the end begins
// at least at end.
func (m *Image) FindSpace(s Survey, end int64) *Space {
	blocks := make([]int64, len(s.Held))
	for i, h := range s.Held {
		blocks[i] = m.Shape.At(h.Pointer)
	}
	return NewSpace(m.Shape, m.kind.Used(), blocks, end)
}

// Usable tells whether blocks can be added and moved.
func (m *Image) Usable(s Survey) error {
	if s.Crowded {
		return disk.Corrupt(m.words.Format, m.Shape.Table, "%s; the image must not be changed", crowded)
	}
	for _, f := range s.Faults {
		return disk.Corrupt(m.words.Format, m.Shape.EntryAt(f.Index), "%s; repair the image before it is changed", m.say(f))
	}
	return nil
}

const crowded = "the table gives places to more blocks than the file can hold; it is not a table any more"

// say says what is wrong.
func (m *Image) say(f Fault) string {
	at := m.Shape.At(f.Pointer)
	switch {
	case f.Lost:
		return fmt.Sprintf("block %d is said to lie at %#x, behind the end of the file: its data is missing", f.Index, at)
	case f.Over != "":
		return fmt.Sprintf("block %d is said to lie at %#x, over the %s", f.Index, at, f.Over)
	}
	return fmt.Sprintf("block %d is said to lie at %#x, where block %d is", f.Index, at, f.With)
}
