package nbd

import (
	"fmt"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/panalvm/panal/disk"
)

// Export is a disk that is served, and how.
type Export struct {
	Name        string     // what clients ask for; "" is the one that they get without asking
	Description string     // for people; clients show it in lists
	Image       disk.Image // stays the caller's; it must be open until the server is closed
	ReadOnly    bool       // even though the image could be written
	Resize      bool       // lets clients change the disk's size, if the image can
}

// Bounds of the preferred block size that clients are told; the image's own
// unit lies between. nbdcopy makes its requests that long, and those beyond
// quickBytes cost more.
const (
	minPreferred = 4 << 10
	maxPreferred = 256 << 10
)

// export is an Export with what the server needs to know of it.
type export struct {
	Export
	writer    disk.Writer // nil when it cannot be written
	preferred uint32
	users     atomic.Int32 // connections that have chosen it
	// data is a range that was data when the image was last asked. It may have
	// become zero since; then it is read, found to be zero, and sent as a hole.
	data atomic.Pointer[disk.Extent]
}

// newExport checks an Export.
func newExport(e Export) (*export, error) {
	if e.Image == nil {
		return nil, disk.Usage("export %q has no image", e.Name)
	}
	for _, text := range []string{e.Name, e.Description} {
		if len(text) > maxString || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return nil, disk.Usage("names and descriptions of exports are at most %d bytes of UTF-8 without zero bytes; %.40q is not", maxString, text)
		}
	}
	made := &export{Export: e, preferred: preferredBlock(disk.Describe(e.Image).BlockSize)}
	if disk.Writable(e.Image) && !e.ReadOnly {
		made.writer = e.Image.(disk.Writer)
	}
	return made, nil
}

// newExports checks several, which must have different names.
func newExports(list []Export) ([]*export, error) {
	exports := make([]*export, 0, len(list))
	for _, e := range list {
		made, err := newExport(e)
		if err != nil {
			return nil, err
		}
		if find(exports, e.Name) != nil {
			return nil, disk.Usage("two exports are called %q", e.Name)
		}
		exports = append(exports, made)
	}
	if len(exports) == 0 {
		return nil, disk.Usage("a server needs an export")
	}
	return exports, nil
}

func find(exports []*export, name string) *export {
	for _, e := range exports {
		if e.Name == name {
			return e
		}
	}
	return nil
}

// preferredBlock makes an image's unit one that the protocol allows.
func preferredBlock(unit int64) uint32 {
	if unit&(unit-1) != 0 {
		unit = 0
	}
	return uint32(min(max(unit, minPreferred), maxPreferred))
}

// resizable tells whether clients may change the size.
func (e *export) resizable() bool {
	_, can := e.Image.(disk.Resizer)
	return can && e.Resize && e.writer != nil
}

// flags are the transmission flags. The image's cache is the same for all
// connections, and Sync is of the whole image, so a flush on one connection
// covers what all wrote.
func (e *export) flags(chunked bool) uint16 {
	flags := uint16(flagHasFlags | flagSendFlush | flagMultiConn | flagSendCache)
	if chunked {
		flags |= flagSendDF
	}
	if e.writer == nil {
		return flags | flagReadOnly
	}
	flags |= flagSendFUA | flagSendTrim | flagSendZeroes | flagSendFastZero
	if e.resizable() {
		flags |= flagSendResize
	}
	return flags
}

// sync makes durable what was written.
func (e *export) sync() error {
	if e.writer == nil {
		return nil
	}
	if err := e.writer.Sync(); err != nil {
		return fmt.Errorf("sync export %q: %w", e.Name, err)
	}
	return nil
}
