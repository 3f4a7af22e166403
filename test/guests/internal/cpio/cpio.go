// Package cpio writes archives in the "newc" format, the one the Linux kernel unpacks as its initramfs.
//
// An archive is a sequence of members, each a header of thirteen eight-digit hexadecimal fields after a magic number,
// the member's name with a NUL, and its content; name and content are each padded to four bytes. A member called
// TRAILER!!! ends it. The format is described in the kernel's driver-api/early-userspace/buffer-format.rst.
package cpio

import (
	"fmt"
	"io"
	"io/fs"
)

const (
	magic   = "070701"
	trailer = "TRAILER!!!"
	align   = 4
)

// The types of members, as in a file's mode (stat(2)).
const (
	typeDirectory = 0o040000
	typeRegular   = 0o100000
	typeSymlink   = 0o120000
	typeCharacter = 0o020000
)

// Writer writes one archive. Everything in it belongs to root and carries no time, so that equal content makes an
// equal archive. After the first error every method returns it.
type Writer struct {
	w     io.Writer
	inode uint32
	err   error
}

// NewWriter returns a Writer of an archive to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Directory adds a directory; its parents have to be there already.
func (w *Writer) Directory(name string, perm fs.FileMode) error {
	return w.member(name, typeDirectory|uint32(perm.Perm()), nil, 0, 0)
}

// File adds a regular file with the given content.
func (w *Writer) File(name string, perm fs.FileMode, content []byte) error {
	return w.member(name, typeRegular|uint32(perm.Perm()), content, 0, 0)
}

// Symlink adds a symbolic link that points to target.
func (w *Writer) Symlink(name, target string) error {
	return w.member(name, typeSymlink|0o777, []byte(target), 0, 0)
}

// Character adds a character device.
func (w *Writer) Character(name string, perm fs.FileMode, major, minor uint32) error {
	return w.member(name, typeCharacter|uint32(perm.Perm()), nil, major, minor)
}

// Close ends the archive; it does not close the underlying writer.
func (w *Writer) Close() error {
	return w.member(trailer, 0, nil, 0, 0)
}

// member writes one header with its name and content.
func (w *Writer) member(name string, mode uint32, content []byte, major, minor uint32) error {
	if w.err != nil {
		return w.err
	}
	w.inode++
	header := magic
	for _, field := range []uint32{
		w.inode, mode, 0, 0, 1, 0, uint32(len(content)), 0, 0, major, minor, uint32(len(name) + 1), 0,
	} {
		header += fmt.Sprintf("%08x", field)
	}
	w.padded([]byte(header + name + "\x00"))
	w.padded(content)
	return w.err
}

// padded writes b and as many zero bytes as its alignment wants.
func (w *Writer) padded(b []byte) {
	if w.err != nil {
		return
	}
	if _, err := w.w.Write(b); err != nil {
		w.err = fmt.Errorf("write cpio archive: %w", err)
		return
	}
	if rest := len(b) % align; rest != 0 {
		_, w.err = w.w.Write(make([]byte, align-rest))
	}
}
