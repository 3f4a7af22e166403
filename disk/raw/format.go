package raw

import (
	"io"

	"github.com/panalvm/panal/disk"
)

// Names of the variants.
const (
	plain  = "plain"
	split  = "split"
	device = "device"
	iso    = "iso"
	floppy = "floppy"
)

// Format is raw disks.
var Format = &disk.Format{
	Name:       "raw",
	Aliases:    []string{"img", "dd", "iso"},
	Extensions: []string{"img", "raw", "dd", "iso", "ima", "flp", "vfd"},
	Title:      "Raw disk, byte for byte",
	Variants: []disk.Variant{
		{Name: plain, Aliases: []string{"sparse", "flat"}, Title: "one file, with holes where it is zero", Create: true, Write: true, Stream: true},
		{Name: split, Title: "parts called .000, .001 and so on, or .aa, .ab", Create: true, Write: true},
		{Name: device, Title: "a block device", Write: true},
		{Name: iso, Title: "an optical disc, ISO 9660 or UDF", Write: true},
		{Name: floppy, Title: "a floppy disk of a usual size", Write: true},
	},
	Options: []disk.Option{
		{Name: "split", Kind: disk.Bytes, Min: 512, Max: 1 << 62, Variants: []string{plain, split}, Help: "cut the disk into files of this size, the first called .000, .001 or .aa"},
	},
	Probe:   probe,
	Open:    open,
	Create:  create,
	Stream:  func(w io.Writer, t *disk.Target) (disk.Sink, error) { return newSink(w, t) },
	Forward: forward,
}

// probe never says more than that anything may be a raw disk, also of one that
// looks like an optical disc: what a guest can write proves nothing.
func probe(disk.Sample) disk.Confidence { return disk.Fallback }
