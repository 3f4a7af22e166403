package vhd

import (
	"fmt"

	"github.com/panalvm/panal/disk"
)

// Describe tells what footer and header tell.
func (m *image) Describe() disk.Info {
	var info disk.Info
	m.Describing(func() {
		info = m.foot.describe(m.Shape.Size)
		info.BlockSize, info.Allocated = m.Shape.Block, m.File.Allocated()
		if m.based {
			info.Parent = m.link()
		}
		if w := m.parentWarning(); w != "" {
			info.Warnings = []string{w}
		}
	})
	if m.batmap != nil {
		info.Details = append(info.Details, disk.Detail{Name: "batmap", Value: "XenServer's"})
	}
	return info
}

// link is how the image names its parent.
func (m *image) link() *disk.Link {
	l := &disk.Link{UUID: m.head.parentID().String(), Format: name}
	if paths, err := parentPaths(m.File.Raw(), m.head); err == nil && len(paths) > 0 {
		l.Name, l.Others = paths[0], paths[1:]
	}
	return l
}

// Describe tells what the footer tells.
func (m *flat) Describe() disk.Info {
	m.mu.RLock()
	defer m.mu.RUnlock()
	info := m.foot.describe(m.size)
	info.Allocated = m.file.Allocated()
	return info
}

func (f footer) describe(size int64) disk.Info {
	g := f.geometry()
	info := disk.Info{
		Format: name, Variant: f.variant(), Version: fmt.Sprintf("%d.%d", f.u32(atVersion)>>16, f.u32(atVersion)&0xffff),
		Size: size, SectorSize: sector, UUID: f.id().String(), Creator: f.creatorName(), Created: f.created(), Geometry: &g,
		Details: []disk.Detail{
			{Name: "creator version", Value: fmt.Sprintf("%d.%d", f.u32(atCreatorVer)>>16, f.u32(atCreatorVer)&0xffff)},
			{Name: "creator's system", Value: fmt.Sprintf("%q", f[atHostOS:atHostOS+4])},
			{Name: "size goes by", Value: f.sizeRule(size)},
		},
	}
	if size != f.current() {
		info.Details = append(info.Details, disk.Detail{Name: "current size", Value: fmt.Sprint(f.current())})
	}
	if f[atSaved] != 0 {
		info.Details = append(info.Details, disk.Detail{Name: "saved state", Value: "yes"})
	}
	if f[atHidden] != 0 && f.creator() == "tap\x00" {
		info.Details = append(info.Details, disk.Detail{Name: "hidden", Value: "yes"})
	}
	return info
}

func (f footer) sizeRule(size int64) string {
	if f.sizedByNumber() || f.geometry().Size() != size {
		return "current size"
	}
	return "geometry"
}

func (f footer) variant() string {
	switch f.kind() {
	case kindFixed:
		return fixed
	case kindDiff:
		return differencing
	}
	return dynamic
}
