package hyperv

import (
	"encoding/xml"
	"errors"
	"strconv"
	"strings"
)

// node is a key of a configuration: a value, or keys below it. A nil node has neither.
type node struct {
	name     string
	value    string // numbers in decimal, bytes in base64
	children []*node
}

// child finds what is below by its names, whatever their case; nil if there is none.
func (n *node) child(names ...string) *node {
	for _, name := range names {
		var next *node
		for _, c := range n.below() {
			if strings.EqualFold(c.name, name) {
				next = c
				break
			}
		}
		n = next
	}
	return n
}

func (n *node) below() []*node {
	if n == nil {
		return nil
	}
	return n.children
}

// text is the value below, without blanks around it; empty if there is none.
func (n *node) text(names ...string) string {
	if found := n.child(names...); found != nil {
		return strings.TrimSpace(found.value)
	}
	return ""
}

// number is the value below as a number; otherwise if there is none.
func (n *node) number(otherwise int64, names ...string) (int64, error) {
	text := n.text(names...)
	if text == "" {
		return otherwise, nil
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errors.New(strings.Join(names, "/") + " is " + strconv.Quote(text) + ", which is no number")
	}
	return value, nil
}

// isOn tells whether the value below is true.
func (n *node) isOn(names ...string) bool {
	text := strings.ToLower(n.text(names...))
	return text == "true" || text == "1"
}

// find finds the first of a name at any depth; nil if there is none.
func (n *node) find(name string) *node {
	for _, c := range n.below() {
		if strings.EqualFold(c.name, name) {
			return c
		}
		if found := c.find(name); found != nil {
			return found
		}
	}
	return nil
}

// maxDepth bounds how deep keys are below each other; real ones are at seven.
const maxDepth = 64

// element is an XML element of a configuration.
type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

// tree turns an element into a node.
func (e *element) tree(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errors.New("its elements are nested deeper than there can be")
	}
	n := &node{name: e.XMLName.Local, value: e.Text}
	for i := range e.Children {
		c, err := e.Children[i].tree(depth + 1)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, c)
	}
	return n, nil
}
