package parallels

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// version1 is the attribute of a descriptor's root.
var version1 = xml.Attr{Name: xml.Name{Local: "Version"}, Value: "1.0"}

// leaf is an element with a text.
func leaf(name, text string) *element { return &element{name: name, text: text} }

// count is an element with a number.
func count(name string, n int64) *element { return leaf(name, strconv.FormatInt(n, 10)) }

// node is an element with others.
func node(name string, children ...*element) *element {
	return &element{name: name, children: children}
}

// braced writes a GUID as descriptors do.
func braced(guid string) string { return "{" + guid + "}" }

// clone is a copy of an element with all it has.
func (e *element) clone() *element {
	c := *e
	c.attrs = slices.Clone(e.attrs)
	c.children = make([]*element, len(e.children))
	for i, child := range e.children {
		c.children[i] = child.clone()
	}
	return &c
}

// set gives a child a text; it is added if it is missing.
func (e *element) set(name, text string) {
	if c := e.child(name); c != nil {
		c.text = text
		return
	}
	e.children = append(e.children, leaf(name, text))
}

// ensure is the child of a name, added if it is missing.
func (e *element) ensure(name string) *element {
	if c := e.child(name); c != nil {
		return c
	}
	c := node(name)
	e.children = append(e.children, c)
	return c
}

// drop removes the children that are meant.
func (e *element) drop(meant func(*element) bool) {
	e.children = slices.DeleteFunc(e.children, meant)
}

// document is the text of a descriptor. What we do not know in it is kept, as
// its specification asks for; comments are not.
func (e *element) document() []byte {
	var w bytes.Buffer
	w.WriteString("<?xml version='1.0' encoding='UTF-8'?>\n")
	e.write(&w, "")
	return w.Bytes()
}

func (e *element) write(w *bytes.Buffer, indent string) {
	fmt.Fprintf(w, "%s<%s", indent, e.name)
	for _, a := range e.attrs {
		label := a.Name.Local
		if a.Name.Space != "" {
			label = a.Name.Space + ":" + label
		}
		fmt.Fprintf(w, ` %s="%s"`, label, escape(a.Value))
	}
	w.WriteByte('>')
	if len(e.children) == 0 {
		fmt.Fprintf(w, "%s</%s>\n", escape(e.text), e.name)
		return
	}
	w.WriteByte('\n')
	for _, c := range e.children {
		c.write(w, indent+"    ")
	}
	fmt.Fprintf(w, "%s</%s>\n", indent, e.name)
}

func escape(s string) string {
	var w strings.Builder
	_ = xml.EscapeText(&w, []byte(s)) // a strings.Builder takes all
	return w.String()
}
