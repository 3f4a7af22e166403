package raw

import (
	"errors"
	"io"

	"github.com/panalvm/panal/disk"
)

// forwardPiece is how much is read at once.
const forwardPiece = 1 << 20

// pipe is a disk that comes through a pipe, byte for byte.
type pipe struct {
	from *disk.Pipe
	at   int64
	size int64 // -1 until it is known
}

func forward(p *disk.Pipe) (disk.Stream, error) { return &pipe{from: p, size: p.Size}, nil }

// Size is the disk's, -1 until the end has come.
func (s *pipe) Size() int64 { return s.size }

// Describe says that it is a raw disk.
func (s *pipe) Describe() disk.Info {
	return disk.Info{Format: "raw", Variant: plain, Size: s.size, Guessed: true}
}

// Next reads on.
func (s *pipe) Next(buffer []byte) (disk.Piece, error) {
	if cap(buffer) < forwardPiece {
		buffer = make([]byte, forwardPiece)
	}
	n, err := io.ReadFull(s.from, buffer[:forwardPiece])
	p := disk.Piece{Off: s.at, Len: int64(n), Raw: buffer[:n]}
	s.at += int64(n)
	switch ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); {
	case ended && s.size >= 0 && s.at < s.size:
		return p, disk.Corrupt("raw", s.at, "the disk ends here; it was to have %d bytes", s.size)
	case ended && n == 0:
		s.size = s.at
		return p, io.EOF
	case ended:
		return p, nil
	}
	return p, err
}

// Decode has nothing to decode.
func (s *pipe) Decode(_ []byte, p disk.Piece) ([]byte, error) { return p.Raw, nil }

// Close has nothing to give back.
func (s *pipe) Close() error { return nil }
