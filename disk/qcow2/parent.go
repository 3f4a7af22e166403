package qcow2

import "github.com/panalvm/panal/disk"

// SetParent changes the name of the backing file.
func (img *image) SetParent(parent disk.Image, name, format string) error {
	if !img.canWrite {
		return disk.ErrReadOnly
	}
	if parent == nil {
		name, format = "", ""
	} else if name = pathName(name); name == "" || len(name) > maxBackingName {
		return disk.Usage("the name of the parent has %d bytes; from 1 to %d are possible", len(name), maxBackingName)
	}
	img.writing.Lock()
	defer img.writing.Unlock()
	if img.h.autoclear&autoclearDataFileRaw != 0 && parent != nil {
		return disk.Unsupported(formatName, "the image's data file is to be readable as a raw disk, so it cannot have a parent")
	}
	if err := img.touch(); err != nil {
		return err
	}
	if err := img.sync(); err != nil {
		return err
	}
	if format == "" && parent != nil {
		format = disk.Describe(parent).Format
	}
	return img.rewriteHeader(backing{name, format})
}

// rewriteHeader gives the image another name of the backing file, durably;
// extensions that we do not know stay. All that a power cut may not tear lies in
// the first sector, which is written last: what of the name lies behind it goes
// to where the header that is still valid has nothing.
func (img *image) rewriteHeader(b backing) error {
	h := img.h
	var format []byte
	if b.format != "" {
		format = []byte(b.format)
	}
	extensions, err := fitting(&h, with(img.extensions, extBackingFormat, format))
	if err != nil {
		return err
	}
	h.backingLen = uint32(len(b.name))
	if h.backingOffset, err = img.roomForName(&h, extensions, b.name); err != nil {
		return err
	}
	if from := max(headerSector-h.backingOffset, 0); from < int64(len(b.name)) {
		if _, err := img.file.WriteAt([]byte(b.name[from:]), h.backingOffset+from); err != nil {
			return err
		}
		if err := img.file.Sync(); err != nil {
			return err
		}
	}
	return img.switchHeader(h, extensions, b)
}

// fitting is the extensions as they fit into the first sector: the table of
// features' names, which is for people only, is cut short if need be.
func fitting(h *header, all []extension) ([]extension, error) {
	for {
		over := int64(h.length) + int64(len(encodeExtensions(all))) - headerSector
		if over <= 0 {
			return all, nil
		}
		names, ok := find(all, extFeatureNames)
		if !ok {
			return nil, disk.Unsupported(formatName, "the headers without the parent's name need %d bytes and must fit into %d for the parent to be changed safely; convert the image", headerSector+over, headerSector)
		}
		left := (int64(len(names.data)) - over) / featureNameBytes * featureNameBytes
		if left <= 0 {
			all = with(all, extFeatureNames, nil)
		} else {
			all = with(all, extFeatureNames, names.data[:left])
		}
	}
}

// roomForName is where a new name of the backing file can lie in the first
// cluster, 0 for an empty one.
func (img *image) roomForName(h *header, extensions []extension, name string) (int64, error) {
	if name == "" {
		return 0, nil
	}
	n, end := int64(len(name)), int64(h.length)+int64(len(encodeExtensions(extensions)))
	kept := [][2]int64{ // by the header that is valid now
		{int64(img.h.length), int64(img.h.length) + int64(len(encodeExtensions(img.extensions)))},
		{img.h.backingOffset, img.h.backingOffset + int64(img.h.backingLen)},
	}
	free := func(at int64) bool {
		for _, k := range kept {
			if max(at, k[0], headerSector) < min(at+n, k[1]) {
				return false
			}
		}
		return at >= end && at+n <= h.clusterSize()
	}
	for _, at := range []int64{end, kept[0][1], kept[1][1]} {
		if free(at) {
			return at, nil
		}
	}
	return 0, disk.Unsupported(formatName, "the headers and the parent's name of %d bytes must fit into a cluster of %d, beside the old name; choose a shorter name", n, h.clusterSize())
}

// switchHeader makes the first sector say what is new.
func (img *image) switchHeader(h header, extensions []extension, b backing) error {
	oldHeader, oldFirst := img.h, img.first
	first := make([]byte, headerSector)
	copy(first, oldFirst[:min(int64(len(oldFirst)), int64(h.length))])
	copy(first[h.length:], encodeExtensions(extensions))
	if off := h.backingOffset; off > 0 && off < headerSector {
		copy(first[off:], b.name)
	}
	img.setHeader(h)
	img.first = first
	if err := img.writeHeader(); err != nil {
		img.setHeader(oldHeader)
		img.first = oldFirst
		return err
	}
	img.extensions, img.backing = extensions, b
	return nil
}

// setHeader changes the header in memory, which readers look at all the time.
func (img *image) setHeader(h header) {
	img.gate.Lock()
	defer img.gate.Unlock()
	img.h = h
}
