package xva

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/panalvm/panal/disk"
)

const name = "xva"

// Variants are how the archive is compressed.
const (
	variantPlain = "plain"
	variantGzip  = "gzip"
	variantZstd  = "zstd"
)

// Format is XVA.
var Format = &disk.Format{
	Name:       name,
	Extensions: []string{"xva"},
	Title:      "XenServer and XCP-ng export (read only)",
	Variants: []disk.Variant{
		{Name: variantPlain, Title: "not compressed"},
		{Name: variantGzip, Title: "compressed as a whole by gzip"},
		{Name: variantZstd, Title: "compressed as a whole by zstd"},
	},
	Probe: probe,
	Open:  open,
}

var (
	magicGzip = []byte{0x1f, 0x8b}
	magicZstd = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// compression tells from a file's first bytes how it is compressed.
func compression(head []byte) string {
	switch {
	case bytes.HasPrefix(head, magicGzip):
		return variantGzip
	case bytes.HasPrefix(head, magicZstd):
		return variantZstd
	}
	return variantPlain
}

// probe looks whether an archive begins with ova.xml.
func probe(s disk.Sample) disk.Confidence {
	kind := compression(s.Head)
	// A block of zstd has up to 128 KiB, more than the sample's head may hold.
	r, done, err := decompress(kind, io.NewSectionReader(s, 0, min(s.Size, 256<<10)))
	if err != nil {
		return disk.No
	}
	defer done()
	h, err := tar.NewReader(r).Next()
	if err != nil || strings.TrimPrefix(h.Name, "./") != ovaName {
		return disk.No
	}
	return disk.Certain
}

// Disk is a disk of an XVA.
type Disk struct {
	Ref  string // "Ref:12": its directory in the archive
	Name string // what the administrator calls it
	Size int64  // bytes; 0 if the archive does not say
}

// Disks lists the disks of an archive.
func Disks(file disk.File) ([]Disk, error) {
	a, err := newArchive(file)
	if err != nil {
		return nil, err
	}
	return a.disks()
}

// Description is the ova.xml of an archive, which describes the machine. What
// is no XVA is a *disk.FormatError.
func Description(file disk.File) ([]byte, error) {
	a, err := archiveIn(file)
	if err != nil {
		return nil, err
	}
	w, err := a.description()
	if err != nil {
		return nil, err
	}
	defer w.close()
	text, err := io.ReadAll(io.LimitReader(w.tar, maxOva+1))
	if err != nil {
		return nil, a.unreadable(w.at(), ovaName, err)
	}
	if len(text) > maxOva {
		return nil, a.corrupt(0, "%s is longer than the %d MiB that one can have", ovaName, maxOva>>20)
	}
	return text, nil
}

// open opens a disk; the file is closed with it, or after an error.
func open(s *disk.Source) (disk.Image, error) {
	img, err := openDisk(s)
	if err != nil {
		return nil, errors.Join(err, s.File.Close())
	}
	return img, nil
}

func openDisk(s *disk.Source) (disk.Image, error) {
	if s.Write {
		return nil, fmt.Errorf("an XVA cannot be written, only converted: %w", disk.ErrReadOnly)
	}
	if s.Snapshot != "" {
		return nil, disk.Unsupported(name, "an export has no snapshots; name a disk of it by the archive's name and /Ref:…")
	}
	a, err := newArchive(s.File)
	if err != nil {
		return nil, err
	}
	wanted := ""
	if named, ok := s.File.(interface{ Selection() string }); ok {
		wanted = named.Selection()
	}
	d, err := a.choose(wanted, s.Name)
	if err != nil {
		return nil, err
	}
	if a.kind == variantPlain {
		return openSeekable(a, d)
	}
	return openStreamed(a, d)
}

// choose finds the disk that is wanted, or the only one.
func (a *archive) choose(wanted, file string) (Disk, error) {
	all, err := a.disks()
	if err != nil {
		return Disk{}, err
	}
	if wanted == "" && len(all) == 1 {
		return all[0], nil
	}
	var names []string
	for _, d := range all {
		if d.Ref == wanted {
			return d, nil
		}
		names = append(names, fmt.Sprintf("%s/%s", file, d.Ref))
	}
	switch {
	case len(all) == 0:
		return Disk{}, disk.Corrupt(name, -1, "the archive has no disk")
	case wanted != "":
		return Disk{}, disk.Usage("there is no disk %s; there are %s", wanted, strings.Join(names, ", "))
	}
	return Disk{}, disk.Usage("the archive has %d disks; name one of %s", len(all), strings.Join(names, ", "))
}
