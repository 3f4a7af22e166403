package descriptor

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Access says what may be done with an extent.
type Access string

// The kinds of access.
const (
	ReadWrite Access = "RW"
	ReadOnly  Access = "RDONLY"
	NoAccess  Access = "NOACCESS"
)

// Extent is a part of the disk: the extents follow one another.
type Extent struct {
	Access  Access
	Sectors int64  // of 512 bytes, at least 0
	Type    string // in capitals: FLAT, SPARSE, ZERO, VMFS, VMFSSPARSE, SESPARSE, VMFSRDM, …
	File    string // in UTF-8; "" when it has none
	Offset  int64  // where it begins in the file, in sectors
	Rest    string // what else stands in the line, such as a partition's UUID
}

// maxSectors keeps byte offsets within 63 bits, sums of extents too.
const maxSectors = math.MaxInt64 >> 12

// Extents are those of the disk, in order.
func (d *Descriptor) Extents() ([]Extent, error) {
	var all []Extent
	total := int64(0)
	for _, l := range d.lines {
		if l.kind != extent {
			continue
		}
		e, err := parseExtent(d.decode(l.text))
		if err != nil {
			return nil, err
		}
		if total += e.Sectors; total > maxSectors {
			return nil, fmt.Errorf("the extents are larger together than any disk: %q", l.text)
		}
		all = append(all, e)
	}
	return all, nil
}

// SetExtents puts the given extents in the place of those that are there.
func (d *Descriptor) SetExtents(all []Extent) error {
	at, kept := -1, []line{}
	for i, l := range d.lines {
		if l.kind != extent {
			kept = append(kept, l)
			continue
		}
		if at < 0 {
			at = i
		}
	}
	if at < 0 {
		return fmt.Errorf("the descriptor has no extents that could be replaced")
	}
	d.lines = kept
	for i, e := range all {
		text, err := d.encode(e.String())
		if err != nil {
			return err
		}
		d.insert(at+i, text)
	}
	return nil
}

// String is the extent as a line.
func (e Extent) String() string {
	s := fmt.Sprintf("%s %d %s", e.Access, e.Sectors, e.Type)
	if e.File == "" {
		return s
	}
	s += ` "` + e.File + `"`
	if e.Type == "FLAT" || e.Offset != 0 || e.Rest != "" {
		s += " " + strconv.FormatInt(e.Offset, 10)
	}
	if e.Rest != "" {
		s += " " + e.Rest
	}
	return s
}

// parseExtent reads a line like
//
//	RW 63 FLAT "disk-f001.vmdk" 0 partitionUUID …
func parseExtent(text string) (Extent, error) {
	bad := func(what string) (Extent, error) {
		return Extent{}, fmt.Errorf("the extent %q has %s", text, what)
	}
	access, rest := word(strings.TrimPrefix(text, "\ufeff"))
	count, rest := word(rest)
	kind, rest := word(rest)
	e := Extent{Access: Access(strings.ToUpper(access)), Type: strings.ToUpper(kind)}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n < 0 || n > maxSectors {
		return bad("no usable number of sectors")
	}
	e.Sectors = n
	if e.Type == "" {
		return bad("no kind")
	}
	if rest = strings.TrimSpace(rest); rest == "" {
		return e, nil
	}
	if rest[0] != '"' {
		return bad("a file name without quotes")
	}
	end := endOfName(rest)
	if end < 0 {
		return bad("a file name whose quotes do not end")
	}
	e.File = rest[1:end]
	offset, rest := word(rest[end+1:])
	if offset != "" {
		if n, err = strconv.ParseInt(offset, 10, 64); err != nil || n < 0 || n > maxSectors {
			return bad("no usable offset")
		}
		e.Offset = n
	}
	e.Rest = strings.TrimSpace(rest)
	return e, nil
}

// endOfName finds the quote that ends a name. Names may have quotes in them:
// the one that is followed by the end of the line or by a number ends it.
func endOfName(s string) int {
	first := -1
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			continue
		}
		if first < 0 {
			first = i
		}
		next, _ := word(s[i+1:])
		if next == "" {
			return i
		}
		if _, err := strconv.ParseUint(next, 10, 64); err == nil && (s[i+1] == ' ' || s[i+1] == '\t') {
			return i
		}
	}
	return first
}

// word cuts the first word off.
func word(s string) (first, rest string) {
	s = strings.TrimLeft(s, " \t")
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}
