package blockmap

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// place is a row of blocks, or something else that is used.
type place struct{ from, to int64 }

// spaceModel is a space, and what of it is used.
type spaceModel struct {
	shape   Shape
	space   *Space
	blocks  []uint32 // that pointers lead to
	given   []uint32 // given up, with durable pointers
	durable []uint32
	fixed   []place
}

func (m *spaceModel) of(pointer uint32) place {
	at := m.shape.At(pointer)
	return place{at, at + m.shape.Stride()}
}

// used is all that must not be given out.
func (m *spaceModel) used() []place {
	all := slices.Clone(m.fixed)
	for _, list := range [][]uint32{m.blocks, m.given, m.durable} {
		for _, p := range list {
			all = append(all, m.of(p))
		}
	}
	return all
}

func (m *spaceModel) take(t *rapid.T) {
	pointer, got := m.space.Take(rapid.Int64Range(1, 4).Draw(t, "blocks"))
	if got < 1 {
		t.Fatal("there is no room")
	}
	step := uint32(m.shape.Stride() / m.shape.Unit)
	for i := range uint32(got) {
		fresh := m.of(pointer + i*step)
		for _, u := range m.used() {
			if fresh.from < u.to && u.from < fresh.to {
				t.Fatalf("[%d,%d) was given, and [%d,%d) is used", fresh.from, fresh.to, u.from, u.to)
			}
		}
		m.blocks = append(m.blocks, pointer+i*step)
	}
}

// end checks that nothing that is used lies behind the end.
func (m *spaceModel) end(t *rapid.T) {
	for _, list := range [][]uint32{m.blocks, m.given} {
		for _, p := range list {
			if m.of(p).to > m.space.End() {
				t.Fatalf("a block ends at %d, and the space at %d", m.of(p).to, m.space.End())
			}
		}
	}
	for _, f := range m.fixed {
		if f.to > m.space.End() {
			t.Fatalf("something ends at %d, and the space at %d", f.to, m.space.End())
		}
	}
}

// A space gives out nothing that is used, that is fixed, or that a durable
// pointer may lead to.
func TestSpaceGivesOutWhatIsFree(t *testing.T) {
	shapes := []Shape{
		{Block: 4096, Base: 700, Unit: 4096, None: 1 << 31, Align: 1},
		{Block: 512, Before: 512, Unit: 512, None: 1 << 31, Align: Page},
		{Block: 4096, Before: 512, Unit: 512, None: 1 << 31, Align: Page},
		{Block: 8192, Before: 100, Base: 64, Unit: 8292, None: 1 << 31, Align: 1},
	}
	rapid.Check(t, func(t *rapid.T) {
		m := &spaceModel{shape: rapid.SampledFrom(shapes).Draw(t, "shape")}
		m.space = Behind(m.shape, m.shape.Base)
		t.Repeat(map[string]func(*rapid.T){
			"take": m.take,
			"give": func(t *rapid.T) {
				if len(m.blocks) == 0 {
					t.Skip("no block")
				}
				i := rapid.IntRange(0, len(m.blocks)-1).Draw(t, "which")
				m.space.Give(m.blocks[i])
				m.given = append(m.given, m.blocks[i])
				m.blocks = slices.Delete(m.blocks, i, i+1)
			},
			"back": func(t *rapid.T) {
				if len(m.blocks) > 0 {
					last := len(m.blocks) - 1
					m.space.Back(m.blocks[last], 1)
					m.blocks = m.blocks[:last]
				}
			},
			"append": func(t *rapid.T) {
				n := rapid.Int64Range(1, 2000).Draw(t, "bytes")
				at := m.space.Append(n)
				m.fixed = append(m.fixed, place{at, at + n})
			},
			"settle": func(*rapid.T) {
				m.space.Settle()
				m.durable, m.given = append(m.durable, m.given...), nil
			},
			"reuse": func(*rapid.T) {
				m.space.Reuse(func(int64, int64) {})
				m.durable = nil
			},
			"look anew": func(*rapid.T) { // as after opening
				if len(m.given)+len(m.durable) > 0 {
					return
				}
				var fixed []Span
				for _, f := range m.fixed {
					fixed = append(fixed, Span{From: f.from, To: f.to})
				}
				slices.Sort(m.blocks)
				at := make([]int64, len(m.blocks))
				for i, p := range m.blocks {
					at[i] = m.shape.At(p)
				}
				m.space = NewSpace(m.shape, fixed, at, 0)
			},
			"": m.end,
		})
	})
}

func TestSpaceEndsWhereTheLastBlockDoes(t *testing.T) {
	shape := Shape{Block: 4096, Unit: 4096, None: 100, Align: 1}
	s := Behind(shape, 0)
	for want := range uint32(100) {
		if p, got := s.Take(1); p != want || got != 1 {
			t.Fatalf("block %d is at %d (%d)", want, p, got)
		}
	}
	if _, got := s.Take(1); got != 0 {
		t.Error("a block was put where no pointer leads")
	}
	for _, p := range []uint32{98, 97, 99, 4} {
		s.Give(p)
	}
	if s.Reuse(func(int64, int64) { t.Error("what durable pointers lead to was given back") }) {
		t.Error("the end moved before the pointers were durable")
	}
	s.Settle()
	if !s.Reuse(func(int64, int64) {}) || s.End() != 97*4096 {
		t.Errorf("the end is at %d", s.End())
	}
	if p, got := s.Take(3); p != 4 || got != 1 {
		t.Errorf("the gap is at 4; %d blocks were given at %d", got, p)
	}
}
