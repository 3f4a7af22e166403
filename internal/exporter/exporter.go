// Package exporter gives machines back in a form that other programs take: OVF,
// as an archive or as a folder.
//
//	Machine: spec, images ──► descriptor ┐
//	                      ──► disks      ├──► web.ova, in one pass, or a folder
//	                      ──► manifest   ┘
//
// Disks become streamOptimized VMDK, which is what all readers of OVF take,
// unless another format is asked for. They are written as they are read: nothing is
// kept beside.
package exporter

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
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
	Name    string // of the whole: what the descriptor is called
	Version ovf.Version
	Dialect envelope.Dialect
	Format  string        // "vmdk:streamOptimized" or another that can be streamed; empty for that
	Digest  ovf.Algorithm // 0 for SHA-256
	Licence string        // a text that who imports must agree to; empty for none
	// Key signs, with the certificate that Chain begins with; nil leaves it unsigned.
	Key   crypto.Signer
	Chain []*x509.Certificate
	// Progress is told how many bytes of all disks are done.
	Progress func(done, total int64)
}

// defaultFormat is what every reader of OVF takes.
const defaultFormat = "vmdk:streamOptimized"

// uris are the names of formats in descriptors. VMware's is the one that all know.
var uris = map[string]string{
	"vmdk": "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized",
	"vhd":  "http://go.microsoft.com/fwlink/?LinkId=137171",
	"raw":  "http://www.panalvm.org/formats/raw", "qcow2": "http://www.gnome.org/~markmc/qcow-image-format.html",
}

// member is a disk on its way out.
type member struct {
	file    string
	img     disk.Image
	optical bool
}

// plan is what an export consists of.
type plan struct {
	env     *ovf.Envelope
	members []member
	format  string
	total   int64
}

// CheckFormat tells whether disks can be exported in a format; an empty one is
// the default.
func CheckFormat(name string) error {
	if name == "" {
		return nil
	}
	if _, _, err := disk.Find(formats.All(), name); err != nil {
		return err
	}
	const some = 1 << 20
	if _, err := disk.NewStream(io.Discard, disk.CreateOptions{Formats: formats.All(), Format: name, Size: some, FS: disk.NoFS{}}); err != nil {
		return disk.Usage("%s cannot be written in one pass, as an appliance needs it", name)
	}
	return nil
}

// newPlan describes the machines.
func newPlan(machines []Machine, o Options) (*plan, error) {
	p := &plan{format: o.Format}
	if p.format == "" {
		p.format = defaultFormat
	}
	if err := CheckFormat(o.Format); err != nil {
		return nil, err
	}
	format, _, err := disk.Find(formats.All(), p.format)
	if err != nil {
		return nil, err
	}
	var outgoing []envelope.Outgoing
	for i, m := range machines {
		out := envelope.Outgoing{Spec: m.Spec}
		for _, d := range m.Spec.Drives {
			img := m.Images[d.Name]
			if img == nil {
				continue
			}
			file := fmt.Sprintf("%s-%s.%s", o.Name, d.Name, format.Name)
			if len(machines) > 1 {
				file = fmt.Sprintf("%s-%d-%s.%s", o.Name, i+1, d.Name, format.Name)
			}
			optical := d.Kind != api.Disk
			if optical {
				file = file[:len(file)-len(format.Name)] + "iso"
			}
			p.members = append(p.members, member{file, img, optical})
			p.total += img.Size()
			out.Disks = append(out.Disks, envelope.OutgoingDisk{Drive: d.Name, File: file, Format: uris[format.Name], Size: img.Size()})
		}
		outgoing = append(outgoing, out)
	}
	p.env = envelope.Write(o.Name, outgoing, o.Dialect)
	if o.Licence != "" {
		addLicence(p.env.Content, o.Licence)
	}
	return p, nil
}

// addLicence puts a licence into every machine.
func addLicence(content []ovf.Content, text string) {
	for _, c := range content {
		switch c := c.(type) {
		case *ovf.VirtualSystem:
			section := &ovf.EulaSection{Head: ovf.Head{Info: ovf.Plain("The licence")}, License: ovf.Plain(text)}
			c.Sections = append([]ovf.Section{section}, c.Sections...)
		case *ovf.Collection:
			addLicence(c.Content, text)
		}
	}
}

