package diskfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
)

// Make says what image is to be made.
type Make struct {
	Format       string            // "vdi:fixed"; "" to go by the name's extension
	Size         int64             // 0 with a parent: as the parent
	Parent       string            // the name of the parent; "" for none
	ParentFormat string            // "" to look at its content
	UUID         string            // "" for a random one
	Options      map[string]string // what the format offers besides
	Replace      bool              // a file of that name may be replaced
}

// Create makes an empty image.
func (p Place) Create(name string, m Make) (info disk.Info, err error) {
	format, err := formatFor(name, m.Format)
	if err != nil {
		return info, err
	}
	path, files, err := p.forNew(name)
	if err != nil {
		return info, err
	}
	stage := hostfs.NewStage(files)
	defer stage.Abort()
	options := m.options(format, stage)
	if m.Parent != "" {
		parent, err := p.Open(m.Parent, OpenOptions{Format: m.ParentFormat})
		if err != nil {
			return info, fmt.Errorf("the parent: %w", err)
		}
		defer parent.Close()
		options.Parent = parent
		if options.ParentName, err = relative(path, m.Parent); err != nil {
			return info, err
		}
	}
	img, err := disk.Create(path, options)
	if err != nil {
		return info, err
	}
	info = disk.Describe(img)
	if err := img.Close(); err != nil {
		return info, err
	}
	return info, stage.Commit(m.Replace)
}

func (m Make) options(format string, files disk.FS) disk.CreateOptions {
	return disk.CreateOptions{
		FS: files, Formats: formats.All(), Format: format, Size: m.Size, ParentFormat: m.ParentFormat, UUID: m.UUID, Options: m.Options,
	}
}

// Convert writes what src holds, its parents included, into a new image.
// progress is as in disk.CopyOptions.
func (p Place) Convert(ctx context.Context, src disk.Image, dst string, m Make, stdout io.Writer, progress func(done, total int64)) error {
	format, err := formatFor(dst, m.Format)
	if err != nil {
		return err
	}
	m.Size = src.Size()
	copying := disk.CopyOptions{Progress: progress}
	if dst == "-" {
		return stream(ctx, stdout, src, m.options(format, disk.NoFS{}), copying)
	}
	path, files, err := p.forNew(dst)
	if err != nil {
		return err
	}
	if isDevice(path) {
		return ontoDevice(ctx, files, path, src, m.options(format, files), copying)
	}
	stage := hostfs.NewStage(files)
	defer stage.Abort()
	img, err := disk.Create(path, m.options(format, stage))
	if err != nil {
		return err
	}
	if err := fill(ctx, img, src, m, copying); err != nil {
		return errors.Join(err, img.Close())
	}
	if err := img.Close(); err != nil {
		return err
	}
	return stage.Commit(m.Replace)
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
		if strings.EqualFold(name, "compression") {
			return !strings.EqualFold(value, "off") && !strings.EqualFold(value, "none")
		}
	}
	return false
}

// stream writes an image that needs no seeking.
func stream(ctx context.Context, to io.Writer, src disk.Image, o disk.CreateOptions, copying disk.CopyOptions) error {
	const finest = 64 << 10 // no format's block is smaller by default; finer ranges help none
	data, err := disk.DataOf(src, finest)
	if err != nil {
		return err
	}
	o.Data = data
	sink, err := disk.NewStream(to, o)
	if err != nil {
		return err
	}
	return disk.Fill(ctx, sink, src, copying)
}

// ontoDevice writes onto a block device, which stays where it is.
func ontoDevice(ctx context.Context, files *hostfs.FS, path string, src disk.Image, o disk.CreateOptions, copying disk.CopyOptions) error {
	f, _, err := disk.Find(o.Formats, o.Format)
	if err != nil {
		return err
	}
	if f.Name != "raw" {
		return disk.Usage("%s is a block device; only raw can be written onto one", path)
	}
	img, err := disk.Open(path, disk.Options{FS: files, Formats: o.Formats, Format: "raw", Write: true})
	if err != nil {
		return err
	}
	if img.Size() < src.Size() {
		return errors.Join(disk.Usage("%s has %d bytes, the disk %d", path, img.Size(), src.Size()), img.Close())
	}
	err = disk.Zero(img, 0, src.Size())
	if err == nil {
		err = disk.Copy(ctx, img, src, copying)
	}
	if err == nil {
		err = img.(disk.Writer).Sync()
	}
	return errors.Join(err, img.Close())
}

// forNew is where a new image is to be, and what lies around it. Parallels
// bundles are made as directories by the format's own naming.
func (p Place) forNew(name string) (string, *hostfs.FS, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return "", nil, err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrNotExist}
	}
	path = filepath.Join(dir, filepath.Base(path))
	files, err := p.around(path)
	return path, files, err
}

func isDevice(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&fs.ModeDevice != 0 && info.Mode()&fs.ModeCharDevice == 0
}

// formatFor is the format that was asked for, or the one whose images are
// usually named so.
func formatFor(name, format string) (string, error) {
	if format != "" {
		return format, nil
	}
	extension := strings.TrimPrefix(strings.ToLower(filepath.Ext(name)), ".")
	for _, f := range formats.All() {
		for _, e := range f.Extensions {
			if e == extension {
				return f.Name, nil
			}
		}
	}
	return "", disk.Usage("%s does not tell by its name what format it is to have; say it", name)
}

// relative is a parent's path as it is written into a child: from the child's
// directory.
func relative(child, parent string) (string, error) {
	abs, err := filepath.Abs(parent)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	return filepath.Rel(filepath.Dir(child), abs)
}
