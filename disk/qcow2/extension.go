package qcow2

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/panalvm/panal/disk"
)

// Header extensions (spec, "Header extensions").
const (
	extEnd           = 0x00000000
	extBackingFormat = 0xe2792aca
	extFeatureNames  = 0x6803f857
	extBitmaps       = 0x23852875
	extDataFile      = 0x44415441
	extCrypto        = 0x0537be77
)

// extension is one header extension.
type extension struct {
	kind uint32
	at   int64 // where its data lies in the file
	data []byte
}

// decodeExtensions reads the extensions in p, which is the first cluster;
// they begin at from and end with the end marker or at end.
func decodeExtensions(p []byte, from, end int64) ([]extension, error) {
	var all []extension
	for at := from; at+8 <= end; {
		kind, n := binary.BigEndian.Uint32(p[at:]), int64(binary.BigEndian.Uint32(p[at+4:]))
		if kind == extEnd {
			break
		}
		if n > end-at-8 {
			return nil, disk.Corrupt(formatName, at, "a header extension (type %#x) of %d bytes where %d are left", kind, n, end-at-8)
		}
		all = append(all, extension{kind, at + 8, bytes.Clone(p[at+8 : at+8+n])})
		at += 8 + (n+7)&^7
	}
	return all, nil
}

// encodeExtensions is the extensions with their end marker.
func encodeExtensions(all []extension) []byte {
	var p []byte
	for _, e := range all {
		p = binary.BigEndian.AppendUint32(p, e.kind)
		p = binary.BigEndian.AppendUint32(p, uint32(len(e.data)))
		p = append(p, e.data...)
		p = append(p, make([]byte, -len(p)&7)...)
	}
	return append(p, make([]byte, 8)...)
}

// find is the data of the first extension of a kind.
func find(all []extension, kind uint32) (extension, bool) {
	for _, e := range all {
		if e.kind == kind {
			return e, true
		}
	}
	return extension{}, false
}

// with is the extensions with one put in the place of its kind, or added;
// nil data takes it out.
func with(all []extension, kind uint32, data []byte) []extension {
	var out []extension
	placed := data == nil
	for _, e := range all {
		if e.kind != kind {
			out = append(out, e)
			continue
		}
		if !placed {
			out, placed = append(out, extension{kind: kind, data: data}), true
		}
	}
	if !placed {
		out = append([]extension{{kind: kind, data: data}}, out...)
	}
	return out
}

// Kinds of features in the table of names (spec, "Feature name table").
const (
	featureIncompatible = 0
	featureCompatible   = 1
	featureAutoclear    = 2
)

// featureName is an entry of the table of names.
type featureName struct {
	kind, bit uint8
	name      string
}

const featureNameBytes = 48

// ourFeatures is the table that we write; the names are those that QEMU uses.
var ourFeatures = []featureName{
	{featureIncompatible, 0, "dirty bit"},
	{featureIncompatible, 1, "corrupt bit"},
	{featureIncompatible, 2, "external data file"},
	{featureIncompatible, 3, "compression type"},
	{featureIncompatible, 4, "extended L2 entries"},
	{featureCompatible, 0, "lazy refcounts"},
	{featureAutoclear, 0, "bitmaps"},
	{featureAutoclear, 1, "raw external data"},
}

func decodeFeatures(p []byte) []featureName {
	var names []featureName
	for ; len(p) >= featureNameBytes; p = p[featureNameBytes:] {
		name, _, _ := bytes.Cut(p[2:featureNameBytes], []byte{0})
		names = append(names, featureName{p[0], p[1], string(name)})
	}
	return names
}

func encodeFeatures(names []featureName) []byte {
	p := make([]byte, 0, len(names)*featureNameBytes)
	for _, f := range names {
		var e [featureNameBytes]byte
		e[0], e[1] = f.kind, f.bit
		copy(e[2:], f.name)
		p = append(p, e[:]...)
	}
	return p
}

// bitNames names the bits that are set: by the image's table, then ours, then
// by number.
func bitNames(bits uint64, kind uint8, table []featureName) []string {
	var names []string
	for bit := range uint8(64) {
		if bits&(1<<bit) != 0 {
			names = append(names, bitName(kind, bit, table))
		}
	}
	return names
}

func bitName(kind, bit uint8, table []featureName) string {
	for _, t := range [][]featureName{table, ourFeatures} {
		for _, f := range t {
			if f.kind == kind && f.bit == bit && f.name != "" {
				return fmt.Sprintf("%q (bit %d)", f.name, bit)
			}
		}
	}
	return fmt.Sprintf("bit %d", bit)
}
