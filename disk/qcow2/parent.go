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

// rewriteHeader writes the header with another name for the backing file;
// extensions that we do not know stay.
func (img *image) rewriteHeader(b backing) error {
	h := img.h
	rest := make([]byte, h.length)
	if _, err := img.file.ReadAt(rest, 0); err != nil && !isEOF(err) {
		return err
	}
	var format []byte
	if b.format != "" {
		format = []byte(b.format)
	}
	extensions := with(img.extensions, extBackingFormat, format)
	first, err := composeHeader(&h, rest, extensions, b.name)
	if err != nil {
		return err
	}
	if _, err := img.file.WriteAt(first, 0); err != nil {
		return err
	}
	img.h, img.extensions, img.backing = h, extensions, b
	return img.file.Sync()
}
