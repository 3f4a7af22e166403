package parallels

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/panalvm/panal/disk"
)

// What a descriptor may have. Real ones have some kilobytes.
const (
	maxDescriptor = 1 << 20
	maxElements   = 40_000
	maxNesting    = 16
)

// element is a part of a descriptor.
type element struct {
	name     string
	attrs    []xml.Attr
	text     string // without white space around
	off, end int64  // of its content, in the file
	children []*element
}

// readElements reads a descriptor, as far as what it may have allows.
func readElements(file disk.File) (*element, error) {
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	if size > maxDescriptor {
		return nil, disk.Corrupt(name, -1, "the descriptor has %d bytes; more than %d are not read", size, maxDescriptor)
	}
	p, err := disk.ReadFull(file, 0, size, name, "descriptor")
	if err != nil {
		return nil, err
	}
	return parseElements(bytes.TrimRight(p, "\x00"))
}

// parser builds a tree of elements.
type parser struct {
	d     *xml.Decoder
	open  []*element // the root's stand-in first
	count int
}

func parseElements(p []byte) (*element, error) {
	x := parser{d: xml.NewDecoder(bytes.NewReader(p)), open: []*element{{}}}
	for {
		token, err := x.d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, disk.Corrupt(name, x.d.InputOffset(), "the descriptor: %v", err)
		}
		if err := x.take(token); err != nil {
			return nil, err
		}
	}
	top := x.open[0].children
	if len(top) != 1 || top[0].name != "Parallels_disk_image" {
		return nil, disk.Corrupt(name, 0, "the descriptor is not of a Parallels disk")
	}
	return top[0], nil
}

func (x *parser) take(token xml.Token) error {
	last := x.open[len(x.open)-1]
	switch t := token.(type) {
	case xml.StartElement:
		if x.count++; x.count > maxElements || len(x.open) > maxNesting {
			return disk.Corrupt(name, x.d.InputOffset(), "the descriptor has too many elements, or they lie too deep within each other")
		}
		e := &element{name: t.Name.Local, attrs: t.Copy().Attr, off: x.d.InputOffset()}
		last.children = append(last.children, e)
		x.open = append(x.open, e)
	case xml.EndElement:
		last.text = strings.TrimSpace(last.text)
		x.open = x.open[:len(x.open)-1]
	case xml.CharData:
		if len(last.children) == 0 { // text between elements means nothing
			last.text += string(t)
			last.end = x.d.InputOffset()
		}
	}
	return nil
}

// child is the first element of a name; nil if there is none.
func (e *element) child(name string) *element {
	if e == nil {
		return nil
	}
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// all are the elements of a name.
func (e *element) all(name string) []*element {
	var found []*element
	if e != nil {
		for _, c := range e.children {
			if c.name == name {
				found = append(found, c)
			}
		}
	}
	return found
}

// string is the text of a child, "" if it is missing.
func (e *element) string(name string) string {
	if c := e.child(name); c != nil {
		return c.text
	}
	return ""
}

// number is the number in a child, which must be there.
func (e *element) number(label string) (int64, error) {
	c := e.child(label)
	if c == nil {
		return 0, disk.Corrupt(name, e.off, "%s has no %s", e.name, label)
	}
	n, err := strconv.ParseInt(c.text, 10, 64)
	if err != nil || n < 0 {
		return 0, disk.Corrupt(name, c.off, "%s is %.40q, which is no number", label, c.text)
	}
	return n, nil
}

// optional is the number in a child, 0 if it is missing or empty.
func (e *element) optional(label string) (int64, error) {
	if e.string(label) == "" {
		return 0, nil
	}
	return e.number(label)
}
