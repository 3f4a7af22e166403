package vhd

import (
	"context"
	"fmt"
	"iter"

	"github.com/panalvm/panal/disk"
)

// Dump shows the copy of the footer, the header, the rows of the table and the
// footer.
func (m *image) Dump(context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		var foot footer
		var head header
		var at int64
		var tail bool
		m.Describing(func() {
			foot, head, at = m.foot.clone(), m.head.clone(), m.tailAt()
			tail = m.ends.tail != nil || m.inFile && !m.moved
		})
		defer m.Share()()
		var all []disk.Field
		if m.ends.head != nil || m.inFile {
			all = foot.fields("copy of the footer", 0)
		}
		all = append(all, head.fields(int64(foot.u64(atDataOffset)))...)
		for _, f := range all {
			if !yield(f, nil) {
				return
			}
		}
		if !m.dumpTable(yield) || !tail {
			return
		}
		for _, f := range foot.fields("footer", at) {
			if !yield(f, nil) {
				return
			}
		}
	}
}

// Dump shows the footer.
func (m *flat) Dump(context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		m.mu.RLock()
		all := m.foot.fields("footer", m.tailAt)
		m.mu.RUnlock()
		for _, f := range all {
			if !yield(f, nil) {
				return
			}
		}
	}
}

// fields lists a footer's fields.
func (f footer) fields(part string, at int64) []disk.Field {
	g := f.geometry()
	sum := ""
	if !f.sound() {
		sum = fmt.Sprintf("wrong; it should be %#x", checksum(f, atSum))
	}
	field := func(off, n int, title string, value any, note string) disk.Field {
		return disk.Field{Part: part, Offset: at + int64(off), Len: n, Name: title, Value: fmt.Sprint(value), Note: note}
	}
	return []disk.Field{
		field(0, 8, "cookie", fmt.Sprintf("%q", f[:8]), ""),
		field(atFeatures, 4, "features", fmt.Sprintf("%#x", f.u32(atFeatures)), ""),
		field(atVersion, 4, "version", fmt.Sprintf("%#x", f.u32(atVersion)), ""),
		field(atDataOffset, 8, "header's offset", fmt.Sprintf("%#x", f.u64(atDataOffset)), ""),
		field(atTime, 4, "timestamp", f.u32(atTime), f.created().Format("2006-01-02 15:04:05 MST")),
		field(atCreator, 4, "creator", fmt.Sprintf("%q", f.creator()), f.creatorName()),
		field(atCreatorVer, 4, "creator's version", fmt.Sprintf("%#x", f.u32(atCreatorVer)), ""),
		field(atHostOS, 4, "creator's system", fmt.Sprintf("%q", f[atHostOS:atHostOS+4]), ""),
		field(atOriginal, 8, "original size", f.u64(atOriginal), "bytes"),
		field(atCurrent, 8, "current size", f.u64(atCurrent), "bytes"),
		field(atGeometry, 4, "geometry", fmt.Sprintf("%d/%d/%d", g.Cylinders, g.Heads, g.Sectors), fmt.Sprintf("%d bytes", g.Size())),
		field(atKind, 4, "type", f.kind(), f.variant()),
		field(atSum, 4, "checksum", fmt.Sprintf("%#x", f.u32(atSum)), sum),
		field(atID, 16, "UUID", f.id(), ""),
		field(atSaved, 1, "saved state", f[atSaved], ""),
	}
}

// fields lists the header's fields.
func (h header) fields(at int64) []disk.Field {
	sum := ""
	if !h.sound() {
		sum = fmt.Sprintf("wrong; it should be %#x", checksum(h, atHeaderSum))
	}
	field := func(off, n int, title string, value any, note string) disk.Field {
		return disk.Field{Part: "header", Offset: at + int64(off), Len: n, Name: title, Value: fmt.Sprint(value), Note: note}
	}
	all := []disk.Field{
		field(0, 8, "cookie", fmt.Sprintf("%q", h[:8]), ""),
		field(8, 8, "data offset", fmt.Sprintf("%#x", h.u64(8)), "unused"),
		field(atTable, 8, "table's offset", fmt.Sprintf("%#x", h.u64(atTable)), ""),
		field(atHeaderVer, 4, "version", fmt.Sprintf("%#x", h.u32(atHeaderVer)), ""),
		field(atEntries, 4, "table's entries", h.entries(), ""),
		field(atBlockSize, 4, "block size", h.blockSize(), "bytes"),
		field(atHeaderSum, 4, "checksum", fmt.Sprintf("%#x", h.u32(atHeaderSum)), sum),
		field(atParentID, 16, "parent's UUID", h.parentID(), ""),
		field(atParentTime, 4, "parent's timestamp", h.u32(atParentTime), ""),
		field(atParentName, parentNameLen, "parent's name", fmt.Sprintf("%q", h.parentName()), ""),
	}
	for i := range locators {
		if l := h.locator(i); !l.none() {
			all = append(all, field(atLocators+i*locatorLen, locatorLen, fmt.Sprintf("parent locator %d", i+1), l.code, fmt.Sprintf("%d bytes at %#x", l.length, l.offset)))
		}
	}
	return all
}

// dumpTable shows the table, each row of like entries as one.
func (m *image) dumpTable(yield func(disk.Field, error) bool) bool {
	for index := int64(0); index < m.Shape.Entries; {
		start, err := m.Pointer(index)
		if err != nil {
			return yield(disk.Field{}, err) && false
		}
		count := int64(1)
		if start == free {
			length, err := m.Run(index, free, m.Shape.Block, (m.Shape.Entries-index)*m.Shape.Block, 0)
			if err != nil {
				return yield(disk.Field{}, err) && false
			}
			count = length / m.Shape.Block
		}
		f := disk.Field{Part: "block allocation table", Offset: m.Shape.Table + 4*index, Len: int(4 * count), Name: fmt.Sprintf("block %d", index), Value: "missing"}
		if count > 1 {
			f.Name = fmt.Sprintf("blocks %d to %d", index, index+count-1)
		}
		if start != free {
			f.Value, f.Note = fmt.Sprintf("sector %d", start), fmt.Sprintf("data at %#x", m.Shape.DataAt(start))
		}
		if !yield(f, nil) {
			return false
		}
		index += count
	}
	return true
}
