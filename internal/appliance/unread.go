package appliance

import (
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
)

// Unread lists what a document says and a reader does not look at that decodes it,
// by [DecodeXML], into a value of v's type: attributes, and the text of elements,
// without namespaces. Keys are paths below the root, such as
// "Machine/Hardware/USB/Controllers/Controller@type". An element
// without attributes, text and elements is listed too: that it is there says something.
//
// absent tells of an element, by its attributes and texts, that it describes
// nothing that is there, so that what is in it does not matter; it may be nil.
func Unread(data []byte, v any, absent func(path string, e *Node) bool) ([]Setting, error) {
	data, err := toUTF8(data)
	if err != nil {
		return nil, err
	}
	root, err := parseNode(data)
	if err != nil {
		return nil, err
	}
	w := &unread{absent: absent}
	w.walk("", root, shapeOf(reflect.TypeOf(v)))
	return w.found, nil
}

// Node is an element of a document as it stands there.
type Node struct {
	Name     string
	Text     string
	Attrs    []xml.Attr
	Children []*Node
}

// Value is an attribute, or the text of a child, of a name; empty if there is none.
func (n *Node) Value(name string) string {
	for _, a := range n.Attrs {
		if a.Name.Local == name {
			return strings.TrimSpace(a.Value)
		}
	}
	for _, c := range n.Children {
		if c.Name == name {
			return strings.TrimSpace(c.Text)
		}
	}
	return ""
}

// maxNodeDepth bounds how deep elements are in each other.
const maxNodeDepth = 2000

func parseNode(data []byte) (*Node, error) {
	d := decoder(data)
	var open []*Node
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it holds no XML")
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			n := &Node{Name: token.Name.Local, Attrs: token.Copy().Attr}
			if len(open) > maxNodeDepth {
				return nil, errors.New("its elements are nested deeper than there can be")
			}
			if len(open) > 0 {
				last := open[len(open)-1]
				last.Children = append(last.Children, n)
			}
			open = append(open, n)
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].Text += string(token)
			}
		case xml.EndElement:
			if len(open) == 1 {
				return open[0], nil
			}
			open = open[:len(open)-1]
		}
	}
}

// shape is what a reader looks at in an element. A nil shape is nothing.
type shape struct {
	text  bool
	all   bool // whoever reads it tells of it as a whole
	kinds []reflect.Type
	below []deeper // of fields "a>b", what is left of the path
}

// deeper is a field that stands deeper than the element.
type deeper struct {
	names []string
	kind  reflect.Type
}

func shapeOf(t reflect.Type) *shape {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return &shape{text: true}
	}
	return &shape{kinds: []reflect.Type{t}}
}

// fields goes through the tags of a struct's fields, those of embedded structs too.
func fields(t reflect.Type, visit func(name, option string, kind reflect.Type)) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("xml")
		if f.Anonymous && !tagged {
			fields(f.Type, visit)
			continue
		}
		if f.Name == "XMLName" || !tagged || tag == "-" {
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		visit(name, option, f.Type)
	}
}

// attr tells whether an attribute is looked at.
func (s *shape) attr(local string) bool {
	found := false
	for _, t := range s.kinds {
		fields(t, func(name, option string, _ reflect.Type) {
			found = found || option == "attr" && name == local
		})
	}
	return found
}

// reads tells whether the text of the element is looked at.
func (s *shape) reads() bool {
	found := s.text
	for _, t := range s.kinds {
		fields(t, func(_, option string, _ reflect.Type) { found = found || option == "chardata" })
	}
	return found
}

// child is what is looked at in an element below; nil if nothing is.
func (s *shape) child(local string) *shape {
	next := &shape{}
	known := false
	step := func(names []string, kind reflect.Type) {
		if names[0] != local {
			return
		}
		known = true
		if len(names) > 1 {
			next.below = append(next.below, deeper{names[1:], kind})
			return
		}
		at := shapeOf(kind)
		next.text, next.kinds = next.text || at.text, append(next.kinds, at.kinds...)
	}
	other := false
	for _, t := range s.kinds {
		fields(t, func(name, option string, kind reflect.Type) {
			switch option {
			case "":
				step(strings.Split(name, ">"), kind)
			case "any":
				other = true
			}
		})
	}
	for _, p := range s.below {
		step(p.names, p.kind)
	}
	if !known && other {
		return &shape{all: true}
	}
	if !known {
		return nil
	}
	return next
}

// unread collects what is not looked at.
type unread struct {
	absent func(string, *Node) bool
	found  []Setting
}

// walk goes through an element; nothing in it is looked at if its shape is nil.
func (w *unread) walk(at string, n *Node, s *shape) {
	if s != nil && s.all || w.absent != nil && w.absent(at, n) {
		return
	}
	count := len(w.found)
	for _, a := range n.Attrs {
		if a.Name.Space == "xmlns" || a.Name.Local == "xmlns" || s != nil && s.attr(a.Name.Local) {
			continue
		}
		w.found = append(w.found, Setting{at + "@" + a.Name.Local, a.Value})
	}
	text := strings.TrimSpace(n.Text)
	if text != "" && (s == nil || !s.reads()) {
		w.found = append(w.found, Setting{at, text})
	}
	for _, c := range n.Children {
		var next *shape
		if s != nil {
			next = s.child(c.Name)
		}
		w.walk(strings.TrimPrefix(at+"/"+c.Name, "/"), c, next)
	}
	if s == nil && len(w.found) == count && text == "" && len(n.Children) == 0 {
		w.found = append(w.found, Setting{at, ""})
	}
}
