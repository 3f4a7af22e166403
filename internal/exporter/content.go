package exporter

import (
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/pgzip"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/ovf"
)

// content writes what a file holds: its disk, compressed and encrypted if that
// is wanted.
func (p *plan) content(ctx context.Context, w io.Writer, f *file, step string) error {
	if f.held != nil {
		_, err := w.Write(f.held.data)
		f.held = nil
		return err
	}
	layers := []io.Closer{}
	if p.cipher != nil {
		sealed, err := p.cipher.Writer(w)
		if err != nil {
			return err
		}
		w, layers = sealed, append(layers, sealed)
	}
	if p.zipped(f) {
		packer, err := zip(w)
		if err != nil {
			return err
		}
		w, layers = packer, append(layers, packer)
	}
	err := p.image(ctx, w, f, step)
	for i := len(layers) - 1; i >= 0; i-- {
		if failed := layers[i].Close(); err == nil {
			err = failed // of several errors the first says why
		}
	}
	return err
}

// zipBlock is how many bytes a goroutine compresses at a time.
const zipBlock = 1 << 20

// zip compresses, in several goroutines, into what every reader of gzip takes.
func zip(w io.Writer) (io.WriteCloser, error) {
	packer, err := pgzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	return packer, packer.SetConcurrency(zipBlock, 4)
}

// image writes a disk in its format.
func (p *plan) image(ctx context.Context, w io.Writer, f *file, step string) error {
	sink, err := p.sink(ctx, w, f)
	if err != nil {
		return err
	}
	return disk.Fill(ctx, sink, f.img, disk.CopyOptions{Progress: func(done, _ int64) {
		if p.Progress != nil {
			p.Progress(step, f.before+done, p.total)
		}
	}})
}

// finest is the smallest block that a format has by default.
const finest = 64 << 10

func (p *plan) sink(ctx context.Context, w io.Writer, f *file) (disk.Sink, error) {
	o := disk.CreateOptions{Formats: formats.All(), Format: f.format, Size: f.img.Size(), FS: disk.NoFS{}}
	if !f.packed && f.format != "raw" {
		// Tables come before what they tell of.
		var err error
		if o.Data, err = disk.DataOf(ctx, f.img, finest); err != nil {
			return nil, err
		}
	}
	return disk.NewStream(w, o)
}

// heldMost is how much of a disk is kept while its length is found out.
const heldMost = 32 << 20

// held counts what is written, and keeps it as long as it is short.
type held struct {
	n    int64
	data []byte
	long bool
}

func (h *held) Write(b []byte) (int, error) {
	h.n += int64(len(b))
	if h.long = h.long || h.n > heldMost; h.long {
		h.data = nil
	} else {
		h.data = append(h.data, b...)
	}
	return len(b), nil
}

// measure finds out how long a file becomes.
func (p *plan) measure(ctx context.Context, f *file) (int64, error) {
	if !f.packed && !p.zipped(f) {
		n, err := p.imageLength(ctx, f)
		if p.cipher != nil {
			n = ovf.EncryptedSize(n)
		}
		return n, err
	}
	counted := &held{}
	if err := p.content(ctx, counted, f, stepMeasuring); err != nil {
		return 0, err
	}
	if !counted.long {
		f.held = counted
	}
	return counted.n, nil
}

// imageLength is the length of an image whose blocks stay as they are: those
// that were announced are there, whether they come or not.
func (p *plan) imageLength(ctx context.Context, f *file) (int64, error) {
	if f.format == "raw" {
		return f.img.Size(), nil
	}
	var n counter
	sink, err := p.sink(ctx, &n, f)
	if err != nil {
		return 0, err
	}
	return int64(n), errors.Join(sink.Close(), ctx.Err())
}

// counter counts what is written.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
