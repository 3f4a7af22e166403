package diskfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/luks"
)

// Make says what image is to be made.
type Make struct {
	Format       string            // "vdi:fixed"; "" to go by the name's extension
	Size         int64             // 0 with a parent: as the parent
	Parent       string            // the name of the parent; "" for none
	ParentFormat string            // "" to look at its content
	UUID         string            // "" for a random one
	Options      map[string]string // what the format offers besides
	Compress     bool              // the blocks are to be compressed, in the way that the format does unless told otherwise
	Replace      bool              // a file of that name may be replaced
	Passphrase   []byte            // the image is encrypted by a key of its own, which this opens; nil for none
	Keep         []string          // files that must not be replaced: those of a conversion's source (see Place.Files)
}

// Create makes an empty image. One that is to be above itself, a bundle, takes a
// snapshot.
func (p Place) Create(name string, m Make) (info disk.Info, err error) {
	switch {
	case name == "":
		return info, errNoName
	case name == "-":
		return info, disk.Usage("an empty image is not written to standard output; name a file")
	case m.Parent == "-":
		return info, disk.Usage("standard input cannot be a parent: the image could not name it")
	}
	if p.isItsOwnParent(name, m.Parent) {
		return p.takeSnapshot(name, m)
	}
	to, err := p.destination(name, m)
	if err != nil {
		return info, err
	}
	if isDevice(to.path) {
		return createOnDevice(to, m)
	}
	stage := hostfs.NewStage(to.files)
	defer stage.Abort()
	options, err := m.options(to.format, stage)
	if err != nil {
		return info, err
	}
	if m.Parent != "" {
		parent, names, err := p.openNamed(m.Parent, OpenOptions{Format: m.ParentFormat})
		if err != nil {
			return info, fmt.Errorf("the parent: %w", err)
		}
		defer parent.Close()
		m.Keep = append(m.Keep, filesOf(names)...)
		options.Parent = parent
		if err := encryptAs(parent, &options); err != nil {
			return info, err
		}
		if options.ParentName, err = relative(to.path, m.Parent); err != nil {
			return info, err
		}
	}
	img, err := disk.Create(to.path, options)
	if err != nil {
		return info, err
	}
	info = disk.Describe(img)
	if err := errors.Join(img.Close(), m.spares(stage.Names()...)); err != nil {
		return info, err
	}
	return info, stage.Commit(m.Replace)
}

// encryptAs has an image encrypted by the key of what it stands on: nothing of that is to come into
// the clear by being changed.
func encryptAs(parent disk.Image, o *disk.CreateOptions) error {
	header, err := disk.EncryptionHeader(parent)
	switch {
	case err != nil || header == nil:
		return err
	case o.Encryption != nil:
		return disk.Usage("the parent is encrypted, and what stands on it has its key; it takes no other passphrase")
	}
	o.Encryption = header
	return nil
}

// options are what the format is told. Compression is the format's to name, and
// variants that always compress need not be told.
func (m Make) options(format string, files disk.FS) (disk.CreateOptions, error) {
	o := disk.CreateOptions{
		FS: files, Formats: formats.All(), Format: format, Size: m.Size, ParentFormat: m.ParentFormat, UUID: m.UUID, Options: m.Options,
	}
	if m.Passphrase != nil {
		var err error
		if o.Encryption, err = luks.New(m.Passphrase, 0); err != nil {
			return o, err
		}
		o.Keys = luks.NewKeys(m.Passphrase)
	}
	if !m.Compress {
		return o, nil
	}
	f, name, err := disk.Find(o.Formats, format)
	if err != nil {
		return o, err
	}
	variant, err := f.Variant(name)
	if err != nil || variant.Always {
		return o, err
	}
	i := slices.IndexFunc(f.Options, func(o disk.Option) bool {
		return strings.EqualFold(o.Name, compression) && (o.Variants == nil || slices.Contains(o.Variants, variant.Name))
	})
	if i < 0 {
		return o, disk.Unsupported(f.Name, "images of this kind cannot be compressed")
	}
	return o, nil
}

// compression is what formats call the option that says how blocks are
// compressed.
const compression = "compression"

