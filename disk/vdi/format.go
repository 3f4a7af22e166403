package vdi

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

const name = "vdi"

// Variants.
const (
	dynamic      = "dynamic"
	fixed        = "fixed"
	differencing = "differencing"
)

const optionBlockSize = "blockSize"

// Format is VirtualBox's own format, in all its revisions; images are made in
// revision 1.1.
var Format = &disk.Format{
	Name:       name,
	Aliases:    []string{"virtualbox"},
	Extensions: []string{"vdi"},
	Title:      "VirtualBox Disk Image",
	Variants: []disk.Variant{
		{Name: dynamic, Aliases: []string{"Standard", "normal"}, Title: "grows as it is written", Create: true, Write: true, Stream: true, Parent: true},
		{Name: fixed, Aliases: []string{"static", "preallocated"}, Title: "each block has its place from the start", Create: true, Write: true, Stream: true},
		{Name: differencing, Aliases: []string{"diff", "undo"}, Title: "holds what differs from a parent", Create: true, Write: true, Parent: true},
	},
	Options: []disk.Option{{
		Name: optionBlockSize, Kind: disk.Bytes, Default: "1M", Min: 4 << 10, Max: 256 << 20,
		Help: "unit of allocation, a power of two; QEMU reads only 1M",
	}},
	Probe:   probe,
	Open:    open,
	Create:  create,
	Stream:  stream,
	Forward: func(p *disk.Pipe) (disk.Stream, error) { return disk.Forward(p, nil) },
}

// probe looks for the signature behind the text.
func probe(s disk.Sample) disk.Confidence {
	if len(s.Head) < preHeader+4 || binary.LittleEndian.Uint32(s.Head[0x40:]) != signature {
		return disk.No
	}
	if major := binary.LittleEndian.Uint32(s.Head[0x44:]) >> 16; major > 1 {
		return disk.Likely
	}
	return disk.Certain
}
