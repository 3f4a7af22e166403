package envelope

import (
	"fmt"
	"path"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/ovf"
)

// disk adds a disk drive.
func (b *builder) disk(item *ovf.Item) error {
	controller, port := b.at(item)
	disk := b.backedBy(item)
	if disk == nil {
		backing := item.Backing()
		if backing.Kind == ovf.BackedByFile {
			if content := b.file(backing.ID); content != nil {
				b.named[item.InstanceID] = b.Drive(api.Disk, controller, port, content)
				return nil
			}
		}
		b.notef(b.label(item), "it is backed by %q, which the descriptor does not have; it is left out", backing.ID)
		return nil
	}
	content, err := b.content(disk)
	if err != nil {
		return err
	}
	b.named[item.InstanceID] = b.Drive(api.Disk, controller, port, content)
	return nil
}

// backedBy is the disk of an item. oVirt refers to it by "group/image", or by
// the item's own ID.
func (b *builder) backedBy(item *ovf.Item) *ovf.Disk {
	backing := item.Backing()
	for _, id := range []string{backing.ID, path.Base(backing.ID), item.InstanceID} {
		if id == "" || backing.Kind == ovf.BackedByFile {
			continue
		}
		if disk := b.disks[id]; disk != nil {
			return disk
		}
	}
	return nil
}

// maxParents bounds how many disks stand on each other.
const maxParents = 256

// content is what a disk holds.
func (b *builder) content(disk *ovf.Disk) (*appliance.Disk, error) {
	size, err := disk.Bytes(b.values)
	if err != nil && (disk.FileRef == "" || strings.TrimSpace(disk.Capacity) != "") {
		return nil, fmt.Errorf("disk %s: %w", disk.ID, err)
	}
	content := &appliance.Disk{}
	if disk.FileRef != "" {
		if content = b.file(disk.FileRef); content == nil {
			return nil, fmt.Errorf("disk %s: there is no file %s in the References", disk.ID, disk.FileRef)
		}
	}
	content.Size = size
	content.Format = formatOf(disk.Format)
	if disk.PopulatedSize != nil {
		content.Used = max(*disk.PopulatedSize, 0)
	}
	for at := disk; at.ParentRef != ""; {
		parent := b.disks[at.ParentRef]
		if parent == nil {
			return nil, fmt.Errorf("disk %s stands on the disk %s, which there is not", at.ID, at.ParentRef)
		}
		if len(content.Parents) == maxParents {
			return nil, fmt.Errorf("disk %s stands on itself, or on more than %d others", disk.ID, maxParents)
		}
		below := b.file(parent.FileRef)
		if below == nil {
			return nil, fmt.Errorf("disk %s: there is no file %s in the References", parent.ID, parent.FileRef)
		}
		content.Parents = append(content.Parents, below.File)
		at = parent
	}
	return content, nil
}

// file is the content of a file of the References; nil if there is none.
func (b *builder) file(id string) *appliance.Disk {
	file := b.files[id]
	if file == nil {
		return nil
	}
	d := &appliance.Disk{File: file.Href, Remote: file.IsRemote()}
	if file.Compression != "" && file.Compression != "identity" {
		d.Compression = file.Compression
	}
	if file.Size != nil {
		d.Length = max(*file.Size, 0)
	}
	if file.ChunkSize != nil {
		d.Parts = *file.ChunkSize
	}
	return d
}

// formatURIs are the formats by what the URIs that name them contain, the first that
// fits counts: OVF leaves the URIs to those who make a format, and most are
// addresses of pages about it.
var formatURIs = []struct{ part, format string }{
	{"vmdk", "vmdk"},
	{"vhdx", "vhdx"},
	{"vhd", "vhd"},
	{"fwlink/?linkid=137171", "vhd"}, // Microsoft's page about VHD
	{"vdi", "vdi"},
	{"parallels", "parallels"},
	{"qcow", "qcow2"},
	{"raw", "raw"},
}

// formatOf is the format that a URI stands for, as disk/formats names it; empty
// for others.
func formatOf(uri string) string {
	uri = strings.ToLower(uri)
	for _, k := range formatURIs {
		if strings.Contains(uri, k.part) {
			return k.format
		}
	}
	return ""
}
