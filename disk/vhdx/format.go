package vhdx

import (
	"github.com/panalvm/panal/disk"
)

// Names of the options of Format.
const (
	optionBlock    = "blockSize"
	optionLogical  = "logicalSectorSize"
	optionPhysical = "physicalSectorSize"
	optionLog      = "logSize"
)

// Format is VHDX. A dynamic image that is made with a parent is a
// differencing one.
var Format = &disk.Format{
	Name:       name,
	Extensions: []string{"vhdx", "avhdx"},
	Title:      "Hyper-V virtual hard disk, version 2",
	Variants: []disk.Variant{
		{Name: "dynamic", Aliases: []string{"Standard", "expandable", "differencing"}, Title: "grows as it is written to", Create: true, Write: true, Stream: true, Parent: true},
		{Name: "fixed", Aliases: []string{"Fixed", "preallocated"}, Title: "has its whole length from the beginning", Create: true, Write: true, Stream: true},
	},
	Options: []disk.Option{
		{Name: optionBlock, Kind: disk.Bytes, Min: mib, Max: 256 * mib, Help: "unit of allocation, a power of two from 1M to 256M; 32M, with a parent 2M, unless told otherwise"},
		{Name: optionLogical, Kind: disk.Number, Min: 512, Max: 4096, Help: "bytes of a sector as a guest addresses it, 512 or 4096; 512, or the parent's, unless told otherwise"},
		{Name: optionPhysical, Kind: disk.Number, Default: "4096", Min: 512, Max: 4096, Help: "bytes of a sector as a guest should align to, 512 or 4096"},
		{Name: optionLog, Kind: disk.Bytes, Default: "1M", Min: mib, Max: 256 * mib, Help: "room for the log, a multiple of 1M"},
	},
	Probe: probe,
	Open:  open,

	Create: create,
	Stream: stream,
}

// probe looks for the signature and a header.
func probe(s disk.Sample) disk.Confidence {
	if len(s.Head) < len(signature) || string(s.Head[:len(signature)]) != signature {
		return disk.No
	}
	for _, off := range headerPlaces {
		p := make([]byte, 4)
		if _, err := s.ReadAt(p, off); err == nil && string(p) == "head" {
			return disk.Certain
		}
	}
	return disk.Likely
}
