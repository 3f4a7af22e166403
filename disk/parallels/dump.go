package parallels

import (
	"context"
	"fmt"
	"iter"

	"github.com/panalvm/panal/disk"
)

// Dump shows the header, the BAT in short and the format extension.
func (x *expanding) Dump(ctx context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		x.mu.RLock()
		h := x.h
		x.mu.RUnlock()
		for _, f := range h.fields() {
			if !yield(f, nil) {
				return
			}
		}
		if !x.dumpTable(ctx, yield) || x.ext == nil {
			return
		}
		for _, f := range x.ext.fields() {
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (h *header) fields() []disk.Field {
	one := func(off int64, n int, label string, value any, note string) disk.Field {
		return disk.Field{Part: "header", Offset: off, Len: n, Name: label, Value: fmt.Sprint(value), Note: note}
	}
	return []disk.Field{
		one(0, 16, "magic", h.magic(), map[bool]string{true: "block table counts clusters", false: "block table counts sectors"}[h.isNew]),
		one(16, 4, "version", version, ""),
		one(20, 4, "heads", h.heads, ""),
		one(24, 4, "cylinders", h.cylinders, ""),
		one(28, 4, "tracks", h.tracks, fmt.Sprintf("a cluster has %d bytes", h.cluster())),
		one(32, 4, "nb_bat_entries", h.entries, ""),
		one(36, 8, "nb_sectors", h.sectors, fmt.Sprintf("%d bytes", h.size())),
		one(44, 4, "in_use", fmt.Sprintf("%#08x", h.inUse), inUseNote(h.inUse)),
		one(48, 4, "data_off", h.dataOff, fmt.Sprintf("at %#x", h.data())),
		one(52, 4, "flags", fmt.Sprintf("%#08x", h.flags), map[bool]string{true: "empty", false: ""}[h.flags&flagEmpty != 0]),
		one(56, 8, "ext_off", h.extOff, map[bool]string{true: fmt.Sprintf("at %#x", h.extOff*sector), false: "no format extension"}[h.extOff != 0]),
	}
}

func inUseNote(v uint32) string {
	switch v {
	case inUseOpen:
		return "open for writing"
	case inUseClosed:
		return "closed"
	case inUseNone:
		return "closed by a program that knows no format extension"
	}
	return "not a value that is allowed"
}

// dumpTable shows rows of entries that belong together.
func (x *expanding) dumpTable(ctx context.Context, yield func(disk.Field, error) bool) bool {
	row := int64(0)
	for e, err := range disk.Extents(ctx, x, 0, x.Size()) {
		if err != nil {
			return yield(disk.Field{}, err)
		}
		from, to := e.Off/x.h.cluster(), (e.End()-1)/x.h.cluster()
		f := disk.Field{
			Part: "block table", Offset: entryAt(from), Len: int(min(4*(to-from+1), 1<<30)),
			Name: fmt.Sprintf("clusters %d to %d", from, to), Value: "not allocated",
		}
		if e.State == disk.Data {
			f.Value = fmt.Sprintf("at %#x", e.HostOff)
		}
		if !yield(f, nil) {
			return false
		}
		if row++; row == maxRows {
			f = disk.Field{Part: "block table", Offset: entryAt(to + 1), Name: "…", Value: "more rows are left out"}
			return yield(f, nil)
		}
	}
	return true
}

// maxRows is how many rows of a BAT are shown.
const maxRows = 1000

func (x *extension) fields() []disk.Field {
	all := []disk.Field{{
		Part: "format extension", Offset: x.off, Len: extHeader, Name: "magic and checksum",
		Value: map[bool]string{true: "valid", false: "not valid"}[x.valid], Note: x.problem,
	}}
	for _, f := range x.features {
		note := ""
		if f.flags&featureNecessary != 0 {
			note = "must be kept up to date"
		}
		all = append(all, disk.Field{
			Part: "format extension", Offset: f.off, Len: featureLen + int(f.len),
			Name: "feature", Value: f.String(), Note: note,
		})
	}
	return all
}

// Describe says what the image is.
func (x *expanding) Describe() disk.Info {
	x.mu.RLock()
	h := x.h
	x.mu.RUnlock()
	i := disk.Info{
		Format: name, Variant: variantExpanding, Version: h.magic(), Size: x.Size(), Allocated: occupied(x.file),
		BlockSize: h.cluster(), SectorSize: sector, Geometry: h.geometry(), Dirty: x.dirty,
	}
	if x.ext != nil {
		for _, f := range x.ext.features {
			i.Details = append(i.Details, disk.Detail{Name: "extension", Value: f.String()})
		}
	}
	return i
}

// geometry is nil when heads and cylinders do not give the disk's size.
func (h *header) geometry() *disk.Geometry {
	tracks := uint64(h.heads) * uint64(h.cylinders)
	if tracks == 0 || h.sectors/tracks == 0 || h.sectors/tracks > 255 || h.heads > 255 {
		return nil
	}
	return &disk.Geometry{Cylinders: int(h.cylinders), Heads: int(h.heads), Sectors: int(h.sectors / tracks)}
}

// occupied is how much room a file takes, or its length.
func occupied(f disk.File) int64 {
	if a, ok := f.(disk.Allocated); ok {
		if n, err := a.Allocated(); err == nil {
			return n
		}
	}
	n, _ := f.Size()
	return n
}
