package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// HostCopier is an image that can take content straight from a file.
type HostCopier interface {
	// CopyHost makes n bytes at off what src holds at srcOff, as
	// RangeCopier.CopyRange does.
	CopyHost(off int64, src File, srcOff, n int64) (int64, error)
}

// CopyOptions say how content is copied.
type CopyOptions struct {
	// Progress, when set, is told now and then how far the work has come on the
	// disk, in bytes. Calls come one after another.
	Progress func(done, total int64)
	// Workers is how many goroutines read and encode; 0 for as many as the
	// processors need.
	Workers int
	// From is where Copy begins, in bytes: what lies before is in dst already. It is
	// 0, or an end that Written was told of in an earlier copy.
	From int64
	// Written, when set, is told by Copy of each range that was written, in bytes: all
	// before its end is in dst then, though not synced. Calls come one after another, in
	// ascending order; an error ends the copy.
	Written func(off, end int64) error
}

func (o CopyOptions) written(s span) error {
	if o.Written == nil {
		return nil
	}
	return o.Written(s.off, s.end)
}

func (o CopyOptions) progress(done, total int64) {
	if o.Progress != nil {
		o.Progress(done, total)
	}
}

// Copy makes dst read as src does, looking through src's parents. dst is new:
// it reads as zeros, and is at least as long as src. What is zero in
// src stays unallocated in dst. dst is not synced.
func Copy(ctx context.Context, dst, src Image, o CopyOptions) error {
	w, ok := dst.(Writer)
	if !ok {
		return ErrReadOnly
	}
	if src.Size() > dst.Size() {
		return fmt.Errorf("%d bytes into a disk of %d: %w", src.Size(), dst.Size(), ErrRange)
	}
	if o.From == 0 && o.Written == nil { // the kernel copies in an order of its own
		if done, err := copyHost(ctx, dst, src, o); done || err != nil {
			return err
		}
	}
	unit := min(max(Describe(dst).BlockSize, 4<<10), 64<<10)
	unit &= -unit // a power of two that divides it
	pool := buffers(chunk)
	return byTurns(ctx, copiers(o.Workers), dataSpans(src, chunk, unit), func(s span, turn func() error) error {
		if s.off = max(s.off, o.From); s.off >= s.end {
			return nil
		}
		p, err := pool.read(src, s)
		if err != nil {
			return err
		}
		defer pool.put(p)
		full := dataRuns(p, s.off, int(unit))
		if err := turn(); err != nil {
			return err
		}
		o.progress(s.off, src.Size())
		for _, r := range full {
			if _, err := w.WriteAt(p[r.off-s.off:r.end-s.off], r.off); err != nil {
				return err
			}
		}
		return o.written(s)
	})
}

// dataRuns lists the ranges of p, which lies at off of a disk, whose units are not
// all zero.
func dataRuns(p []byte, off int64, unit int) []span {
	var runs []span
	for begin := 0; begin < len(p); {
		end := min(begin+unit-int(off+int64(begin))%unit, len(p))
		if !isZero(p[begin:end]) {
			if n := len(runs); n > 0 && runs[n-1].end == off+int64(begin) {
				runs[n-1].end = off + int64(end)
			} else {
				runs = append(runs, span{off + int64(begin), off + int64(end)})
			}
		}
		begin = end
	}
	return runs
}

func isZero(p []byte) bool {
	for len(p) > len(zeros) {
		if !bytes.Equal(p[:len(zeros)], zeros[:]) {
			return false
		}
		p = p[len(zeros):]
	}
	return bytes.Equal(p, zeros[:len(p)])
}

