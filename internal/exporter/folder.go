package exporter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/panalvm/panal/ovf"
	"github.com/panalvm/panal/ovf/ova"
)

// ToFolder writes machines as an OVF with its files beside it, which create
// makes; the descriptor is the first that is made, and the last that is complete.
func ToFolder(ctx context.Context, create func(name string) (io.WriteCloser, error), machines []Machine, o Options) error {
	p, err := newPlan(machines, o)
	if err != nil {
		return err
	}
	descriptor, err := create(o.Name + ".ovf")
	if err != nil {
		return err
	}
	f := &folder{plan: p, create: create, algorithm: o.Digest}
	if f.algorithm == 0 {
		f.algorithm = ovf.SHA256
	}
	err = p.write(ctx, func(_ context.Context, of *file) (io.WriteCloser, error) { return f.begin(of) })
	if err == nil {
		err = f.descriptor(descriptor)
	}
	if closed := descriptor.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return f.seal()
}

// folder writes the files of a package beside each other.
type folder struct {
	*plan
	create    func(name string) (io.WriteCloser, error)
	algorithm ovf.Algorithm
	manifest  ovf.Manifest
}

// begin makes a disk's file.
func (f *folder) begin(of *file) (io.WriteCloser, error) {
	w, err := f.create(of.name)
	if err != nil {
		return nil, err
	}
	return &digested{WriteCloser: w, Digester: ova.NewDigester(f.algorithm), end: func(n int64, sum []byte) {
		i := slices.IndexFunc(f.env.Files, func(other ovf.File) bool { return other.Href == of.name })
		f.env.Files[i].Size = &n
		f.digest(of.name, sum)
	}}, nil
}

func (f *folder) digest(name string, sum []byte) {
	f.manifest.Digests = append(f.manifest.Digests, ovf.Digest{File: name, Algorithm: f.algorithm, Sum: sum})
}

// descriptor writes the descriptor, and puts it first in the manifest, where
// most programs have it.
func (f *folder) descriptor(w io.Writer) error {
	var text bytes.Buffer
	if err := ovf.Write(&text, f.env, f.Version); err != nil {
		return err
	}
	h := f.algorithm.New()
	h.Write(text.Bytes()) // never fails
	f.digest(f.Name+".ovf", h.Sum(nil))
	last := len(f.manifest.Digests) - 1
	f.manifest.Digests = append(f.manifest.Digests[last:], f.manifest.Digests[:last]...)
	_, err := w.Write(text.Bytes())
	return err
}

// seal writes the manifest and the certificate.
func (f *folder) seal() error {
	var text, signature bytes.Buffer
	if err := f.manifest.Write(&text); err != nil {
		return err
	}
	if err := f.put(f.Name+".mf", text.Bytes()); err != nil || f.Key == nil {
		return err
	}
	certificate, err := ovf.Sign(f.Name+".mf", text.Bytes(), f.algorithm, f.Key, f.Chain)
	if err != nil {
		return err
	}
	if err := certificate.Write(&signature); err != nil {
		return err
	}
	return f.put(f.Name+".cert", signature.Bytes())
}

func (f *folder) put(name string, text []byte) error {
	w, err := f.create(name)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return errors.Join(err, w.Close())
}

// digested computes the digest of what is written, in a goroutine beside.
type digested struct {
	io.WriteCloser
	*ova.Digester
	n      int64
	end    func(n int64, sum []byte)
	closed bool
}

// Write writes on.
func (d *digested) Write(p []byte) (int, error) {
	n, err := d.WriteCloser.Write(p)
	d.Digester.Write(p[:n])
	d.n += int64(n)
	return n, err
}

// Close closes the file and tells the digest.
func (d *digested) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	sum := d.Sum()
	if err := d.WriteCloser.Close(); err != nil {
		return err
	}
	d.end(d.n, sum)
	return nil
}
