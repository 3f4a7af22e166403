package qcow1

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

const formatName = "qcow"

// Format is QCOW, version 1.
var Format = &disk.Format{
	Name:       formatName,
	Aliases:    []string{"qcow1"},
	Extensions: []string{"qcow"},
	Title:      "QEMU copy-on-write disk, version 1",
	Variants:   []disk.Variant{{Name: "", Title: "sparse", Create: true, Write: true, Parent: true}},
	Options: []disk.Option{
		{Name: optionCluster, Kind: disk.Bytes, Min: 1 << minClusterBits, Max: 1 << maxClusterBits, Help: "unit of allocation, a power of two; 4K unless chosen, 512 with a parent"},
	},
	Probe:  probe,
	Open:   open,
	Create: create,
}

// probe recognises the signature and the version.
func probe(s disk.Sample) disk.Confidence {
	if len(s.Head) < headerBytes || binary.BigEndian.Uint32(s.Head) != magic || binary.BigEndian.Uint32(s.Head[4:]) != version {
		return disk.No
	}
	return disk.Certain
}
