package vhd

import (
	"encoding/binary"
	"io"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// fixedPiece is the unit in which a fixed image is streamed.
const fixedPiece = 1 << 20

// stream writes an image in one pass.
func stream(w io.Writer, t *disk.Target) (disk.Sink, error) {
	foot, err := newFooter(t)
	if err != nil {
		return nil, err
	}
	s := &blockmap.Stream{W: w, Format: name, Size: foot.current(), Data: t.Data, Tail: foot}
	if foot.kind() == kindFixed {
		s.Block, s.All, s.Short = fixedPiece, true, true
		return s, nil
	}
	head, err := newHeader(t, foot)
	if err != nil {
		return nil, err
	}
	s.Block = head.blockSize()
	return s, writeHead(s, foot, head)
}

// smallBlock is the length of blocks below which what alignment costs counts.
const smallBlock = 64 << 10

// writeHead writes all that stands before the first block. Data is put at
// pages: before each block's bitmap are some bytes of nothing.
func writeHead(s *blockmap.Stream, foot footer, head header) error {
	unit := int64(blockmap.Page)
	if s.Block < smallBlock {
		unit = sector
	}
	bitmap := bitmapSize(s.Block)
	stride := roundUp(bitmap+s.Block, unit)
	aside := stride - s.Block - bitmap
	first := roundUp(head.tableEnd()+aside+bitmap, unit) - bitmap
	s.Before = make([]byte, aside+bitmap)
	for i := range max(1, s.Block/sector/8) {
		s.Before[aside+i] = 0xff
	}
	for _, p := range [][]byte{foot, head.seal()} {
		if _, err := s.W.Write(p); err != nil {
			return err
		}
	}
	if err := s.Pointers(binary.BigEndian, first/sector, stride/sector, free); err != nil {
		return err
	}
	// The first block brings the bytes before its own bitmap along.
	return s.Zeros(first - aside - (int64(head.u64(atTable)) + 4*head.entries()))
}
