package qcow2

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// Format is QCOW2, versions 2 and 3.
var Format = &disk.Format{
	Name:       formatName,
	Extensions: []string{"qcow2"},
	Title:      "QEMU copy-on-write disk, versions 2 and 3",
	Variants:   []disk.Variant{{Name: "", Title: "sparse", Create: true, Write: true, Stream: true, Parent: true}},
	Options: []disk.Option{
		{Name: "clusterSize", Kind: disk.Bytes, Min: 1 << minClusterBits, Max: 1 << maxClusterBits, Default: "64K", Help: "unit of allocation, a power of two"},
		{Name: "compat", Kind: disk.Choice, Choices: []string{"v3", "v2", "1.1", "0.10"}, Default: "v3", Help: "version of the format; v2 (0.10) is for programs before 2011"},
		{Name: "compression", Aliases: []string{"compression_type"}, Kind: disk.Choice, Choices: []string{"zlib", "zstd"}, Default: "zlib", Help: "of compressed clusters; zstd needs QEMU 5.1"},
		{Name: "compressionLevel", Kind: disk.Choice, Choices: []string{"fast", "default", "better", "best"}, Default: "fast", Help: "how hard zstd tries while the image is made; better takes about twice as long as fast"},
		{Name: "extendedL2", Kind: disk.Switch, Default: "off", Help: "32 subclusters in each cluster; needs QEMU 5.2"},
		{Name: "refcountBits", Kind: disk.Number, Min: 1, Max: 64, Default: "16", Help: "width of the counters of clusters: 1, 2, 4, 8, 16, 32 or 64"},
		{Name: "lazyRefcounts", Kind: disk.Switch, Default: "off", Help: "allow other programs to write counters late"},
		{Name: "dataFile", Kind: disk.Text, Help: "name of a further file, beside the image, that is to hold the content"},
		{Name: "dataFileRaw", Kind: disk.Switch, Default: "off", Help: "keep the data file readable as a raw disk"},
		{Name: "preallocation", Kind: disk.Choice, Choices: []string{"off", "metadata", "falloc", "full"}, Default: "off", Help: "make all tables at once; falloc and full also reserve the room, by writing zeros"},
	},
	Encrypts: true,
	Probe:    probe,
	Open:     open,
	Create:   create,
	Stream:   stream,
	Forward:  func(p *disk.Pipe) (disk.Stream, error) { return disk.Forward(p, nil) },
}

// probe recognises the signature, and is sure of it if the version exists: so
// nobody takes any other for a raw disk.
func probe(s disk.Sample) disk.Confidence {
	if len(s.Head) < headerV2 || binary.BigEndian.Uint32(s.Head) != magic {
		return disk.No
	}
	version, bits := binary.BigEndian.Uint32(s.Head[4:]), binary.BigEndian.Uint32(s.Head[20:])
	if (version == 2 || version == 3) && bits >= minClusterBits && bits <= maxClusterBits {
		return disk.Certain
	}
	return disk.Likely
}

// versionOne tells whether a file begins as QCOW did before QCOW2: the same
// signature, and other tables.
func versionOne(head []byte) bool {
	return len(head) >= 8 && binary.BigEndian.Uint32(head) == magic && binary.BigEndian.Uint32(head[4:]) == 1
}
