package parallels

import (
	"bytes"
	"errors"

	"github.com/panalvm/panal/disk"
)

// Variants.
const (
	variantExpanding = "expanding"
	variantPlain     = "plain"
)

// Options for creating.
const (
	optionCluster = "clusterSize"
	optionVersion = "layout"
	optionBundle  = "bundle"
	optionSplit   = "split"

	layoutNew = "ext"
	layoutOld = "classic"
)

// Format is Parallels' formats.
var Format = &disk.Format{
	Name:       name,
	Aliases:    []string{"hdd", "hds", "prl"},
	Extensions: []string{"hds", "hdd"},
	Title:      "Parallels disk (.hds, .hdd bundle)",
	Variants: []disk.Variant{
		{Name: variantExpanding, Aliases: []string{"Compressed", "dynamic", "Standard"}, Title: "grows as it is written to", Create: true, Write: true, Stream: true, Parent: true},
		{Name: variantPlain, Aliases: []string{"fixed"}, Title: "the disk, byte for byte", Create: true, Write: true},
	},
	Options: []disk.Option{
		{Name: optionCluster, Kind: disk.Bytes, Default: "1M", Min: 4 << 10, Max: 64 << 20, Variants: []string{variantExpanding}, Help: "unit of allocation, a power of two"},
		{Name: optionVersion, Kind: disk.Choice, Choices: []string{layoutNew, layoutOld}, Default: layoutNew, Variants: []string{variantExpanding}, Help: "classic is WithoutFreeSpace, for old programs, up to 2 TiB"},
		{Name: optionBundle, Kind: disk.Switch, Help: "make a bundle: NAME.hdd/DiskDescriptor.xml and its files; on when the name is DiskDescriptor.xml"},
		{Name: optionSplit, Kind: disk.Bytes, Min: 1 << 20, Max: 1 << 50, Help: "cut a bundle's disk into files for this much of it each"},
	},
	Probe:  probe,
	Open:   open,
	Create: create,
	Stream: stream,
}

// probe knows expanding images by their magic and bundles by their
// descriptor. Plain files have nothing to be known by.
func probe(s disk.Sample) disk.Confidence {
	if hasMagic(s.Head) {
		if _, err := parseHeader(s.Head); err != nil {
			return disk.Likely
		}
		return disk.Certain
	}
	if isDescriptor(s.Head) {
		return disk.Certain
	}
	return disk.No
}

// isDescriptor tells whether a file that begins with p is a DiskDescriptor.xml.
func isDescriptor(p []byte) bool {
	p = bytes.TrimLeft(bytes.TrimPrefix(p, []byte("\xef\xbb\xbf")), " \t\r\n")
	return bytes.HasPrefix(p, []byte("<")) && bytes.Contains(p[:min(len(p), 4096)], []byte("<Parallels_disk_image"))
}

// open opens any of them. What has no signature is plain.
func open(s *disk.Source) (disk.Image, error) {
	img, err := openAny(s)
	if err != nil {
		return nil, errors.Join(err, s.File.Close())
	}
	return img, nil
}

func openAny(s *disk.Source) (disk.Image, error) {
	size, err := s.File.Size()
	if err != nil {
		return nil, err
	}
	head, err := disk.ReadFull(s.File, 0, min(size, 4096), name, "header")
	if err != nil {
		return nil, err
	}
	if isDescriptor(head) {
		return wrap(openBundle(s))
	}
	if s.Snapshot != "" {
		return nil, disk.Unsupported(name, "only bundles have snapshots; open their DiskDescriptor.xml")
	}
	if hasMagic(head) {
		return wrap(openExpanding(s.File, s.Write, nil))
	}
	return wrap(openPlain(s.File, s.Write, true))
}

// wrap keeps a nil pointer from becoming an image.
func wrap[I disk.Image](img I, err error) (disk.Image, error) {
	if err != nil {
		return nil, err
	}
	return img, nil
}
