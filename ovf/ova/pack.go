package ova

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/panalvm/panal/ovf"
)

// PackFile is a file to be put in an archive, that can be read twice.
type PackFile struct {
	Name string
	Size int64
	// Open opens the content at its start.
	Open func() (io.ReadCloser, error)
}

// Pack writes an archive of files that are there already, with the manifest
// right behind the descriptor: each file is read once for its digest and once
// for its content. Use a [Writer] to read them only once.
func Pack(ctx context.Context, w io.Writer, descriptor []byte, files []PackFile, o WriterOptions) error {
	out, err := NewWriter(w, o)
	if err != nil {
		return err
	}
	if err := out.WriteDescriptor(descriptor); err != nil {
		return err
	}
	if !o.NoManifest {
		var digests []ovf.Digest
		for _, f := range files {
			sum, err := f.sum(ctx, out.options.Digest)
			if err != nil {
				return err
			}
			digests = append(digests, ovf.Digest{File: f.Name, Algorithm: out.options.Digest, Sum: sum})
		}
		if err := out.WriteManifest(digests); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := f.read(ctx, func(r io.Reader) error { return out.Add(f.Name, f.Size, r) }); err != nil {
			return err
		}
	}
	return out.Close()
}

func (f PackFile) sum(ctx context.Context, a ovf.Algorithm) ([]byte, error) {
	h := a.New()
	err := f.read(ctx, func(r io.Reader) error {
		_, err := io.CopyBuffer(h, r, make([]byte, pieceSize))
		return err
	})
	return h.Sum(nil), err
}

// read hands the content to a function.
func (f PackFile) read(ctx context.Context, use func(io.Reader) error) error {
	r, err := f.Open()
	if err == nil {
		err = errors.Join(use(cancellable{ctx, r}), r.Close())
	}
	if err != nil {
		return fmt.Errorf("packing %q: %w", f.Name, err)
	}
	return nil
}

// cancellable stops reading when a context is done.
type cancellable struct {
	ctx context.Context
	r   io.Reader
}

func (c cancellable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
