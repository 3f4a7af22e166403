package disk

import (
	"context"
	"iter"
	"time"
)

// Info is what an image says of itself. Fields that a format does not have
// are zero.
type Info struct {
	Format     string     `json:"format"`
	Variant    string     `json:"variant,omitempty"`
	Version    string     `json:"version,omitempty"`          // of the format, as the format writes it
	Size       int64      `json:"size"`                       // of the virtual disk, bytes
	Allocated  int64      `json:"allocated"`                  // what the image's own files occupy, bytes
	BlockSize  int64      `json:"blockSize,omitempty"`        // unit of allocation, bytes
	SectorSize int        `json:"sectorSize,omitempty"`       // logical, bytes
	Physical   int        `json:"physicalSector,omitempty"`   // physical sector, bytes
	UUID       string     `json:"uuid,omitempty"`             // lower case, 8-4-4-4-12
	Modified   string     `json:"modificationUUID,omitempty"` // changes with the content
	Creator    string     `json:"creator,omitempty"`          // the program that made it
	Created    time.Time  `json:"created,omitzero"`
	Comment    string     `json:"comment,omitempty"`
	Parent     *Link      `json:"parent,omitempty"` // of a differencing image
	Geometry   *Geometry  `json:"geometry,omitempty"`
	Snapshots  []Snapshot `json:"snapshots,omitempty"`
	Files      []string   `json:"files,omitempty"`      // beside the one it was opened by
	Compressed bool       `json:"compressed,omitempty"` // new blocks are or were compressed
	Encrypted  bool       `json:"encrypted,omitempty"`
	Dirty      bool       `json:"dirty,omitempty"`    // was not closed as it should be
	Corrupt    bool       `json:"corrupt,omitempty"`  // is marked as damaged
	Guessed    bool       `json:"guessed,omitempty"`  // raw, for want of any signature
	Warnings   []string   `json:"warnings,omitempty"` // what is wrong between it and the parent that is open
	Details    []Detail   `json:"details,omitempty"`  // what only this format has
}

// Link is how an image names its parent.
type Link struct {
	Name   string   `json:"name,omitempty"`   // as it stands in the image
	Others []string `json:"others,omitempty"` // further paths in the image
	UUID   string   `json:"uuid,omitempty"`
	Format string   `json:"format,omitempty"` // if the image states it
}

// Geometry is cylinders, heads and sectors, as old guests want it.
type Geometry struct {
	Cylinders int `json:"cylinders"`
	Heads     int `json:"heads"`
	Sectors   int `json:"sectors"`
}

// Size is the number of bytes that the geometry covers.
func (g Geometry) Size() int64 {
	return int64(g.Cylinders) * int64(g.Heads) * int64(g.Sectors) * 512
}

// Snapshot is an earlier state that an image holds.
type Snapshot struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	Parent  string    `json:"parent,omitempty"` // ID, in formats with a tree
	Created time.Time `json:"created,omitzero"`
	Memory  int64     `json:"memory,omitempty"`  // saved memory, bytes
	Current bool      `json:"current,omitempty"` // the state that is written to
}

// Detail is a fact that only one format has.
type Detail struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Field is one field of a header, for people to read.
type Field struct {
	File   string `json:"file,omitempty"` // "" is the file that the image was opened by
	Part   string `json:"part"`           // the header or table that it belongs to
	Offset int64  `json:"offset"`         // in the file, bytes
	Len    int    `json:"length"`         // in bytes
	Name   string `json:"name"`
	Value  string `json:"value"`
	Note   string `json:"note,omitempty"` // what the value means, or what is wrong with it
}

// Describe says what img is; of an image that cannot say, only the size.
func Describe(img Image) Info {
	if d, ok := img.(Describer); ok {
		return d.Describe()
	}
	return Info{Size: img.Size()}
}

// Dump yields the fields of img's headers, as Dumper does, until ctx ends. Of an
// image without headers it gives errors.ErrUnsupported.
func Dump(ctx context.Context, img Image) iter.Seq2[Field, error] {
	return func(yield func(Field, error) bool) {
		d, ok := img.(Dumper)
		if !ok {
			yield(Field{}, Unsupported(Describe(img).Format, "it has no headers to show"))
			return
		}
		for field, err := range d.Dump(ctx) {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(field, err) || err != nil {
				return
			}
		}
	}
}
