package vhd

import (
	"errors"
	"io"

	"github.com/panalvm/panal/disk"
)

// forward reads an image that comes through a pipe. The footer of one that grows
// has a copy in front; of a fixed one the footer comes last, and tells how long
// the disk was.
func forward(p *disk.Pipe) (disk.Stream, error) {
	if len(p.Head) >= footerSize {
		if head := footer(p.Head[:footerSize]); head.plausible() && head.kind() != kindFixed {
			return disk.Forward(p, func(f disk.File) disk.File { return &headed{File: f, head: head} })
		}
	}
	return &fixedPipe{from: p, size: -1}, nil
}

// headed is a file whose end is not there yet: it has the footer that stands in
// front.
type headed struct {
	disk.File
	head footer
}

// ReadAt reads the file, and at its end the footer.
func (h *headed) ReadAt(p []byte, off int64) (int, error) {
	size, err := h.Size()
	if err != nil {
		return 0, err
	}
	if off != size-footerSize || len(p) != footerSize {
		return h.File.ReadAt(p, off)
	}
	return copy(p, h.head), nil
}

// fixedPipe is a fixed image.
type fixedPipe struct {
	from *disk.Pipe
	held []byte // may be the footer
	at   int64  // of held
	size int64  // of the disk; -1 until the end has come
	over bool
}

// pipePiece is how much is read at once.
const pipePiece = 1 << 20

// Size is the disk's, -1 until the end has come.
func (s *fixedPipe) Size() int64 { return s.size }

// Describe says what it is.
func (s *fixedPipe) Describe() disk.Info {
	return disk.Info{Format: name, Variant: fixed, Size: s.size}
}

// Next reads on, and holds back what may be the footer.
func (s *fixedPipe) Next(buffer []byte) (disk.Piece, error) {
	if s.over {
		return disk.Piece{}, io.EOF
	}
	if cap(buffer) < pipePiece+footerSize {
		buffer = make([]byte, pipePiece+footerSize)
	}
	had := copy(buffer[:cap(buffer)], s.held)
	n, err := io.ReadFull(s.from, buffer[had:had+pipePiece])
	all := buffer[:had+n]
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return s.end(all)
	case err != nil:
		return disk.Piece{}, err
	}
	whole := len(all) - footerSize
	s.held = append(s.held[:0], all[whole:]...)
	return s.piece(all[:whole]), nil
}

func (s *fixedPipe) piece(content []byte) disk.Piece {
	p := disk.Piece{Off: s.at, Len: int64(len(content)), Raw: content}
	s.at += p.Len
	return p
}

// end finds the footer in what came last.
func (s *fixedPipe) end(all []byte) (disk.Piece, error) {
	foot, short := asTail(last(all, footerSize))
	if foot == nil || foot.kind() != kindFixed {
		return disk.Piece{}, disk.Corrupt(name, s.at+int64(max(0, len(all)-footerSize)), "there is no footer at the end: the image is cut short, or is none")
	}
	length := footerSize
	if short {
		length--
	}
	s.over = true
	p := s.piece(all[:len(all)-length])
	s.size = foot.size(s.at)
	if s.size > s.at {
		return p, disk.Corrupt(name, s.at, "the disk is said to have %d bytes, and %d came", s.size, s.at)
	}
	if p.Len == 0 {
		return p, io.EOF
	}
	return p, nil
}

// Decode has nothing to decode.
func (s *fixedPipe) Decode(_ []byte, p disk.Piece) ([]byte, error) { return p.Raw, nil }

// Close has nothing to give back.
func (s *fixedPipe) Close() error { return nil }
