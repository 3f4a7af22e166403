package exporter

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/ovf"
)

// defaultFormat is what every reader of OVF takes.
const defaultFormat = "vmdk:streamOptimized"

// uris are the names of formats in descriptors. VMware's is the one that all know.
var uris = map[string]string{
	"vmdk": "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized",
	"vhd":  "http://go.microsoft.com/fwlink/?LinkId=137171",
	"vhdx": "http://www.panalvm.org/formats/vhdx", "vdi": "http://www.panalvm.org/formats/vdi", "parallels": "http://www.panalvm.org/formats/parallels",
	"raw": "http://www.panalvm.org/formats/raw", "qcow2": "http://www.gnome.org/~markmc/qcow-image-format.html",
}

// file is a disk on its way out.
type file struct {
	name   string
	img    disk.Image
	format string
	packed bool  // the format compresses by itself
	before int64 // bytes of the disks before it
	held   *held // what measuring kept of it; nil when that was all too long
}

// plan is what an export consists of.
type plan struct {
	Options
	env    *ovf.Envelope
	files  []file
	total  int64 // bytes that guests see
	cipher *ovf.Cipher
}

// named is the format that a user means: a VMDK in an appliance is a stream.
func named(name string) string {
	if name == "" || name == "vmdk" {
		return defaultFormat
	}
	return name
}

// CheckFormat tells whether disks can be exported in a format; an empty one is
// the default.
func CheckFormat(name string) error {
	name = named(name)
	if name == "iso" { // an alias of raw
		return disk.Usage("iso is for optical media, and these are disks")
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
	p := &plan{Options: o}
	p.Format = named(p.Format)
	if err := CheckFormat(o.Format); err != nil {
		return nil, err
	}
	var outgoing []envelope.Outgoing
	for i, m := range machines {
		stem := o.Name
		if len(machines) > 1 {
			stem = fmt.Sprintf("%s-%d", o.Name, i+1)
		}
		out, err := p.machine(m, stem)
		if err != nil {
			return nil, err
		}
		outgoing = append(outgoing, out)
	}
	p.env = envelope.Write(cmp.Or(o.Title, o.Name), outgoing, o.Dialect)
	if o.Licence != "" {
		addLicence(p.env.Content, o.Licence)
	}
	if err := addProperties(p.env, machines, o.Properties); err != nil {
		return nil, err
	}
	return p, p.seal()
}

// machine plans the files of a machine.
func (p *plan) machine(m Machine, stem string) (envelope.Outgoing, error) {
	out := envelope.Outgoing{Spec: m.Spec}
	format, variant, err := disk.Find(formats.All(), p.Format)
	if err != nil {
		return out, err
	}
	kind, err := format.Variant(variant)
	if err != nil {
		return out, err
	}
	for _, d := range m.Spec.Drives {
		img := m.Images[d.Name]
		if img == nil {
			continue
		}
		f := file{name: stem + "-" + d.Name + "." + format.Name, img: img, format: p.Format, packed: kind.Always, before: p.total}
		if d.Kind != api.Disk {
			f.name, f.format, f.packed = stem+"-"+d.Name+".iso", "raw", false
		}
		if p.zipped(&f) {
			f.name += ".gz"
		}
		p.files = append(p.files, f)
		p.total += img.Size()
		out.Disks = append(out.Disks, envelope.OutgoingDisk{Drive: d.Name, File: f.name, Format: uris[format.Name], Size: img.Size()})
	}
	return out, nil
}

// zipped tells whether a file is compressed besides.
func (p *plan) zipped(f *file) bool { return p.Compress && !f.packed }

// seal says in the descriptor which files are compressed and encrypted.
func (p *plan) seal() error {
	var ids []string
	for i := range p.files {
		at := slices.IndexFunc(p.env.Files, func(f ovf.File) bool { return f.Href == p.files[i].name })
		if at < 0 {
			return fmt.Errorf("the descriptor does not name the file %s", p.files[i].name)
		}
		if p.zipped(&p.files[i]) {
			p.env.Files[at].Compression = "gzip"
		}
		ids = append(ids, p.env.Files[at].ID)
	}
	if p.Passphrase == "" || len(ids) == 0 {
		return nil
	}
	if p.Version < ovf.Version20 {
		return errors.New("only OVF 2.0 knows of encryption")
	}
	var err error
	p.cipher, err = p.env.Encrypt(p.Passphrase, ids...)
	return err
}

// addLicence puts a licence into every machine.
func addLicence(content []ovf.Content, text string) {
	for _, c := range content {
		switch c := c.(type) {
		case *ovf.VirtualSystem:
			section := &ovf.EulaSection{Head: head("The licence"), License: ovf.Plain(text)}
			c.Sections = append([]ovf.Section{section}, c.Sections...)
		case *ovf.Collection:
			addLicence(c.Content, text)
		}
	}
}
