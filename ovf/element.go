package ovf

import (
	"bytes"
	"encoding/xml"
	"strings"
)

// Element is a part of a document that is kept as it was found, because only
// the program that wrote it knows what it means.
//
// Of namespaces the URI is kept, not the prefix. What the document says in its
// own OVF namespace is in [NSEnvelope] here, whatever the version was. Comments
// are left out, and so is white space between elements.
type Element struct {
	Name     xml.Name // Local is empty of a piece of text
	Attrs    []xml.Attr
	Children []Element
	Text     string // of a piece of text only
}

// IsText tells whether it is a piece of text.
func (e Element) IsText() bool { return e.Name.Local == "" }

// Attr is the value of an attribute, "" if there is none.
func (e Element) Attr(space, local string) string { return attrValue(e.Attrs, space, local) }

// Child finds the first child of a name; nil if there is none. An empty space
// means any.
func (e Element) Child(space, local string) *Element {
	for i, c := range e.Children {
		if c.Name.Local == local && (space == "" || c.Name.Space == space) {
			return &e.Children[i]
		}
	}
	return nil
}

// Content is the text that is directly in it.
func (e Element) Content() string {
	if len(e.Children) == 1 {
		return e.Children[0].Text
	}
	var b strings.Builder
	for _, c := range e.Children {
		b.WriteString(c.Text)
	}
	return b.String()
}

// XML writes the element as a document of its own, with all declarations that
// it needs.
func (e Element) XML() ([]byte, error) {
	var b bytes.Buffer
	err := writeDocument(&b, e, NSEnvelope)
	return b.Bytes(), err
}

func textElement(text string) Element { return Element{Text: text} }

func attrValue(attrs []xml.Attr, space, local string) string {
	for _, a := range attrs {
		if a.Name.Local == local && a.Name.Space == space {
			return a.Value
		}
	}
	return ""
}
