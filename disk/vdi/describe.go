package vdi

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// Describe tells what the header tells.
func (m *image) Describe() disk.Info {
	var info disk.Info
	m.Describing(func() {
		info = m.head.describe()
		info.Allocated = m.File.Allocated()
	})
	return info
}

func (h header) describe() disk.Info {
	info := disk.Info{
		Format: name, Variant: h.variant(), Version: fmt.Sprintf("%d.%d", h.version()>>16, h.version()&0xffff),
		Size: wholeSectors(h.diskSize()), BlockSize: int64(h.blockSize()), SectorSize: 512,
		UUID: h.uuid(h.at.image).String(), Modified: h.uuid(h.at.modified).String(),
		Creator: h.creator(), Comment: h.comment(), Geometry: h.geometry(h.at.logical),
	}
	if info.Geometry == nil {
		info.Geometry = h.geometry(h.at.geometry)
	}
	if h.based() {
		info.Parent = &disk.Link{UUID: h.uuid(h.at.parent).String(), Format: name}
	}
	info.Details = h.details()
	return info
}

func (h header) variant() string {
	switch h.kind() {
	case typeFixed:
		return fixed
	case typeDiff, typeUndo:
		return differencing
	}
	return dynamic
}

func (h header) details() []disk.Detail {
	all := []disk.Detail{
		{Name: "used blocks", Value: fmt.Sprintf("%d of %d", h.used(), h.blocks())},
		{Name: "image flags", Value: fmt.Sprintf("%#x", h.flags())},
	}
	if h.extra() != 0 {
		all = append(all, disk.Detail{Name: "extra bytes a block", Value: fmt.Sprint(h.extra())})
	}
	if h.kind() == typeUndo {
		all = append(all, disk.Detail{Name: "type", Value: "undo"})
	}
	if id := h.parentModified(); id != uuid.Nil {
		all = append(all, disk.Detail{Name: "parent's modification UUID", Value: id.String()})
	}
	return all
}
