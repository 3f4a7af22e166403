package disktest

import (
	"cmp"
	"slices"

	"github.com/panalvm/panal/disk"
)

// Subject is a kind of image that the suite is run on.
type Subject struct {
	Format  *disk.Format
	Variant string            // "" is the format's first
	Formats []*disk.Format    // those that opening may need; nil is Format alone
	Options map[string]string // for creating
	Block   int64             // unit of allocation, bytes; 0 is 64 KiB
	Size    int64             // of the disks, bytes; 0 is some blocks and a half
	Align   int64             // sizes of disks are multiples of it; 0 is 512
	// File is the name of the file of an image; nil appends the format's first
	// extension.
	File func(image string) string

	Unsigned  bool // its files show no signature: they are opened by naming the format
	FixedSize bool // Resize is refused
	GrowOnly  bool // Resize to less is refused
	SameSize  bool // a differencing image is as large as its parent
	NoCheck   bool // has nothing that could be checked
	NoParent  bool // is never a differencing image, though others of the variant are

	// Rare subjects differ little from others and are run by thorough tests only
	// (see Thorough).
	Rare bool
	// Skip is why checks do not apply, by their name ("crash/child").
	Skip map[string]string
}

// withDefaults fills in what was left out.
func (s Subject) withDefaults() Subject {
	if s.Formats == nil {
		s.Formats = []*disk.Format{s.Format}
	}
	s.Block = cmp.Or(s.Block, 64<<10)
	s.Align = cmp.Or(s.Align, 512)
	if s.Size == 0 {
		s.Size = max(4*s.Block+s.Block/2, 300<<10) + 1
	}
	s.Size = s.aligned(s.Size)
	if s.File == nil {
		extension := s.Format.Name
		if len(s.Format.Extensions) > 0 {
			extension = s.Format.Extensions[0]
		}
		s.File = func(image string) string { return image + "." + extension }
	}
	return s
}

// aligned is the next size that the subject can have.
func (s Subject) aligned(size int64) int64 {
	size = max(size, 1)
	return (size + s.Align - 1) / s.Align * s.Align
}

// variant is the variant's description; of an unknown one it is empty.
func (s Subject) variant() disk.Variant {
	v, _ := s.Format.Variant(s.Variant)
	return v
}

// kind is what the subject is called when it is created.
func (s Subject) kind() string {
	if s.Variant == "" {
		return s.Format.Name
	}
	return s.Format.Name + ":" + s.Variant
}

// openAs is the format to be named when an image is opened.
func (s Subject) openAs() string {
	if s.Unsigned {
		return s.Format.Name
	}
	return ""
}

// resizable tells whether the disk can be made size bytes long.
func (s Subject) resizable(from, to int64) bool {
	return !s.FixedSize && (!s.GrowOnly || to >= from)
}

// known tells whether a name is that of the subject's variant.
func (s Subject) known(variant string) bool {
	return variant == "" || slices.ContainsFunc(s.Format.Variants, func(v disk.Variant) bool { return v.Name == variant })
}
