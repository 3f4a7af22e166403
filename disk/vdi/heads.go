package vdi

import (
	"context"

	"github.com/panalvm/panal/disk/blockmap"
)

// Heads writes the header, which goes with the blocks: its number of used places
// must never be lower than what the map uses, or other programs would put new blocks
// over old ones. The file is made as long as its last place, of which maybe only
// the beginning was written.
func (m *image) Heads() error {
	if !m.stale {
		return nil
	}
	if m.Space != nil {
		if err := m.File.Extend(m.Space.End()); err != nil {
			return err
		}
	}
	return m.writeHeader()
}

// noteUsed makes the number of used places no lower than it must be.
func (m *image) noteUsed() { m.setUsed(max(m.placesBefore(m.Space.End()), int64(m.head.used()))) }

func (m *image) setUsed(used int64) {
	m.stale = true
	m.head.setU32(m.head.at.used, uint32(used))
	m.used.Store(used)
}

// writeHeader writes the header, which lies in one sector.
func (m *image) writeHeader() error {
	if _, err := m.File.WriteAt(m.head.raw, 0); err != nil {
		return err
	}
	m.stale = false
	return nil
}

// Shorten makes the number of used places what it is, and cuts the file behind
// the last.
func (m *image) Shorten() error {
	m.setUsed(m.placesBefore(m.Space.End()))
	if err := m.writeHeader(); err != nil {
		return err
	}
	return m.File.Cut(m.Space.End())
}

// Used is nothing: places are counted from behind all else.
func (*image) Used() []blockmap.Span { return nil }

// Mend has nothing to do: the number of used places is set when all is mended.
func (*image) Mend() error { return nil }

// Compact gives back what is not needed, but of a fixed image.
func (m *image) Compact(ctx context.Context, progress func(done, total int64)) (int64, error) {
	if m.fixed && m.CanWrite() {
		return 0, nil
	}
	return m.Image.Compact(ctx, progress)
}

// rewriteHeader changes the header, durably, when all else is.
func (m *image) rewriteHeader(change func(header)) error {
	return m.Alone(func() error {
		if err := m.Flush(); err != nil {
			return err
		}
		next := m.head.clone()
		change(next)
		if _, err := m.File.WriteAt(next.raw, 0); err != nil {
			return err
		}
		m.head = next
		return m.File.Sync()
	})
}
