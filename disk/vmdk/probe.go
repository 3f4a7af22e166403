package vmdk

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/panalvm/panal/disk"
)

// probe looks for the signatures of the three kinds of sparse extent, and for
// a text that describes a disk.
func probe(s disk.Sample) disk.Confidence {
	switch head := s.Head; {
	case bytes.HasPrefix(head, []byte(magicSparse)):
		if len(head) >= sector && decodeHeader(head).check(0) == nil {
			return disk.Certain
		}
		return disk.Likely
	case bytes.HasPrefix(head, []byte(magicCOWD)):
		if len(head) >= sector && binary.LittleEndian.Uint32(head[4:]) == 1 {
			return disk.Certain
		}
		return disk.Possible
	case len(head) >= sector && binary.LittleEndian.Uint64(head) == magicSE:
		return disk.Certain
	default:
		return probeText(head)
	}
}

// probeText looks at the lines that stand before the extents.
func probeText(head []byte) disk.Confidence {
	head = bytes.TrimPrefix(head, []byte("\ufeff"))
	if !bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("#")) && !bytes.HasPrefix(head, []byte("version")) {
		return disk.No
	}
	titled, version, kind := false, false, false
	for line := range strings.Lines(string(head[:min(len(head), 4096)])) {
		line = strings.ToLower(strings.TrimSpace(line))
		titled = titled || strings.HasPrefix(line, "# disk descriptorfile")
		version = version || strings.HasPrefix(line, "version=") || strings.HasPrefix(line, "version =")
		kind = kind || strings.HasPrefix(line, "createtype")
	}
	switch {
	case titled && version && kind, version && kind:
		return disk.Certain
	case titled:
		return disk.Likely
	}
	return disk.No
}
