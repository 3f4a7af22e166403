package qcow2

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/panalvm/panal/disk"
)

// Describe says what the headers say.
func (img *image) Describe() disk.Info {
	h := &img.h
	info := disk.Info{
		Format: formatName, Version: map[uint32]string{2: "2 (compat 0.10)", 3: "3 (compat 1.1)"}[h.version],
		Size: img.Size(), Allocated: img.allocatedBytes(), BlockSize: img.clusterSize(), SectorSize: 512,
		Snapshots: img.Snapshots(), Encrypted: img.encrypted(),
		Dirty: h.incompatible&incompatDirty != 0, Corrupt: h.incompatible&incompatCorrupt != 0,
	}
	if img.backing.name != "" {
		info.Parent = &disk.Link{Name: img.backing.name, Format: img.backing.format}
	}
	if name, ok := find(img.extensions, extDataFile); ok && img.dataFile {
		info.Files = []string{string(name.data)}
	}
	info.Details = img.details()
	return info
}

func (img *image) allocatedBytes() int64 {
	total := int64(0)
	files := []disk.File{img.file}
	if img.outside() {
		files = append(files, img.data)
	}
	for _, f := range files {
		n := int64(-1)
		if a, ok := f.(disk.Allocated); ok {
			if got, err := a.Allocated(); err == nil {
				n = got
			}
		}
		if n < 0 {
			n, _ = f.Size()
		}
		total += n
	}
	return total
}

func (img *image) details() []disk.Detail {
	h := &img.h
	compression := map[uint8]string{compressionZlib: "zlib", compressionZstd: "zstd"}[h.compression]
	names, _ := find(img.extensions, extFeatureNames)
	table := decodeFeatures(names.data)
	details := []disk.Detail{
		{Name: "compression type", Value: compression},
		{Name: "refcount bits", Value: strconv.Itoa(h.refcountBits())},
		{Name: "extended L2", Value: strconv.FormatBool(img.extended)},
		{Name: "lazy refcounts", Value: strconv.FormatBool(h.compatible&compatLazyRefcounts != 0)},
	}
	if img.dataFile {
		details = append(details, disk.Detail{Name: "data file raw", Value: strconv.FormatBool(h.autoclear&autoclearDataFileRaw != 0)})
	}
	for _, f := range []struct {
		name string
		bits uint64
		kind uint8
	}{
		{"incompatible features", h.incompatible, featureIncompatible},
		{"compatible features", h.compatible, featureCompatible},
		{"autoclear features", h.autoclear, featureAutoclear},
	} {
		if f.bits != 0 {
			details = append(details, disk.Detail{Name: f.name, Value: strings.Join(bitNames(f.bits, f.kind, table), ", ")})
		}
	}
	for _, b := range img.bitmaps {
		details = append(details, disk.Detail{Name: "bitmap " + b.name, Value: b.describe()})
	}
	return details
}

func (b *bitmap) describe() string {
	out := fmt.Sprintf("granularity %d", int64(1)<<b.granularity)
	for _, f := range []struct {
		bit  uint32
		name string
	}{{bitmapAuto, "auto"}, {bitmapInUse, "in use"}} {
		if b.flags&f.bit != 0 {
			out += ", " + f.name
		}
	}
	return out
}