// ToArchive writes machines as an OVA. When w is a new file that can be sought
// in, it is written in one pass; otherwise each disk passes through a temporary file
// in scratch, since an archive states the length of what follows.
func ToArchive(ctx context.Context, w io.Writer, scratch string, machines []Machine, o Options) (err error) {
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
	err = p.write(ctx, o, func(name string) (io.WriteCloser, error) { return out.Create(name, scratch) })
	return errors.Join(err, out.Close())
}

// write writes the disks one after another.
func (p *plan) write(ctx context.Context, o Options, create func(name string) (io.WriteCloser, error)) error {
	var before int64
	for _, m := range p.members {
		file, err := create(m.file)
		if err != nil {
			return err
		}
		progress := func(done, _ int64) {
			if o.Progress != nil {
				o.Progress(before+done, p.total)
			}
		}
		if err := p.content(ctx, file, m, progress); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", m.file, err), file.Close())
		}
		if err := file.Close(); err != nil {
			return fmt.Errorf("%s: %w", m.file, err)
		}
		before += m.img.Size()
	}
	return nil
}

// content writes one disk.
func (p *plan) content(ctx context.Context, w io.Writer, m member, progress func(done, total int64)) error {
	format := p.format
	if m.optical {
		format = "raw"
	}
	o := disk.CreateOptions{Formats: formats.All(), Format: format, Size: m.img.Size(), FS: disk.NoFS{}}
	if !strings.HasPrefix(format, "vmdk") && format != "raw" {
		// Tables come before what they tell of.
		const finest = 64 << 10 // no format's block is smaller by default
		var err error
		if o.Data, err = disk.DataOf(ctx, m.img, finest); err != nil {
			return err
		}
	}
	sink, err := disk.NewStream(w, o)
	if err != nil {
		return err
	}
	return disk.Fill(ctx, sink, m.img, disk.CopyOptions{Progress: progress})
}

// ToFolder writes machines as an OVF with its files beside it, which create
// makes.
func ToFolder(ctx context.Context, create func(name string) (io.WriteCloser, error), machines []Machine, o Options) error {
	p, err := newPlan(machines, o)
	if err != nil {
		return err
	}
	algorithm := o.Digest
	if algorithm == 0 {
		algorithm = ovf.SHA256
	}
	manifest := &ovf.Manifest{}
	digested := func(name string) (io.WriteCloser, error) {
		file, err := create(name)
		if err != nil {
			return nil, err
		}
		return &digester{WriteCloser: file, hash: algorithm.New(), end: func(sum []byte) {
			manifest.Digests = append(manifest.Digests, ovf.Digest{File: name, Algorithm: algorithm, Sum: sum})
		}}, nil
	}
	descriptor, err := digested(o.Name + ".ovf")
	if err != nil {
		return err
	}
	if err := errors.Join(ovf.Write(descriptor, p.env, o.Version), descriptor.Close()); err != nil {
		return err
	}
	if err := p.write(ctx, o, digested); err != nil {
		return err
	}
	return seal(create, manifest, algorithm, o)
}

// seal writes the manifest and the certificate.
func seal(create func(name string) (io.WriteCloser, error), manifest *ovf.Manifest, algorithm ovf.Algorithm, o Options) error {
	var text bytes.Buffer
	if err := manifest.Write(&text); err != nil {
		return err
	}
	if err := writeFile(create, o.Name+".mf", text.Bytes()); err != nil || o.Key == nil {
		return err
	}
	certificate, err := ovf.Sign(o.Name+".mf", text.Bytes(), algorithm, o.Key, o.Chain)
	if err != nil {
		return err
	}
	text.Reset()
	if err := certificate.Write(&text); err != nil {
		return err
	}
	return writeFile(create, o.Name+".cert", text.Bytes())
}

func writeFile(create func(name string) (io.WriteCloser, error), name string, text []byte) error {
	file, err := create(name)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
