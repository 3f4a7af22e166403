package vhd

import (
	"github.com/panalvm/panal/disk"
)

const name = "vhd"

// Variants.
const (
	dynamic      = "dynamic"
	fixed        = "fixed"
	differencing = "differencing"
)

const optionBlockSize = "blockSize"

// Format is Virtual PC's and Hyper-V's first format. New images say their size
// in a number that all programs go by, so that it is never rounded to a geometry.
var Format = &disk.Format{
	Name:       name,
	Aliases:    []string{"vpc", "avhd"},
	Extensions: []string{"vhd", "avhd", "vpc"},
	Title:      "Virtual Hard Disk (Virtual PC, Hyper-V, Azure)",
	Variants: []disk.Variant{
		{Name: dynamic, Aliases: []string{"Standard", "expanding"}, Title: "grows as it is written", Create: true, Write: true, Stream: true, Parent: true},
		{Name: fixed, Aliases: []string{"static", "preallocated"}, Title: "the disk as it is, and a footer; what Azure takes", Create: true, Write: true, Stream: true},
		{Name: differencing, Aliases: []string{"diff"}, Title: "holds what differs from a parent", Create: true, Write: true, Parent: true},
	},
	Options: []disk.Option{{
		Name: optionBlockSize, Kind: disk.Bytes, Default: "2M", Min: 4 << 10, Max: 256 << 20, Variants: []string{dynamic, differencing},
		Help: "unit of allocation, a power of two; Hyper-V takes 512K and 2M",
	}},
	Probe:   probe,
	Open:    open,
	Create:  create,
	Stream:  stream,
	Forward: forward,
	Trailer: true,
}

// probe looks at the end, where the footer is, and at the start for its copy.
// A footer at the end whose size and checksum agree is no accident.
func probe(s disk.Sample) disk.Confidence {
	tail, _ := asTail(last(s.Tail, footerSize))
	switch {
	case tail != nil && tail.sound():
		return disk.Certain
	case len(s.Head) >= footerSize && footer(s.Head[:footerSize]).plausible() && footer(s.Head).kind() != kindFixed:
		if footer(s.Head[:footerSize]).sound() {
			return disk.Certain
		}
		return disk.Likely
	case tail != nil:
		return disk.Likely
	}
	return disk.No
}

// last is the end of p.
func last(p []byte, n int) []byte { return p[max(0, len(p)-n):] }
