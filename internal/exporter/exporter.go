// Package exporter gives machines back in a form that other programs take: OVF,
// as an archive or as a folder.
//
//	Machine: spec, images ──► descriptor ┐
//	                      ──► disks      ├──► web.ova, a pipe, or a folder
//	                      ──► manifest   ┘
//
//	image ──► encoder of a format ──► gzip ──► cipher ──► digest ──► member
//	          in several goroutines   if asked for        in its own
//
// Disks become streamOptimized VMDK, which is what all readers of OVF take,
// unless another format is asked for. They are written as they are read: nothing is
// kept beside. A pipe wants to know how long a member is before it comes: see
// [ToPipe].
package exporter

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/ovf"
	"github.com/panalvm/panal/ovf/ova"
)

// Machine is a machine that is to be exported.
type Machine struct {
	Spec api.Spec
	// Images are the content of its drives, by their names. They are read, and
	// stay open.
	Images map[string]disk.Image
}

// Options say how.
type Options struct {
	Name    string // what the files are called, without what tells them apart
	Title   string // what the appliance is called; empty for Name
	Version ovf.Version
	Dialect envelope.Dialect
	Format  string        // "vmdk:streamOptimized" or another that can be streamed; empty for that
	Digest  ovf.Algorithm // 0 for SHA-256
	Licence string        // a text that who imports must agree to; empty for none
	// Properties are what who imports may set, with their defaults.
	Properties map[string]string
	// Compress makes files smaller by gzip, where the format does not compress.
	Compress bool
	// Passphrase encrypts the disks; empty for none. It needs OVF 2.0.
	Passphrase string
	// Key signs, with the certificate that Chain begins with; nil leaves it unsigned.
	Key   crypto.Signer
	Chain []*x509.Certificate
	// Progress is told how many bytes of all disks are done, and of what.
	Progress func(step string, done, total int64)
}

// The steps that Progress is told of.
const (
	stepWriting   = "writing disks"
	stepMeasuring = "finding out how long the disks become"
)

// ToArchive writes machines as an OVA, in one pass. W is a new file that can be
// sought in: a member's header states its length, and is written when that is known.
func ToArchive(ctx context.Context, w io.WriteSeeker, machines []Machine, o Options) error {
	return archive(ctx, w, machines, o, func(p *plan, out *ova.Writer) creator {
		return func(_ context.Context, f *file) (io.WriteCloser, error) { return out.Create(f.name, "") }
	})
}

// ToPipe writes machines as an OVA to what cannot be sought in. The length of a
// disk, which stands before it, follows from what the image holds where blocks
// stay as they are (raw, VHD, QCOW2 and so on); a disk that is compressed is
// compressed twice, the first time to learn its length alone. Nothing is kept
// meanwhile but the first of it, so that small disks are compressed once.
func ToPipe(ctx context.Context, w io.Writer, machines []Machine, o Options) error {
	return archive(ctx, w, machines, o, func(p *plan, out *ova.Writer) creator {
		return func(ctx context.Context, f *file) (io.WriteCloser, error) {
			length, err := p.measure(ctx, f)
			if err != nil {
				return nil, err
			}
			return out.Begin(f.name, length)
		}
	})
}

// creator begins a file of the package.
type creator func(ctx context.Context, f *file) (io.WriteCloser, error)

func archive(ctx context.Context, w io.Writer, machines []Machine, o Options, how func(*plan, *ova.Writer) creator) error {
	p, err := newPlan(machines, o)
	if err != nil {
		return err
	}
	out, err := ova.NewWriter(w, ova.WriterOptions{Name: o.Name, Digest: o.Digest, Key: o.Key, Chain: o.Chain})
	if err != nil {
		return err
	}
	if err := out.WriteEnvelope(p.env, o.Version); err != nil {
		return err
	}
	if err := p.write(ctx, how(p, out)); err != nil {
		return err // the archive is spoilt, and would only say so again
	}
	return out.Close()
}

// write writes the disks one after another.
func (p *plan) write(ctx context.Context, create creator) error {
	for i := range p.files {
		f := &p.files[i]
		w, err := create(ctx, f)
		if err != nil {
			return said(f.name, err)
		}
		if err := p.content(ctx, w, f, stepWriting); err != nil {
			_ = w.Close() // it says what was said
			return said(f.name, err)
		}
		if err := w.Close(); err != nil {
			return said(f.name, err)
		}
	}
	return nil
}

// said says which file an error is of, unless it says so.
func said(name string, err error) error {
	if of, ok := errors.AsType[*ova.Error](err); ok && of.Member == name {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}