// Convert writes what src holds, its parents included, into a new image, and
// tells what that is. progress is as in disk.CopyOptions.
func (p Place) Convert(ctx context.Context, src disk.Image, dst string, m Make, stdout io.Writer, progress func(done, total int64)) (disk.Info, error) {
	to, err := p.destination(dst, m)
	if err != nil {
		return disk.Info{}, err
	}
	if err := m.spares(to.path); err != nil {
		return disk.Info{}, err
	}
	m.Size = wholeSectors(src.Size(), to.format)
	copying := disk.CopyOptions{Progress: progress}
	if dst == "-" {
		return disk.Info{Size: m.Size}, stream(ctx, stdout, src, to, m, copying)
	}
	if isDevice(to.path) && m.Passphrase != nil {
		return disk.Info{}, disk.Unsupported("raw", "images of this kind cannot be encrypted; QCOW2 images can")
	}
	if isDevice(to.path) {
		room, err := ontoDevice(ctx, to, src, copying)
		return disk.Info{Size: m.Size, Allocated: room}, err
	}
	stage := hostfs.NewStage(to.files)
	defer stage.Abort()
	options, err := m.options(to.format, stage)
	if err != nil {
		return disk.Info{}, err
	}
	img, err := disk.Create(to.path, options)
	if err != nil {
		return disk.Info{}, err
	}
	if err := fill(ctx, img, src, m, copying); err != nil {
		_ = img.Close() // it would say the same again
		return disk.Info{}, err
	}
	info := disk.Describe(img)
	if err := errors.Join(img.Close(), stage.Sync(), ctx.Err(), m.spares(stage.Names()...)); err != nil {
		return info, err
	}
	return info, stage.Commit(m.Replace)
}

// wholeSectors is the size of a disk that takes in size bytes: every format but
// raw knows whole sectors only.
func wholeSectors(size int64, format string) int64 {
	const sector = 512
	f, _, err := disk.Find(formats.All(), format)
	if err != nil || f.Name == "raw" || size%sector == 0 {
		return size
	}
	return size + sector - size%sector
}

// fill gives a new image its content, compressed if that is its kind or was
// asked for, and makes it durable.
func fill(ctx context.Context, img, src disk.Image, m Make, o disk.CopyOptions) error {
	if compressed(img, m) {
		c, ok := img.(disk.Compressor)
		if !ok {
			return disk.Unsupported(disk.Describe(img).Format, "images of this kind cannot be compressed")
		}
		sink, err := c.Compressing()
		if err != nil {
			return err
		}
		if err := disk.Fill(ctx, sink, src, o); err != nil {
			return err
		}
	} else if err := disk.Copy(ctx, img, src, o); err != nil {
		return err
	}
	return img.(disk.Writer).Sync()
}

// compressed tells whether the blocks are to be compressed: always in some
// variants, in others when compression was chosen.
func compressed(img disk.Image, m Make) bool {
	info := disk.Describe(img)
	f, _, err := disk.Find(formats.All(), info.Format)
	if err != nil {
		return false
	}
	if v, err := f.Variant(info.Variant); err == nil && v.Always {
		return true
	}
	for name, value := range m.Options {
		if strings.EqualFold(name, compression) {
			return !strings.EqualFold(value, "off") && !strings.EqualFold(value, "none")
		}
	}
	return m.Compress
}

// stream writes an image that needs no seeking.
func stream(ctx context.Context, w io.Writer, src disk.Image, to destination, m Make, copying disk.CopyOptions) error {
	o, err := m.options(to.format, disk.NoFS{})
	if err != nil {
		return err
	}
	const finest = 64 << 10 // no format's block is smaller by default; finer ranges help none
	if o.Data, err = disk.DataOf(ctx, src, finest); err != nil {
		return err
	}
	sink, err := disk.NewStream(w, o)
	if err != nil {
		return err
	}
	return disk.Fill(ctx, sink, src, copying)
}

// ontoDevice writes onto a block device, which stays where it is, and tells how
// many bytes that has.
func ontoDevice(ctx context.Context, to destination, src disk.Image, copying disk.CopyOptions) (room int64, err error) {
	if err := to.fitsDevice(); err != nil {
		return 0, err
	}
	img, err := disk.Open(to.path, disk.Options{FS: to.files, Formats: formats.All(), Format: "raw", Write: true})
	if err != nil {
		return 0, err
	}
	room = img.Size()
	if room < src.Size() {
		return room, errors.Join(disk.Usage("%s has %d bytes, the disk %d", to.path, room, src.Size()), img.Close())
	}
	err = disk.ZeroBySteps(ctx, img, 0, src.Size())
	if err == nil {
		err = disk.Copy(ctx, img, src, copying)
	}
	if err == nil {
		err = img.(disk.Writer).Sync()
	}
	return room, errors.Join(err, img.Close())
}

// fitsDevice refuses formats that are files.
func (d destination) fitsDevice() error {
	f, _, err := disk.Find(formats.All(), d.format)
	if err == nil && f.Name != "raw" {
		err = disk.Usage("%s is a block device; only raw can be written onto one", d.path)
	}
	return err
}

// createOnDevice makes an empty disk on a block device, which stays where it is.
func createOnDevice(to destination, m Make) (info disk.Info, err error) {
	if err := to.fitsDevice(); err != nil {
		return info, err
	}
	if m.Parent != "" {
		return info, disk.Unsupported("raw", "images of this kind cannot have a parent")
	}
	options, err := m.options(to.format, to.files)
	if err != nil {
		return info, err
	}
	device, err := to.files.Open(to.path, true)
	if err != nil {
		return info, err
	}
	img, err := disk.CreateFile(device, to.path, options)
	if err != nil {
		return info, err
	}
	info = disk.Describe(img)
	return info, img.Close()
}
