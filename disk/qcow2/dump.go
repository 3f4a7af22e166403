package qcow2

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/panalvm/panal/disk"
)

// Dump yields the fields of the header, its extensions, and what the tables
// hold in short.
func (img *image) Dump(context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		fields := img.dumpHeader()
		fields = append(fields, img.dumpExtensions()...)
		fields = append(fields, img.dumpSnapshots()...)
		fields = append(fields, img.dumpBitmaps()...)
		tables, err := img.dumpTables()
		fields = append(fields, tables...)
		slices.SortStableFunc(fields, func(a, b disk.Field) int { return cmp.Compare(a.Offset, b.Offset) })
		for _, f := range fields {
			if !yield(f, nil) {
				return
			}
		}
		if err != nil {
			yield(disk.Field{}, err)
		}
	}
}

func field(part string, at int64, length int, name, value, note string) disk.Field {
	return disk.Field{Part: part, Offset: at, Len: length, Name: name, Value: value, Note: note}
}

func (img *image) dumpHeader() []disk.Field {
	h := &img.h
	names, _ := find(img.extensions, extFeatureNames)
	table := decodeFeatures(names.data)
	num := func(v any) string { return fmt.Sprint(v) }
	hex := func(v any) string { return fmt.Sprintf("%#x", v) }
	const part = "header"
	fields := []disk.Field{
		field(part, 0, 4, "signature", hex(uint32(magic)), `"QFI\xfb"`),
		field(part, 4, 4, "version", num(h.version), ""),
		field(part, 8, 8, "backing file's name at", hex(h.backingOffset), img.backing.name),
		field(part, 16, 4, "backing file's name length", num(h.backingLen), ""),
		field(part, 20, 4, "cluster bits", num(h.clusterBits), fmt.Sprintf("%d bytes", h.clusterSize())),
		field(part, 24, 8, "disk size", num(h.size), ""),
		field(part, 32, 4, "encryption", num(h.crypt), ""),
		field(part, 36, 4, "L1 entries", num(h.l1Size), fmt.Sprintf("%d needed", h.l1Needed(int64(h.size)))),
		field(part, 40, 8, "L1 table at", hex(h.l1Offset), ""),
		field(part, 48, 8, "refcount table at", hex(h.refTableOffset), ""),
		field(part, 56, 4, "refcount table's clusters", num(h.refTableLen), ""),
		field(part, 60, 4, "snapshots", num(h.snapshots), ""),
		field(part, 64, 8, "snapshot table at", hex(h.snapshotOffset), ""),
	}
	if h.version < 3 {
		return fields
	}
	bits := func(v uint64, kind uint8) string { return strings.Join(bitNames(v, kind, table), ", ") }
	fields = append(fields,
		field(part, 72, 8, "incompatible features", hex(h.incompatible), bits(h.incompatible, featureIncompatible)),
		field(part, 80, 8, "compatible features", hex(h.compatible), bits(h.compatible, featureCompatible)),
		field(part, 88, 8, "autoclear features", hex(h.autoclear), bits(h.autoclear, featureAutoclear)),
		field(part, 96, 4, "refcount order", num(h.refcountOrder), fmt.Sprintf("%d bits", h.refcountBits())),
		field(part, 100, 4, "header length", num(h.length), ""),
	)
	if h.length > headerV3 {
		fields = append(fields, field(part, 104, 1, "compression type", num(h.compression), map[uint8]string{0: "zlib", 1: "zstd"}[h.compression]))
	}
	return fields
}

func (img *image) dumpExtensions() []disk.Field {
	var fields []disk.Field
	for _, e := range img.extensions {
		value, note := hex.EncodeToString(e.data[:min(len(e.data), 32)]), ""
		name := map[uint32]string{
			extBackingFormat: "backing format", extFeatureNames: "feature names", extBitmaps: "bitmaps",
			extDataFile: "data file", extCrypto: "encryption header",
		}[e.kind]
		switch e.kind {
		case extBackingFormat, extDataFile:
			value = string(e.data)
		case extFeatureNames:
			value = fmt.Sprintf("%d names", len(e.data)/featureNameBytes)
		case extBitmaps:
			if img.h.autoclear&autoclearBitmaps == 0 {
				note = "out of date: the autoclear bit is not set"
			}
		case extCrypto:
		default:
			name, note = fmt.Sprintf("type %#x", e.kind), "not known; kept as it is"
		}
		fields = append(fields, field("header extension", e.at, len(e.data), name, value, note))
	}
	if img.backing.name != "" {
		fields = append(fields, field("header", img.h.backingOffset, len(img.backing.name), "backing file", img.backing.name, img.backing.format))
	}
	return fields
}

func (img *image) dumpSnapshots() []disk.Field {
	var fields []disk.Field
	for _, s := range img.snapshots {
		note := fmt.Sprintf("%s, %d bytes, %d of memory, L1 table of %d entries at %#x", s.created.Format("2006-01-02 15:04:05"), s.size, s.memory, s.l1Size, s.l1Offset)
		if s.problem != nil {
			note += "; " + s.problem.Error()
		}
		fields = append(fields, field("snapshot table", s.at, int(s.length), "snapshot "+s.id, s.name, note))
	}
	return fields
}

func (img *image) dumpBitmaps() []disk.Field {
	var fields []disk.Field
	for _, b := range img.bitmaps {
		note := fmt.Sprintf("table of %d entries at %#x", b.tableSize, b.tableOffset)
		fields = append(fields, field("bitmap directory", b.at, bitmapEntryBytes, b.name, b.describe(), note))
	}
	return fields
}

// dumpTables counts the entries of the L1 and refcount tables.
func (img *image) dumpTables() ([]disk.Field, error) {
	h := &img.h
	inUse, blocks := 0, 0
	for i := range int64(h.l1Size) {
		v, err := img.tables.get(h.l1Offset+i*8, 8)
		if err != nil {
			return nil, err
		}
		if v&offsetMask != 0 {
			inUse++
		}
	}
	for i := range img.refs.entries() {
		off, err := img.refs.block(i)
		if err != nil {
			return nil, err
		}
		if off != 0 {
			blocks++
		}
	}
	return []disk.Field{
		field("L1 table", h.l1Offset, int(h.l1Size)*8, "entries in use", fmt.Sprintf("%d of %d", inUse, h.l1Size), fmt.Sprintf("each for %d bytes of the disk", h.l2Span())),
		field("refcount table", h.refTableOffset, int(h.refTableLen)<<h.clusterBits, "refcount blocks", fmt.Sprintf("%d of %d", blocks, img.refs.entries()), fmt.Sprintf("each for %d clusters", img.refs.perBlock)),
	}, nil
}
