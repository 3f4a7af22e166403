package xva

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
)

// ovaName is the archive's first member.
const ovaName = "ova.xml"

// What it may have. Real ones have some ten kilobytes.
const (
	maxOva     = 4 << 20
	maxNesting = 64
)

// virtualDisk is a VDI object of ova.xml.
type virtualDisk struct {
	ref, name string
	size      int64
}

// parseOva reads ova.xml, an XML-RPC value, and tells how far it came.
func parseOva(r io.Reader) (root any, read int64, err error) {
	p := ovaParser{d: xml.NewDecoder(io.LimitReader(r, maxOva))}
	root, err = p.document()
	return root, p.d.InputOffset(), err
}

// disksOf finds the disks that are attached as disks, in the order of their
// positions: a struct has an array "objects" of structs with class, id and snapshot.
func disksOf(root any) []virtualDisk {
	attached, others := map[string]bool{}, false
	var all []virtualDisk
	for _, o := range list(field(root, "objects")) {
		state := field(o, "snapshot")
		switch text(field(o, "class")) {
		case "VDI":
			size, _ := strconv.ParseInt(text(field(state, "virtual_size")), 10, 64)
			all = append(all, virtualDisk{ref: text(field(o, "id")), name: text(field(state, "name_label")), size: max(0, size)})
		case "VBD":
			others = true
			if text(field(state, "type")) == "Disk" {
				attached[text(field(state, "VDI"))] = true
			}
		}
	}
	if !others {
		return all
	}
	kept := all[:0]
	for _, d := range all {
		if attached[d.ref] {
			kept = append(kept, d)
		}
	}
	return kept
}

// ovaParser reads an XML-RPC value: strings, map[string]any and []any.
type ovaParser struct{ d *xml.Decoder }

var errNested = errors.New("values lie too deep within each other")

// document is the first value.
func (p ovaParser) document() (any, error) {
	for {
		t, err := p.d.Token()
		if err != nil {
			return nil, err
		}
		if s, ok := t.(xml.StartElement); ok && s.Name.Local == "value" {
			return p.element(0)
		}
	}
}

// element reads up to the end of the element that was just begun. What it
// holds makes its value: members a map, values a list, else the text.
func (p ovaParser) element(depth int) (any, error) {
	if depth > maxNesting {
		return nil, errNested
	}
	var (
		words   strings.Builder
		inner   any
		members map[string]any
		values  []any
	)
	for {
		t, err := p.d.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.CharData:
			words.Write(t)
		case xml.StartElement:
			v, err := p.element(depth + 1)
			if err != nil {
				return nil, err
			}
			switch t.Name.Local {
			case "member":
				if members == nil {
					members = map[string]any{}
				}
				members[text(field(v, "name"))] = field(v, "value")
			case "name", "value": // of a member, or a list's
				if members == nil {
					members = map[string]any{}
				}
				members[t.Name.Local] = v
				values = append(values, v)
			default:
				inner = v
			}
		case xml.EndElement:
			return value(t.Name.Local, inner, members, values, words.String()), nil
		}
	}
}

// value is what an element of that name stands for.
func value(element string, inner any, members map[string]any, values []any, words string) any {
	switch {
	case element == "data":
		return values
	case element == "struct" || element == "member":
		return members
	case inner != nil:
		return inner
	}
	return words
}

func field(v any, name string) any {
	m, _ := v.(map[string]any)
	return m[name]
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func text(v any) string {
	s, _ := v.(string)
	return strings.TrimSpace(s)
}
