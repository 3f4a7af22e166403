package vbox

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/panalvm/panal/internal/appliance"
)

// medium is an image of the registry.
type medium struct {
	appliance.Disk
	location string // as it is registered
	missing  bool   // its file is not here
	note     string // what is lost of it
}

// registry is the images by UUID.
type registry map[string]medium

// register reads the media registry.
func register(files fs.FS, dir string, node *machineNode) (registry, error) {
	r := registry{}
	for _, d := range node.Disks {
		if err := r.disk(files, dir, d, nil, 0); err != nil {
			return nil, err
		}
	}
	for _, images := range [][]image{node.DVDs, node.Floppies} {
		for _, i := range images {
			r.add(files, dir, i.UUID, i.Location, "raw", nil)
		}
	}
	return r, nil
}

// disk registers a disk and those that are the difference to it.
func (r registry) disk(files fs.FS, dir string, d hardDisk, parents []string, depth int) error {
	if depth > maxDepth {
		return errors.New("its disks stand on each other deeper than there can be")
	}
	m := r.add(files, dir, d.UUID, d.Location, formatName(d.Format), parents)
	switch strings.ToLower(d.Type) {
	case "", "normal":
	default:
		m.note = fmt.Sprintf("it was of the type %s; it is an ordinary disk here, which snapshots take in", d.Type)
	}
	for _, p := range d.Properties {
		if strings.HasPrefix(p.Name, "CRYPT/") {
			m.Encryption = "VirtualBox"
			m.note = "it is encrypted by VirtualBox, and cannot be read without it"
		}
	}
	r[bare(d.UUID)] = m
	chain := append([]string{m.File}, parents...)
	for _, child := range d.Children {
		if err := r.disk(files, dir, child, chain, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (r registry) add(files fs.FS, dir, uuid, location, format string, parents []string) medium {
	name, found := appliance.Locate(files, dir, location)
	m := medium{Disk: appliance.Disk{File: name, Format: format, Parents: parents}, location: location, missing: !found}
	r[bare(uuid)] = m
	return m
}

// formatName is a format as disk/formats names it; empty for those that it does not.
func formatName(format string) string {
	switch name := strings.ToLower(format); name {
	case "vdi", "vmdk", "vhd", "vhdx", "raw":
		return name
	case "parallels", "qcow":
		return name
	}
	return ""
}
