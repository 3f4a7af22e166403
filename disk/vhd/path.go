package vhd

import (
	"encoding/binary"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/panalvm/panal/disk"
)

// Platform codes of parent locators.
const (
	codeRelative = "W2ru" // UTF-16, little-endian, relative to the image
	codeAbsolute = "W2ku" // UTF-16, little-endian
	codeOldRel   = "Wi2r" // deprecated, in the code page of the machine
	codeOldAbs   = "Wi2k"
	codeMacURL   = "MacX" // a file URL in UTF-8; XenServer writes nothing else
	codeMacAlias = "Mac " // an alias record, of use to Mac OS 9 alone
)

// locatorOrder is which locators are tried first: a relative path survives
// moving the folder.
var locatorOrder = []string{codeRelative, codeOldRel, codeMacURL, codeAbsolute, codeOldAbs}

// maxLocator is the longest path that is read, in bytes.
const maxLocator = 64 << 10

// parentPaths gets the paths to the parent, the best first, without repeats.
func parentPaths(f disk.File, h header) ([]string, error) {
	found := map[string][]string{}
	for i := range locators {
		l := h.locator(i)
		if l.none() || l.length > maxLocator || !slices.Contains(locatorOrder, l.code) {
			continue
		}
		p, err := disk.ReadFull(f, l.offset, l.length, name, "parent locator "+l.code)
		if err != nil {
			return nil, err
		}
		found[l.code] = append(found[l.code], decodePath(l.code, p))
	}
	var all []string
	add := func(p string) {
		if p != "" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	for _, code := range locatorOrder {
		for _, p := range found[code] {
			add(p)
		}
	}
	add(h.parentName())
	for _, p := range slices.Clone(all) {
		add(base(p))
	}
	return all, nil
}

// parentName is the parent's name in the header itself, in UTF-16 that should
// be big-endian.
func (h header) parentName() string {
	return decode16(h[atParentName:atParentName+parentNameLen], binary.BigEndian)
}

// decodePath reads a locator's data.
func decodePath(code string, p []byte) string {
	switch code {
	case codeRelative, codeAbsolute:
		return decode16(p, binary.LittleEndian)
	case codeMacURL:
		return fromURL(cut(string(p)))
	}
	return strings.ToValidUTF8(cut(string(p)), "\uFFFD")
}

// cut is what stands before the first zero.
func cut(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

// decode16 reads UTF-16 up to the first zero. The order is what programs write
// mostly; a mark or zeros in the wrong half of each character tell of another.
func decode16(p []byte, usual binary.ByteOrder) string {
	order := orderOf(p, usual)
	units := make([]uint16, 0, len(p)/2)
	for ; len(p) >= 2; p = p[2:] {
		u := order.Uint16(p)
		if u == 0 {
			break
		}
		if u != 0xfeff {
			units = append(units, u)
		}
	}
	return string(utf16.Decode(units))
}

func orderOf(p []byte, usual binary.ByteOrder) binary.ByteOrder {
	if len(p) < 2 {
		return usual
	}
	switch {
	case p[0] == 0xff && p[1] == 0xfe:
		return binary.LittleEndian
	case p[0] == 0xfe && p[1] == 0xff:
		return binary.BigEndian
	}
	little, big := 0, 0 // characters below 256, by each order
	for ; len(p) >= 2 && (p[0] != 0 || p[1] != 0); p = p[2:] {
		if p[1] == 0 {
			little++
		}
		if p[0] == 0 {
			big++
		}
	}
	switch {
	case little > big:
		return binary.LittleEndian
	case big > little:
		return binary.BigEndian
	}
	return usual
}

// encode16 writes UTF-16 without an end.
func encode16(s string, order binary.AppendByteOrder) []byte {
	var p []byte
	for _, u := range utf16.Encode([]rune(s)) {
		p = order.AppendUint16(p, u)
	}
	return p
}

// fromURL turns a file URL into a path. XenServer writes file://./name for a
// relative one.
func fromURL(s string) string {
	if !strings.HasPrefix(s, "file:") {
		return s
	}
	if rest, ok := strings.CutPrefix(s, "file://."); ok {
		if plain, err := url.PathUnescape("." + rest); err == nil {
			return plain
		}
		return "." + rest
	}
	u, err := url.Parse(s)
	if err != nil {
		return strings.TrimPrefix(strings.TrimPrefix(s, "file://"), "localhost")
	}
	return u.Path
}

// base is the last part of a path of any system.
func base(p string) string {
	p = strings.ReplaceAll(p, `\`, "/")
	if strings.HasSuffix(p, "/") {
		return ""
	}
	return path.Base(p)
}

// isAbsolute tells whether a path is, on any system.
func isAbsolute(p string) bool {
	return strings.HasPrefix(p, "/") || strings.HasPrefix(p, `\`) || len(p) > 2 && p[1] == ':'
}

// forWindows writes a path as Windows does.
func forWindows(p string) string {
	p = strings.ReplaceAll(p, "/", `\`)
	if !isAbsolute(p) && !strings.HasPrefix(p, `.`) {
		p = `.\` + p
	}
	return p
}
