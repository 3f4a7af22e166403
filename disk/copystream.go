package disk

import (
	"context"
	"errors"
	"io"
	"iter"
)

// CopyStream makes dst read as src does. dst is new: it reads as zeros, and is
// at least as long as src; where the size of src is not known before its end,
// dst is made as long in the end. What is zero in src stays unallocated. dst is not
// synced. When ctx ends while src waits for its pipe, CopyStream waits with it:
// close the pipe.
func CopyStream(ctx context.Context, dst Image, src Stream, o CopyOptions) error {
	w, ok := dst.(Writer)
	if !ok {
		return ErrReadOnly
	}
	if src.Size() > dst.Size() {
		return Usage("%d bytes do not go into a disk of %d", src.Size(), dst.Size())
	}
	c := &streamCopy{dst: dst, w: w, src: src, options: o, raw: buffers(0), plain: buffers(MaxPiece), known: src.Size() >= 0}
	c.unit = min(max(Describe(dst).BlockSize, 4<<10), 64<<10)
	c.unit &= -c.unit
	if err := byTurns(ctx, workers(o.Workers), c.pieces, c.copy); err != nil || c.known {
		return err
	}
	return Resize(dst, src.Size())
}

// streamCopy is the work of CopyStream.
type streamCopy struct {
	dst        Image
	w          Writer
	src        Stream
	options    CopyOptions
	unit       int64
	raw, plain *bufferPool
	known      bool  // the size is, beforehand
	done       int64 // how far the disk was written
}

// pieces reads src.
func (c *streamCopy) pieces(ctx context.Context) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		for ctx.Err() == nil {
			p, err := c.src.Next(c.raw.get(0))
			if errors.Is(err, io.EOF) || !yield(p, err) || err != nil {
				return
			}
		}
		yield(Piece{}, ctx.Err())
	}
}

// copy decodes and writes a piece.
func (c *streamCopy) copy(p Piece, turn func() error) error {
	buffer := c.plain.get(MaxPiece)
	defer c.plain.put(buffer)
	if p.Raw != nil {
		defer c.raw.put(p.Raw)
	}
	content, err := c.src.Decode(buffer, p)
	if err != nil {
		return err
	}
	full := dataRuns(content, p.Off, int(c.unit))
	if err := turn(); err != nil {
		return err
	}
	if err := c.grow(p.Off + p.Len); err != nil {
		return err
	}
	for _, r := range full {
		if _, err := c.w.WriteAt(content[r.off-p.Off:r.end-p.Off], r.off); err != nil {
			return err
		}
	}
	c.done = max(c.done, p.Off+p.Len)
	c.options.progress(c.done, max(c.src.Size(), c.done))
	return nil
}

// grow makes dst long enough, and by so much more that it is seldom needed.
func (c *streamCopy) grow(end int64) error {
	if c.known || end <= c.dst.Size() {
		return nil
	}
	return Resize(c.dst, max(end, 2*c.dst.Size(), 1<<30))
}
