package vdi

import (
	"context"
	"fmt"
	"iter"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// Dump shows the header and the rows of the block map.
func (m *image) Dump(context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		var fields []disk.Field
		m.Describing(func() { fields = m.head.fields() })
		for _, f := range fields {
			if !yield(f, nil) {
				return
			}
		}
		defer m.Share()()
		m.dumpMap(yield)
	}
}

// fields lists the header's fields by their offsets.
func (h header) fields() []disk.Field {
	at := h.at
	all := []disk.Field{
		h.field("pre-header", 0, 64, "text", fmt.Sprintf("%q", text(h.raw[:64])), ""),
		h.field("pre-header", 0x40, 4, "signature", fmt.Sprintf("%#x", h.u32(0x40)), ""),
		h.field("pre-header", 0x44, 4, "version", fmt.Sprintf("%d.%d", h.version()>>16, h.version()&0xffff), ""),
	}
	if at.offMap != 0 {
		all = append(all, h.field("header", 0x48, 4, "header length", fmt.Sprint(h.u32(0x48)), ""))
	}
	all = append(all,
		h.field("header", at.kind, 4, "type", fmt.Sprint(h.kind()), h.variant()),
		h.field("header", at.flags, 4, "flags", fmt.Sprintf("%#x", h.flags()), ""),
		h.field("header", at.comment, 256, "comment", fmt.Sprintf("%q", h.comment()), ""),
	)
	number := func(off int, title, note string) {
		if off != 0 {
			all = append(all, h.field("header", off, 4, title, fmt.Sprint(h.u32(off)), note))
		}
	}
	number(at.offMap, "block map offset", "")
	number(at.offData, "data offset", "")
	all = append(all, h.geometryField(at.geometry, "physical geometry"))
	all = append(all, h.field("header", at.diskSize, 8, "disk size", fmt.Sprint(h.diskSize()), "bytes"))
	number(at.blockSize, "block size", "bytes")
	number(at.extra, "extra bytes a block", "before its data")
	number(at.blocks, "blocks", "")
	number(at.used, "used places", "")
	for _, id := range []struct {
		off   int
		title string
	}{
		{at.image, "image UUID"},
		{at.modified, "modification UUID"},
		{at.parent, "parent UUID"},
		{at.parentModified, "parent's modification UUID"},
	} {
		if id.off != 0 {
			all = append(all, h.field("header", id.off, 16, id.title, h.uuid(id.off).String(), noteOf(h.uuid(id.off))))
		}
	}
	if at.logical != 0 {
		all = append(all, h.geometryField(at.logical, "logical geometry"))
	}
	return all
}

func noteOf(id uuid.UUID) string {
	if id == uuid.Nil {
		return "none"
	}
	return ""
}

func (header) field(part string, off, n int, title, value, note string) disk.Field {
	return disk.Field{Part: part, Offset: int64(off), Len: n, Name: title, Value: value, Note: note}
}

func (h header) geometryField(off int, title string) disk.Field {
	return h.field("header", off, 16, title, fmt.Sprintf("%d/%d/%d", h.u32(off), h.u32(off+4), h.u32(off+8)), fmt.Sprintf("sectors of %d bytes", h.u32(off+12)))
}

// dumpMap shows the block map, each row of like entries as one.
func (m *image) dumpMap(yield func(disk.Field, error) bool) {
	for index := int64(0); index < m.Shape.Entries; {
		first, err := m.Pointer(index)
		if err != nil {
			yield(disk.Field{}, err)
			return
		}
		step := uint32(1)
		if first >= zeroed {
			step = 0
		}
		all := (m.Shape.Entries - index) * m.Shape.Block
		length, err := m.Run(index, first, m.Shape.Block, all, step)
		if err != nil {
			yield(disk.Field{}, err)
			return
		}
		count := length / m.Shape.Block
		f := disk.Field{Part: "block map", Offset: m.Shape.Table + 4*index, Len: int(4 * count), Name: blocksName(index, count), Value: m.placesName(first, count)}
		if first < zeroed {
			f.Note = fmt.Sprintf("data at %#x", m.Shape.DataAt(first))
		}
		if !yield(f, nil) {
			return
		}
		index += count
	}
}

func blocksName(index, count int64) string {
	if count == 1 {
		return fmt.Sprintf("block %d", index)
	}
	return fmt.Sprintf("blocks %d to %d", index, index+count-1)
}

func (m *image) placesName(first uint32, count int64) string {
	switch {
	case first == unallocated:
		return "unallocated"
	case first == zeroed:
		return "zero"
	case count == 1:
		return fmt.Sprintf("place %d", first)
	}
	return fmt.Sprintf("places %d to %d", first, int64(first)+count-1)
}
