package vmdk

import (
	"strconv"
	"strings"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
)

// Describe says what the image is.
func (m *image) Describe() disk.Info {
	m.shape.RLock()
	defer m.shape.RUnlock()
	m.identity.mu.Lock()
	d := m.desc
	m.identity.mu.Unlock()
	info := disk.Info{Format: name, Variant: m.kind, Size: m.size, SectorSize: sector, Parent: m.link, Compressed: m.kind == kindStream}
	for _, p := range m.parts {
		info.Allocated += allocated(p.file)
		if p.ref != "" {
			info.Files = append(info.Files, p.ref)
		}
	}
	for i := range m.spans {
		if s, ok := m.spans[i].extent.(*sparse); ok {
			s.describe(&info)
		}
	}
	if d != nil {
		describeText(d, &info)
	}
	return info
}

// allocated is the room that a file takes.
func allocated(f disk.File) int64 {
	if a, ok := f.(disk.Allocated); ok {
		if n, err := a.Allocated(); err == nil {
			return n
		}
	}
	n, _ := f.Size()
	return n
}

// describe adds what the extent's header says.
func (s *sparse) describe(info *disk.Info) {
	info.BlockSize = max(info.BlockSize, s.grain)
	if s.header.version > 0 {
		info.Version = strconv.Itoa(int(s.header.version))
	}
	info.Dirty = info.Dirty || s.header.unclean && (s.writer == nil || s.writer.keep)
	info.Compressed = info.Compressed || s.codec != nil
	if s.scanned != nil {
		info.Corrupt = info.Corrupt || !s.scanned.ended
		info.Details = append(info.Details, disk.Detail{Name: "grain directory", Value: "lost; the grains were found by their markers"})
	}
}

// details are the settings that are shown, and what they are called.
var details = [][2]string{
	{"CID", "CID"},
	{"parentCID", "parent CID"},
	{"ddb.longContentID", "long content ID"},
	{"ddb.adapterType", "adapter type"},
	{"ddb.virtualHWVersion", "virtual hardware version"},
	{"ddb.toolsVersion", "tools version"},
	{"ddb.thinProvisioned", "thinly provisioned"},
	{"encoding", "encoding"},
	{"changeTrackPath", "changed block tracking"},
	{keyParentModified, "parent's modification UUID"},
}

// describeText adds what the descriptor says.
func describeText(d *descriptor.Descriptor, info *disk.Info) {
	for _, key := range []string{keyUUID, "ddb.uuid"} {
		if id, ok := plainUUID(d.Text(key)); ok && info.UUID == "" {
			info.UUID = id
		}
	}
	if id, ok := plainUUID(d.Text(keyModification)); ok && id != nilUUID {
		info.Modified = id
	}
	info.Comment = d.Text("ddb.comment")
	if strings.Contains(d.Text("ddb.toolsInstallType")+d.Text("ddb.uuid"), " ") {
		info.Creator = "VMware"
	}
	info.Geometry = geometryOf(d)
	for _, item := range details {
		if v, ok := d.Get(item[0]); ok {
			info.Details = append(info.Details, disk.Detail{Name: item[1], Value: v})
		}
	}
}

// geometryOf is the geometry that a descriptor states, nil if it states none.
func geometryOf(d *descriptor.Descriptor) *disk.Geometry {
	number := func(key string) int {
		n, _ := strconv.Atoi(d.Text("ddb.geometry." + key))
		return n
	}
	g := disk.Geometry{Cylinders: number("cylinders"), Heads: number("heads"), Sectors: number("sectors")}
	if g == (disk.Geometry{}) {
		return nil
	}
	return &g
}
