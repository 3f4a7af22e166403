package qcow1

import (
	"strings"

	"github.com/panalvm/panal/disk"
)

// openParent reads the name of the backing file, and opens it. Its format
// stands nowhere and is recognised.
func (m *image) openParent(src *disk.Source) error {
	if m.h.backingOffset == 0 || m.h.backingLen == 0 {
		return nil
	}
	name, err := disk.ReadFull(m.file, m.h.backingOffset, int64(m.h.backingLen), formatName, "name of the backing file")
	if err != nil {
		return err
	}
	m.backing = string(name)
	path, ok := strings.CutPrefix(m.backing, "file:")
	if scheme, _, colon := strings.Cut(path, ":"); !ok && colon && len(scheme) > 1 && !strings.ContainsAny(scheme, `/\`) {
		return disk.Unsupported(formatName, "%q is reached by the protocol %q; only files can be read (for a file with a colon in its name, rebase to ./NAME)", m.backing, scheme)
	}
	m.parent, err = src.OpenParent(disk.ParentRef{Paths: []string{path}})
	return err
}

// backingName is a path as it is to stand in an image: QEMU takes what is before a
// colon for a protocol, unless there is a slash before it. A drive stays.
func backingName(path string) (string, error) {
	before, after, ok := strings.Cut(path, ":")
	drive := len(before) == 1 && after != "" && strings.ContainsAny(after[:1], `/\`)
	if ok && !drive && !strings.Contains(before, "/") {
		path = "./" + path
	}
	if path == "" || len(path) > maxBackingName {
		return "", disk.Usage("the name of the parent has %d bytes; from 1 to %d are possible", len(path), maxBackingName)
	}
	return path, nil
}

// SetParent changes the name of the backing file. The new one goes to the end of
// the file, before the header names it; format has no place in an image.
func (m *image) SetParent(parent disk.Image, name, _ string) error {
	if !m.canWrite {
		return disk.ErrReadOnly
	}
	var err error
	if parent == nil {
		name = ""
	} else if name, err = backingName(name); err != nil {
		return err
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	if err := m.begin(); err != nil {
		return err
	}
	h := m.h
	h.backingOffset, h.backingLen = 0, uint32(len(name))
	if name != "" {
		h.backingOffset = m.tail
		if _, err := m.file.WriteAt([]byte(name), m.tail); err != nil {
			return err
		}
		m.tail = m.shape.aligned(m.tail + int64(len(name)))
	}
	if err := m.sync(); err != nil {
		return err
	}
	old := m.h
	m.h = h
	if err := m.writeHeader(); err != nil {
		m.h = old
		return err
	}
	m.backing = name
	return nil
}
