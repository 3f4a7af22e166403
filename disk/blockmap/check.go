package blockmap

import (
	"context"
	"fmt"
	"slices"

	"github.com/panalvm/panal/disk"
)

// Check looks at the headers and at all pointers.
func (m *Image) Check(ctx context.Context) (r disk.Report, err error) {
	m.Describing(func() { r, _, err = m.examine(ctx) })
	return r, err
}

func (m *Image) examine(ctx context.Context) (disk.Report, Survey, error) {
	s, err := m.Survey(ctx)
	if err != nil {
		return disk.Report{}, s, err
	}
	r := disk.Report{Blocks: m.Shape.Blocks(), Allocated: int64(len(s.Held))}
	if s.Crowded {
		r.Add(disk.Finding{Severity: disk.Damage, Offset: m.Shape.Table, Reason: crowded})
	}
	for _, f := range s.Faults {
		r.Add(disk.Finding{Severity: disk.Damage, Offset: m.Shape.EntryAt(f.Index), Reason: m.say(f), Remedy: m.remedy(f)})
	}
	m.kind.Examine(&r, s)
	return r, s, nil
}

func (m *Image) remedy(f Fault) string {
	switch {
	case f.Lost:
		return m.words.Lost
	case f.Over != "":
		return "the block is copied to a place of its own"
	}
	return fmt.Sprintf("block %d gets a copy of its own; which of the two is right cannot be known", f.Index)
}

// Leak adds space that is used by nothing to a check. Where blocks are damaged
// it is left for who looks for what they held.
func (s Survey) Leak(r *disk.Report, bytes int64, reason, remedy string) {
	if r.Leaked = bytes; bytes <= 0 {
		return
	}
	if len(s.Faults) > 0 {
		reason, remedy = reason+"; what the damaged blocks held may be there, so this is mended when they are", ""
	}
	r.Add(disk.Finding{Severity: disk.Leak, Offset: -1, Reason: reason, Remedy: remedy})
}

// Repair mends headers and pointers, or when no block is damaged, closes gaps.
func (m *Image) Repair(ctx context.Context) (r disk.Report, err error) {
	err = m.Alone(func() error {
		var s Survey
		if r, s, err = m.examine(ctx); err != nil || s.Crowded {
			r.Findings = nil
			return err
		}
		if r = Mended(r); len(r.Findings) == 0 {
			return nil
		}
		return m.mend(ctx, s, slices.ContainsFunc(r.Findings, func(f disk.Finding) bool { return f.Severity == disk.Leak }))
	})
	return r, err
}

// Mended leaves of a report what has a remedy.
func Mended(r disk.Report) disk.Report {
	r.Findings = slices.DeleteFunc(slices.Clone(r.Findings), func(f disk.Finding) bool { return f.Remedy == "" })
	return r
}

// mend does what a check promised. When it is broken off the image goes by what
// is in the file.
func (m *Image) mend(ctx context.Context, s Survey, leaks bool) (err error) {
	if m.Space != nil {
		if err := m.Flush(); err != nil {
			return err
		}
	}
	defer m.Forget()
	if m.Space = m.FindSpace(s, 0); len(s.Faults) > 0 {
		m.Space = Behind(m.Shape, max(m.File.End(), s.End))
	}
	if err := m.kind.Mend(); err != nil {
		return err
	}
	if len(s.Faults) > 0 {
		err = m.mendPointers(s)
	} else if leaks {
		err = m.closeGaps(ctx, s)
	}
	if err != nil {
		return err
	}
	if err := m.kind.Shorten(); err != nil {
		return err
	}
	return m.Flush()
}

// mendPointers gives each block a place of its own, behind all that the file
// has.
func (m *Image) mendPointers(s Survey) error {
	for _, f := range s.Faults {
		if f.Lost {
			if err := m.kind.Lose(f.Index); err != nil {
				return err
			}
		} else if err := m.move(f.Held); err != nil {
			return err
		}
	}
	return m.Flush()
}

// move copies a block to the first room.
func (m *Image) move(h Held) error {
	to, _, err := m.Take(1)
	if err != nil {
		return err
	}
	if err := m.File.Copy(m.Shape.At(to), m.Shape.At(h.Pointer), m.Shape.Stride()); err != nil {
		return err
	}
	return m.kind.Point(h.Index, to)
}
