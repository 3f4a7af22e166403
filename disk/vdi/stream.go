package vdi

import (
	"encoding/binary"
	"io"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// stream writes an image in one pass: header, map, and blocks.
func stream(w io.Writer, t *disk.Target) (disk.Sink, error) {
	h, err := newHeader(t)
	if err != nil {
		return nil, err
	}
	s := &blockmap.Stream{W: w, Format: name, Block: int64(h.blockSize()), Size: h.diskSize(), Data: t.Data, All: h.kind() == typeFixed}
	h.setU32(h.at.used, uint32(s.Held()))
	if _, err := w.Write(h.raw); err != nil {
		return nil, err
	}
	if err := s.Zeros(h.offMap() - int64(len(h.raw))); err != nil {
		return nil, err
	}
	if err := s.Pointers(binary.LittleEndian, 0, 1, unallocated); err != nil {
		return nil, err
	}
	return s, s.Zeros(h.offData() - h.offMap() - 4*int64(h.blocks()))
}
