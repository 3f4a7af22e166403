package disk

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// CreateOptions say what image is to be made.
type CreateOptions struct {
	FS           FS                // where
	Formats      []*Format         // those that are known
	Format       string            // as for Find: "vdi:fixed"
	Size         int64             // of the disk, bytes; 0 with a parent: the parent's
	Parent       Image             // of a differencing image; stays the caller's
	ParentName   string            // the path that is written into the image
	ParentFormat string            // the parent's format; "" is what it describes itself as
	UUID         string            // "" for a random one
	Created      time.Time         // the zero time for now
	Options      map[string]string // what the format offers besides
	Data         []Extent          // for Stream: the ranges that will be appended
	// Encryption is the LUKS header of an image that is to be encrypted, which Keys
	// opens; without Keys its content is locked. Not all formats can be.
	Encryption []byte
	Keys       Keys
}

// Create makes an empty image and opens it for writing. The name must not
// exist (fs.ErrExist). After an error nothing is left of it.
func Create(name string, o CreateOptions) (Image, error) {
	f, t, err := o.target()
	if err != nil {
		return nil, err
	}
	if f.Create == nil || !t.Variant.Create {
		return nil, Unsupported(whole(f.Name, t.Variant.Name), "images of this kind can be read, not made")
	}
	made := &recorder{FS: o.FS}
	t.FS, t.Name = made, name
	if t.File, err = made.Create(name); err != nil {
		return nil, err
	}
	img, err := f.Create(t)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), made.removeAll())
	}
	return img, nil
}

// CreateFile makes an empty image in a file that is open and empty already,
// or in a block device. After an error the file is closed; its content is
// undefined.
func CreateFile(file File, name string, o CreateOptions) (Image, error) {
	f, t, err := o.target()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if f.Create == nil || !t.Variant.Create {
		return nil, errors.Join(Unsupported(whole(f.Name, t.Variant.Name), "images of this kind can be read, not made"), file.Close())
	}
	t.FS, t.Name, t.File = o.FS, name, file
	if t.FS == nil {
		t.FS = NoFS{}
	}
	return f.Create(t)
}

// NewStream makes an image to something that cannot seek, in one pass.
func NewStream(w io.Writer, o CreateOptions) (Sink, error) {
	f, t, err := o.target()
	if err != nil {
		return nil, err
	}
	if f.Stream == nil || !t.Variant.Stream {
		return nil, Unsupported(whole(f.Name, t.Variant.Name), "images of this kind cannot be written to a pipe; write to a file")
	}
	return f.Stream(w, t)
}

// target checks the options.
func (o CreateOptions) target() (*Format, *Target, error) {
	f, name, err := Find(o.Formats, o.Format)
	if err != nil {
		return nil, nil, err
	}
	variant, given, err := variantOf(f, name, o.Options)
	if err != nil {
		return nil, nil, err
	}
	if o.Size == 0 && o.Parent != nil {
		o.Size = o.Parent.Size()
	}
	if o.Size < 0 {
		return nil, nil, Usage("a disk cannot have %d bytes", o.Size)
	}
	if o.Parent != nil && !variant.Parent {
		return nil, nil, Unsupported(whole(f.Name, variant.Name), "images of this kind cannot have a parent")
	}
	if o.Encryption != nil && !f.Encrypts {
		return nil, nil, Unsupported(whole(f.Name, variant.Name), "images of this kind cannot be encrypted; QCOW2 images can")
	}
	chosen, err := choose(f, variant.Name, given)
	if err != nil {
		return nil, nil, err
	}
	if o.ParentFormat == "" && o.Parent != nil {
		o.ParentFormat = Describe(o.Parent).Format
	}
	if o.Created.IsZero() {
		o.Created = time.Now()
	}
	return f, &Target{
		Variant: variant, Size: o.Size, Parent: o.Parent, ParentName: o.ParentName, ParentFormat: o.ParentFormat,
		UUID: o.UUID, Created: o.Created.UTC(), Data: o.Data, Encryption: o.Encryption, Keys: o.Keys, chosen: chosen,
	}, nil
}

// recorder is an FS that knows which files were made in it.
type recorder struct {
	FS
	made []string
}

// Create makes a file and remembers it.
func (r *recorder) Create(name string) (File, error) {
	f, err := r.FS.Create(name)
	if err == nil {
		r.made = append(r.made, name)
	}
	return f, err
}

// Remove deletes a file, and forgets it.
func (r *recorder) Remove(name string) error {
	err := r.FS.Remove(name)
	if err == nil {
		r.made = slices.DeleteFunc(r.made, func(made string) bool { return made == name })
	}
	return err
}

// Rename renames a file, where the FS below can.
func (r *recorder) Rename(from, to string) error { return Rename(r.FS, from, to) }

func (r *recorder) removeAll() error {
	var failed error
	for _, name := range r.made {
		failed = errors.Join(failed, r.FS.Remove(name))
	}
	return failed
}
