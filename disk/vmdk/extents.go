package vmdk

import (
	"github.com/panalvm/panal/disk"
)

// openExtent opens a sparse extent of whatever kind its signature says: a
// SPARSE line may lead to a COWD file. size is what the descriptor says, in bytes;
// below zero the extent's own header decides.
func openExtent(p *part, k kind, size int64, write bool) (*sparse, error) {
	magic := make([]byte, 4)
	if _, err := p.file.ReadAt(magic, 0); err != nil {
		return nil, disk.Corrupt(name, 0, "the extent has no header: %v", err)
	}
	if k != se {
		k = hosted
		if string(magic) == magicCOWD {
			k = cowd
		}
	}
	length, err := p.file.Size()
	if err != nil {
		return nil, err
	}
	s := &sparse{part: p, kind: k}
	s.end.Store(length)
	switch k {
	case cowd:
		err = s.openCOWD()
	case se:
		err = s.openSE()
	default:
		err = s.openHosted(write)
	}
	if err != nil {
		return nil, err
	}
	if write && k != hosted {
		return nil, disk.Unsupported(name, "%s extents can be read, not written; convert the image", s.createType())
	}
	s.covered = s.size
	if size >= 0 {
		s.size, s.covered = size, min(size, s.size)
	}
	return s, nil
}

// createType is what an image of such an extent alone is called.
func (s *sparse) createType() string {
	switch {
	case s.kind == cowd:
		return "vmfsSparse"
	case s.kind == se:
		return "seSparse"
	case s.codec != nil:
		return "streamOptimized"
	}
	return "monolithicSparse"
}

// openHosted opens an extent with a KDMV header.
func (s *sparse) openHosted(write bool) error {
	h, err := readHeader(s.part.file, 0)
	if err != nil {
		return err
	}
	s.header, s.size, s.grain = h, int64(h.capacity)*sector, int64(h.grain)*sector
	if h.compressed() {
		return s.openCompressed()
	}
	if h.gd == gdAtEnd {
		return disk.Corrupt(name, offGD, "the grain directory is said to be at the end, which only compressed extents have")
	}
	d, err := s.openDirectory(h)
	if err != nil {
		return err
	}
	s.find = d
	if write {
		return s.openWriter(d)
	}
	return nil
}

// openDirectory reads the grain directory; the second one if the first
// cannot be read.
func (s *sparse) openDirectory(h header) (*directory, error) {
	n := h.tables()
	d, err := s.directoryAt(h.gd, n, h)
	if h.flags&flagRedundant == 0 || h.rgd == 0 {
		return d, err
	}
	if err != nil {
		second, failed := s.directoryAt(h.rgd, n, h)
		if failed != nil {
			return nil, err
		}
		second.broken = err
		return second, nil
	}
	if h.rgd <= maxCapacity {
		d.rgd, d.rgdErr = readDirectory(s.part.file, int64(h.rgd)*sector, n)
	}
	return d, nil
}

func (s *sparse) directoryAt(at uint64, n int64, h header) (*directory, error) {
	if at == 0 || at > maxCapacity {
		return nil, disk.Corrupt(name, offGD, "the grain directory is said to be at sector %d", at)
	}
	d, err := newDirectory(s.part.file, int64(at)*sector, n, int64(h.entries), &s.end)
	if err != nil {
		return nil, err
	}
	d.zeroed = h.flags&flagZeroed != 0
	return d, nil
}