// copyHost lets the kernel copy, when all of src lies as it is in files and
// dst can take it so; done tells whether it did.
func copyHost(ctx context.Context, dst, src Image, o CopyOptions) (done bool, err error) {
	to, ok := dst.(HostCopier)
	if !ok || !plain(ctx, src) {
		return false, nil
	}
	for e, err := range Extents(ctx, src, 0, src.Size()) {
		if err != nil {
			return false, err
		}
		for e.State == Data && e.Len > 0 {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			o.progress(e.Off, src.Size())
			n, err := to.CopyHost(e.Off, e.File, e.HostOff, min(e.Len, 64*chunk))
			if errors.Is(err, errors.ErrUnsupported) || err == nil && n == 0 {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			e.Off, e.HostOff, e.Len = e.Off+n, e.HostOff+n, e.Len-n
		}
	}
	return true, nil
}

// plain tells whether an image is nothing but the content of a file: one that
// maps its beginning so, has no parent, and no blocks.
func plain(ctx context.Context, img Image) bool {
	if img.Size() == 0 || Parent(img) != nil || Describe(img).BlockSize != 0 {
		return false
	}
	for e, err := range Extents(ctx, img, 0, img.Size()) {
		if err != nil || e.State == Data {
			return err == nil && e.File != nil && !e.Compressed
		}
	}
	return true
}

// Fill gives the content of src to a sink, block by block, and completes it.
func Fill(ctx context.Context, sink Sink, src Image, o CopyOptions) error {
	unit := int64(sink.BlockSize())
	step := max(chunk, unit)
	pool, encoded := buffers(int(step)), buffers(int(step)+int(step)/8)
	err := byTurns(ctx, workers(o.Workers), dataSpans(src, step, unit), func(s span, turn func() error) error {
		p, err := pool.read(src, s)
		if err != nil {
			return err
		}
		defer pool.put(p)
		b := batch{off: s.off, unit: unit, buffer: encoded.get(0)}
		defer func() { encoded.put(b.buffer) }()
		if err := b.encode(sink, p); err != nil {
			return err
		}
		if err := turn(); err != nil {
			return err
		}
		o.progress(s.off, src.Size())
		return b.append(sink)
	})
	if err != nil {
		return err
	}
	return sink.Close()
}

// batch is the encoded form of the blocks of a span.
type batch struct {
	off, unit int64
	buffer    []byte
	ends      []int // of each block in buffer; -1 of one that is zero
}

// encode encodes the blocks of p.
func (b *batch) encode(sink Sink, p []byte) (err error) {
	for ; len(p) > 0; p = p[min(b.unit, int64(len(p))):] {
		block, end := p[:min(b.unit, int64(len(p)))], -1
		if !isZero(block) {
			if b.buffer, err = encodeBlock(sink, b.buffer, block); err != nil {
				return err
			}
			end = len(b.buffer)
		}
		b.ends = append(b.ends, end)
	}
	return nil
}

// append hands the blocks to the sink.
func (b *batch) append(sink Sink) error {
	begin := 0
	for i, end := range b.ends {
		if end < 0 {
			continue
		}
		if err := sink.Append(b.off+int64(i)*b.unit, b.buffer[begin:end:end]); err != nil {
			return err
		}
		begin = end
	}
	return nil
}

// encodeBlock appends a block's encoded form, also when the sink gives back
// the block itself.
func encodeBlock(sink Sink, dst, block []byte) ([]byte, error) {
	out, err := sink.Encode(dst, block)
	if err != nil {
		return dst, err
	}
	if len(out) > 0 && len(block) == len(out) && &out[0] == &block[0] {
		return append(dst, block...), nil
	}
	return out, nil
}

// DataOf lists the ranges of img, blocks of the given size, that may hold data:
// what CreateOptions.Data wants before a stream.
func DataOf(ctx context.Context, img Image, block int64) ([]Extent, error) {
	var all []Extent
	for s, err := range dataSpans(img, max(chunk, block), block)(ctx) {
		if err != nil {
			return nil, err
		}
		if n := len(all); n > 0 && all[n-1].End() == s.off {
			all[n-1].Len += s.end - s.off
			continue
		}
		all = append(all, Extent{Off: s.off, Len: s.end - s.off, State: Data})
	}
	return all, nil
}

// bufferPool lends buffers of one capacity.
type bufferPool struct{ pool sync.Pool }

func buffers(capacity int) *bufferPool {
	return &bufferPool{sync.Pool{New: func() any { p := make([]byte, capacity); return &p }}}
}

func (b *bufferPool) get(n int) []byte { return (*b.pool.Get().(*[]byte))[:n] }

func (b *bufferPool) put(p []byte) { p = p[:0]; b.pool.Put(&p) }

// read reads a span of an image into a buffer that is to be put back.
func (b *bufferPool) read(img Image, s span) ([]byte, error) {
	p := b.get(int(s.end - s.off))
	if n, err := img.ReadAt(p, s.off); err != nil && (err != io.EOF || n < len(p)) {
		b.put(p)
		return nil, err
	}
	return p, nil
}
