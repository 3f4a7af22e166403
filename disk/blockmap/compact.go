package blockmap

import "context"

// movedAtOnce is how many bytes are copied before the pointers are made durable.
const movedAtOnce = 64 << 20

// Compact gives up blocks that the disk reads the same without, then moves the
// last blocks into the gaps. A block is copied before its pointer leads to the
// copy, and its old place is cut off only when the pointer is durable.
func (m *Image) Compact(ctx context.Context, progress func(done, total int64)) (freed int64, err error) {
	err = m.AloneSettled(func() error {
		before := m.File.End()
		if err := m.giveUpNeedless(ctx, progress); err != nil {
			return m.brokenOff(err)
		}
		s, err := m.Survey(ctx)
		if err != nil {
			return err
		}
		m.Space = m.FindSpace(s, 0)
		if err := m.closeGaps(ctx, s); err != nil {
			return m.brokenOff(err)
		}
		if err := m.kind.Shorten(); err != nil {
			return err
		}
		freed = max(0, before-m.File.End())
		return m.Flush()
	})
	return freed, err
}

// brokenOff makes durable what was done before an error, which it returns.
func (m *Image) brokenOff(err error) error {
	_ = m.Flush() // what was done is no worse than what was to be
	return err
}

func (m *Image) giveUpNeedless(ctx context.Context, progress func(done, total int64)) error {
	s, err := m.Survey(ctx)
	if err != nil {
		return err
	}
	for i, h := range s.Held {
		if err := ctx.Err(); err != nil {
			return err
		}
		needless, err := m.kind.Needless(h)
		if err != nil {
			return err
		}
		if needless {
			if err := m.kind.GiveUp(h); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(int64(i+1)*m.Shape.Block, int64(len(s.Held))*m.Shape.Block)
		}
	}
	if err := m.Flush(); err != nil {
		return err
	}
	return m.Reclaim()
}

// closeGaps moves the last blocks of the file into the first gaps.
func (m *Image) closeGaps(ctx context.Context, s Survey) error {
	copied := int64(0)
	for i := len(s.Held) - 1; i >= 0 && m.Space.gapBefore(m.Shape.At(s.Held[i].Pointer)); i-- {
		if err := m.move(s.Held[i]); err != nil {
			return err
		}
		m.Space.Give(s.Held[i].Pointer)
		if copied += m.Shape.Stride(); copied < movedAtOnce {
			continue
		}
		copied = 0
		if err := m.Flush(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if err := m.Flush(); err != nil {
		return err
	}
	return m.Reclaim()
}
