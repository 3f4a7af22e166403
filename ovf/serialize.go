package ovf

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// serializer writes a tree as text.
type serializer struct {
	out      io.Writer
	space    string            // what is written for NSEnvelope
	prefixes map[string]string // of namespaces, as they are written
	err      error
}

// writeDocument writes a tree as a document. All namespaces are declared at the
// root; the namespace of the root is the default, as most readers are used to.
func writeDocument(w io.Writer, root Element, space string) error {
	s := &serializer{out: w, space: space, prefixes: map[string]string{}}
	spaces := s.collect(root, []string{s.written(root.Name.Space)})
	s.print(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	s.start(root, "", spaces, "")
	s.print("\n")
	return s.err
}

// written is the namespace that is written for one of the model.
func (s *serializer) written(space string) string {
	if space == NSEnvelope {
		return s.space
	}
	return space
}

// collect finds the namespaces of a tree, in order of appearance.
func (s *serializer) collect(e Element, spaces []string) []string {
	add := func(space string) {
		if space = s.written(space); space != "" && space != NSXML && !slices.Contains(spaces, space) {
			spaces = append(spaces, space)
		}
	}
	if !e.IsText() {
		add(e.Name.Space)
	}
	for _, a := range e.Attrs {
		add(a.Name.Space)
	}
	for _, c := range e.Children {
		spaces = s.collect(c, spaces)
	}
	return spaces
}

// declare chooses the prefix of a namespace.
func (s *serializer) declare(space string) string {
	prefix := usualPrefix(space)
	if space == NSEnvelope2 && space == s.space {
		prefix = "ovf"
	}
	for n := 1; prefix == "" || s.taken(prefix); n++ {
		prefix = "ns" + strconv.Itoa(n)
	}
	s.prefixes[space] = prefix
	return prefix
}

func (s *serializer) taken(prefix string) bool {
	for _, p := range s.prefixes {
		if p == prefix {
			return true
		}
	}
	return false
}

// start writes an element whose surroundings have a default namespace; the root
// with its declarations.
func (s *serializer) start(e Element, around string, declarations []string, indent string) {
	space, name := s.written(e.Name.Space), e.Name.Local
	if declarations != nil {
		around = space
	}
	if space != around && space != "" {
		name = s.prefixes[space] + ":" + name
	}
	s.print("<" + name)
	for i, declared := range declarations {
		s.declaration(declared, i == 0)
	}
	if space == "" && around != "" {
		s.print(` xmlns=""`)
		around = ""
	}
	s.attributes(e.Attrs)
	s.content(e, name, around, indent)
}

func (s *serializer) declaration(space string, isDefault bool) {
	if space == "" {
		return
	}
	value := `="` + s.escape(space, true) + `"`
	if isDefault {
		s.print(" xmlns" + value)
	}
	s.print(" xmlns:" + s.declare(space) + value)
}

func (s *serializer) attributes(attrs []xml.Attr) {
	var names []string
	for _, a := range attrs {
		name := a.Name.Local
		if a.Name.Space == NSXML {
			name = "xml:" + name
		} else if a.Name.Space != "" {
			name = s.prefixes[s.written(a.Name.Space)] + ":" + name
		}
		if slices.Contains(names, name) && s.err == nil {
			s.err = fmt.Errorf("writing the envelope: an element has two attributes %s", name)
		}
		names = append(names, name)
		s.print(" " + name + `="` + s.escape(a.Value, true) + `"`)
	}
}

// content writes what is in an element, and its end.
func (s *serializer) content(e Element, name, around, indent string) {
	if len(e.Children) == 0 {
		s.print("/>")
		return
	}
	mixed := slices.ContainsFunc(e.Children, Element.IsText)
	s.print(">")
	for _, c := range e.Children {
		if c.IsText() {
			s.print(s.escape(c.Text, false))
			continue
		}
		if !mixed {
			s.print("\n" + indent + "  ")
		}
		s.start(c, around, nil, indent+"  ")
	}
	if !mixed {
		s.print("\n" + indent)
	}
	s.print("</" + name + ">")
}

func (s *serializer) print(text string) {
	if s.err == nil {
		_, s.err = io.WriteString(s.out, text)
	}
}

// escape writes text so that it is read as it is.
func (s *serializer) escape(text string, attribute bool) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '\r' || attribute && (r == '"' || r == '\n' || r == '\t'):
			fmt.Fprintf(&b, "&#%d;", r)
		case !isXML(r):
			if s.err == nil {
				s.err = fmt.Errorf("writing the envelope: the text %.40q has the character %U, which XML cannot hold", text, r)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isXML tells whether XML 1.0 allows a character (2.2).
func isXML(r rune) bool {
	return r == '\t' || r == '\n' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= utf8.MaxRune
}
