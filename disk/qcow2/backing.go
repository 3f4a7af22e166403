package qcow2

import (
	"encoding/json"
	"strings"

	"github.com/panalvm/panal/disk"
)

// backing is how the image names its backing file.
type backing struct {
	name   string // as it stands in the image
	format string // of the extension, "" if there is none
}

// reference is a file that a QEMU file name leads to.
type reference struct {
	path   string
	format string // "" if the name does not say
}

// loadBacking reads the name of the backing file out of the first cluster.
func (img *image) loadBacking(first []byte) error {
	format, _ := find(img.extensions, extBackingFormat)
	img.backing.format = string(format.data)
	off, n := img.h.backingOffset, int64(img.h.backingLen)
	if off == 0 || n == 0 {
		return nil
	}
	if off+n > int64(len(first)) {
		return disk.Corrupt(formatName, 8, "the name of the backing file (%d bytes at %#x) goes beyond the end of the file", n, off)
	}
	img.backing.name = string(first[off : off+n])
	return nil
}

// openParent opens the backing file.
func (img *image) openParent(src *disk.Source) error {
	if img.backing.name == "" || src.Alone {
		return nil
	}
	ref, err := parseReference(img.backing.name)
	if err != nil {
		return err
	}
	format := img.backing.format
	if ref.format != "" {
		format = ref.format
	}
	img.parent, err = src.OpenParent(disk.ParentRef{Paths: []string{ref.path}, Format: parentFormat(format)})
	return err
}

// parentFormat is a format's name for the parent; QEMU calls what it reads
// without a format by the way of access.
func parentFormat(name string) string {
	if name == "file" || name == "host_device" {
		return "raw"
	}
	return name
}

// pathName is a path as it is to stand in an image: QEMU takes what is before a
// colon for a protocol, unless there is a slash before it. A drive stays.
func pathName(path string) string {
	before, after, ok := strings.Cut(path, ":")
	drive := len(before) == 1 && after != "" && strings.ContainsAny(after[:1], `/\`)
	if !ok || drive || strings.Contains(before, "/") {
		return path
	}
	return "./" + path
}

// parseReference reads a file name as QEMU understands it: a path, "file:"
// and a path, or "json:" and options. What leads to no file of the
// host is an UnsupportedError.
func parseReference(name string) (reference, error) {
	if text, ok := strings.CutPrefix(name, "json:"); ok {
		return parseJSON(name, text)
	}
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		return reference{path: path}, nil
	}
	if scheme, _, ok := strings.Cut(name, ":"); ok && len(scheme) > 1 && !strings.ContainsAny(scheme, `/\`) {
		return reference{}, disk.Unsupported(formatName,
			"%q is reached by the protocol %q; only files can be read (for a file with a colon in its name, rebase to ./NAME)", name, scheme)
	}
	return reference{path: name}, nil
}

// parseJSON reads the options that lead to a file: {"driver": format, "file":
// {"driver": "file", "filename": path}}, nested or with dotted keys.
func parseJSON(name, text string) (reference, error) {
	refused := disk.Unsupported(formatName, "%q: of json: names only those can be read that lead to a file, with a format and no other option", name)
	var options map[string]any
	if json.Unmarshal([]byte(text), &options) != nil {
		return reference{}, disk.Unsupported(formatName, "%q is no valid json: name", name)
	}
	flat := map[string]string{}
	if !flatten(flat, "", options, 4) {
		return reference{}, refused
	}
	var ref reference
	switch driver := flat["driver"]; driver {
	case "file", "host_device":
		ref = reference{path: flat["filename"], format: "raw"}
		delete(flat, "filename")
	default:
		ref = reference{path: flat["file.filename"], format: driver}
		if d := flat["file.driver"]; d != "" && d != "file" && d != "host_device" {
			return reference{}, refused
		}
		delete(flat, "file.filename")
		delete(flat, "file.driver")
	}
	delete(flat, "driver")
	if ref.path == "" || len(flat) > 0 {
		return reference{}, refused
	}
	return ref, nil
}

// flatten writes nested options as dotted ones; false if there is something
// else than text in them.
func flatten(into map[string]string, prefix string, options map[string]any, depth int) bool {
	for key, value := range options {
		switch v := value.(type) {
		case string:
			into[prefix+key] = v
		case map[string]any:
			if depth == 0 || !flatten(into, prefix+key+".", v, depth-1) {
				return false
			}
		default:
			return false
		}
	}
	return true
}
