package vhdx

import (
	"encoding/binary"
	"strings"

	"github.com/panalvm/panal/disk"
)

// locatorType says that a parent is a VHDX, [MS-VHDX] 2.6.2.6.1.
const locatorType = "b04aefb7-d19e-4a81-b789-25b8e9445913"

// The keys of a parent locator, [MS-VHDX] 2.6.2.6.3.
const (
	keyLinkage  = "parent_linkage"
	keyLinkage2 = "parent_linkage2"
	keyRelative = "relative_path"
	keyVolume   = "volume_path"
	keyAbsolute = "absolute_win32_path"
)

// pair is an entry of a parent locator.
type pair struct{ key, value string }

// locator says which image is the parent and where it may be.
type locator []pair

// decodeLocator reads a locator that lies at off.
func decodeLocator(p []byte, off int64) (locator, error) {
	if len(p) < 20 {
		return nil, disk.Corrupt(name, off, "the parent locator has %d bytes; 20 are the least", len(p))
	}
	if t := guidAt(p).String(); t != locatorType {
		return nil, disk.Unsupported(name, "the parent is of a kind %s that is not known; a VHDX is %s", t, locatorType)
	}
	count := int(binary.LittleEndian.Uint16(p[18:]))
	if 20+12*count > len(p) {
		return nil, disk.Corrupt(name, off+18, "the parent locator's %d entries do not fit into its %d bytes", count, len(p))
	}
	list := make(locator, count)
	for i := range list {
		e := p[20+12*i:]
		key, okKey := piece(p, binary.LittleEndian.Uint32(e), binary.LittleEndian.Uint16(e[8:]))
		value, okValue := piece(p, binary.LittleEndian.Uint32(e[4:]), binary.LittleEndian.Uint16(e[10:]))
		if !okKey || !okValue {
			return nil, disk.Corrupt(name, off+20+12*int64(i), "an entry of the parent locator lies outside of it")
		}
		list[i] = pair{fromUTF16(key), fromUTF16(value)}
	}
	return list, nil
}

func piece(p []byte, off uint32, n uint16) ([]byte, bool) {
	if int64(off)+int64(n) > int64(len(p)) {
		return nil, false
	}
	return p[off : int64(off)+int64(n)], true
}

func (l locator) encode() []byte {
	p := make([]byte, 20+12*len(l))
	id := wellKnown(locatorType)
	copy(p, id[:])
	binary.LittleEndian.PutUint16(p[18:], uint16(len(l)))
	for i, e := range l {
		key, value := toUTF16(e.key), toUTF16(e.value)
		binary.LittleEndian.PutUint32(p[20+12*i:], uint32(len(p)))
		binary.LittleEndian.PutUint32(p[24+12*i:], uint32(len(p)+len(key)))
		binary.LittleEndian.PutUint16(p[28+12*i:], uint16(len(key)))
		binary.LittleEndian.PutUint16(p[30+12*i:], uint16(len(value)))
		p = append(append(p, key...), value...)
	}
	return p
}

// get is the value of a key, "" if it is not there.
func (l locator) get(key string) string {
	for _, e := range l {
		if e.key == key {
			return e.value
		}
	}
	return ""
}

// paths are where the parent may be, in the order in which the specification
// has them tried ([MS-VHDX] 2.6.2.6.3), without what only Windows understands.
func (l locator) paths() []string {
	var list []string
	for _, key := range []string{keyRelative, keyAbsolute, keyVolume} {
		if v := l.get(key); v != "" {
			list = append(list, plainPath(v))
		}
	}
	return list
}

// plainPath takes the prefixes of Windows off a path: \\?\C:\x is C:\x, and
// \\?\Volume{…}\x is \x.
func plainPath(path string) string {
	rest, ok := strings.CutPrefix(path, `\\?\`)
	if !ok {
		return path
	}
	if strings.HasPrefix(rest, "Volume{") {
		if i := strings.IndexByte(rest, '\\'); i >= 0 {
			return rest[i:]
		}
	}
	return rest
}

// links tells whether an image with the given data write GUID is the parent.
func (l locator) links(dataWrite string) bool {
	for _, key := range []string{keyLinkage, keyLinkage2} {
		if g, err := parseGUID(l.get(key)); err == nil && !g.zero() && g.String() == dataWrite {
			return true
		}
	}
	return false
}
