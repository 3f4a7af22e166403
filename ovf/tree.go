package ovf

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// What a document may have. The largest real ones have about 100 KiB and
// 3,000 elements; nothing that hostile ones can do costs more than some 100 MiB.
const (
	maxDocument     = 16 << 20 // bytes
	maxDepth        = 100      // of elements
	maxElements     = 1 << 18
	maxAttributes   = 1 << 18
	maxOfElement    = 1024 // attributes
	maxDeclarations = 256  // of namespaces, that hold at one place
	maxNamespaces   = 200  // that are used
)

// treeReader makes a tree of a document.
type treeReader struct {
	document     string
	decoder      *xml.Decoder
	open         []openElement
	declarations []declaration
	elements     int
	root         *Element
	atRoot       []declaration   // that the root makes
	undeclared   []string        // prefixes
	spaces       map[string]bool // that are used
}

// openElement is one whose end was not read yet.
type openElement struct {
	element      Element
	raw          xml.Name // as it was written
	declarations int      // how many there were before it
}

// declaration gives a prefix a namespace.
type declaration struct{ prefix, space string }

// readTree reads a document.
func readTree(r io.Reader, document string) (*treeReader, error) {
	text, err := readAll(r, document, maxDocument)
	if err != nil {
		return nil, err
	}
	if text, err = toUTF8(text, document); err != nil {
		return nil, err
	}
	return parseTree(text, document, nil)
}

// parseTree is readTree of UTF-8, with declarations that hold for all of it.
func parseTree(text []byte, document string, around []declaration) (*treeReader, error) {
	if n := bytes.Count(text, []byte("=")); n > maxAttributes {
		return nil, malformed(document, 0, 0, "it has %d equals signs and so perhaps as many attributes; at most %d are read", n, maxAttributes)
	}
	t := &treeReader{document: document, decoder: xml.NewDecoder(bytes.NewReader(text)), declarations: around, spaces: map[string]bool{}}
	t.decoder.CharsetReader = charsetReader
	for {
		token, err := t.decoder.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = t.take(token)
		}
		if err != nil {
			return nil, t.fail(err)
		}
	}
	switch {
	case len(t.open) > 0:
		return nil, t.fail(fmt.Errorf("the document ends within <%s>: it is cut short", t.open[len(t.open)-1].raw.Local))
	case t.root == nil:
		return nil, t.fail(errors.New("the document has no element"))
	}
	return t, nil
}

// fail adds the place to an error.
func (t *treeReader) fail(err error) error {
	var known *FormatError
	if errors.As(err, &known) {
		return err
	}
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		err = errors.New(syntax.Msg)
	}
	line, column := t.decoder.InputPos()
	return malformed(t.document, line, column, "%v", err)
}

// take adds a token to the tree.
func (t *treeReader) take(token xml.Token) error {
	switch token := token.(type) {
	case xml.StartElement:
		return t.start(token)
	case xml.EndElement:
		return t.end(token)
	case xml.CharData:
		return t.text(string(token))
	case xml.Directive:
		return errors.New("it has a DOCTYPE or another declaration; those are not read, lest entities are expanded")
	}
	return nil // comments, and instructions to other programs
}

// start opens an element.
func (t *treeReader) start(token xml.StartElement) error {
	t.elements++
	switch {
	case len(t.open) == 0 && t.root != nil:
		return errors.New("there is a second element behind the document's end")
	case t.elements > maxElements:
		return fmt.Errorf("it has more than %d elements", maxElements)
	case strings.Contains(token.Name.Local, ":"):
		return fmt.Errorf("%q is no name of an element", token.Name.Local)
	case len(token.Attr) > maxOfElement:
		return fmt.Errorf("<%s> has more than %d attributes", token.Name.Local, maxOfElement)
	case len(t.open) == maxDepth:
		return fmt.Errorf("its elements are nested deeper than %d", maxDepth)
	}
	o := openElement{raw: token.Name, declarations: len(t.declarations)}
	for _, a := range token.Attr {
		if a.Name.Space == "xmlns" {
			t.declarations = append(t.declarations, declaration{a.Name.Local, a.Value})
		} else if a.Name.Space == "" && a.Name.Local == "xmlns" {
			t.declarations = append(t.declarations, declaration{"", a.Value})
		}
	}
	if len(t.declarations) > maxDeclarations {
		return fmt.Errorf("more than %d namespaces are declared at one place", maxDeclarations)
	}
	if len(t.open) == 0 {
		t.atRoot = slices.Clone(t.declarations)
	}
	o.element.Name = t.resolve(token.Name)
	for _, a := range token.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		if a.Name.Space != "" {
			a.Name = t.resolve(a.Name)
		}
		if strings.Contains(a.Name.Local, ":") {
			return fmt.Errorf("%q is no name of an attribute", a.Name.Local)
		}
		if slices.ContainsFunc(o.element.Attrs, func(b xml.Attr) bool { return b.Name == a.Name }) {
			return fmt.Errorf("<%s> has two attributes %s", token.Name.Local, a.Name.Local)
		}
		o.element.Attrs = append(o.element.Attrs, a)
	}
	t.nameByType(&o.element)
	if len(t.spaces) > maxNamespaces {
		return fmt.Errorf("more than %d namespaces are used", maxNamespaces)
	}
	t.open = append(t.open, o)
	return nil
}

// resolve puts the namespace for the prefix.
func (t *treeReader) resolve(name xml.Name) xml.Name {
	name.Space = t.lookUp(name.Space)
	t.spaces[name.Space] = true
	return name
}

func (t *treeReader) lookUp(prefix string) string {
	if prefix == "xml" {
		return NSXML
	}
	for _, d := range slices.Backward(t.declarations) {
		if d.prefix == prefix {
			return d.space
		}
	}
	if prefix == "" {
		return ""
	}
	if !slices.Contains(t.undeclared, prefix) && len(t.undeclared) <= maxNamespaces {
		t.undeclared = append(t.undeclared, prefix)
	}
	return usualSpace(prefix)
}

// nameByType names an element of OVF 0.9 as later versions do: what is
// <Section xsi:type="ovf:DiskSection_Type"> there is <DiskSection> since.
func (t *treeReader) nameByType(e *Element) {
	if e.Name.Local != "Section" && e.Name.Local != "Content" || !isEnvelope(e.Name.Space) {
		return
	}
	i := slices.IndexFunc(e.Attrs, namesType)
	if i < 0 {
		return
	}
	prefix, local, found := strings.Cut(strings.TrimSpace(e.Attrs[i].Value), ":")
	if !found {
		prefix, local = "", prefix
	}
	if local = strings.TrimSuffix(local, "_Type"); !isName(local) {
		return
	}
	e.Name = t.resolve(xml.Name{Space: prefix, Local: local})
	e.Attrs = slices.Delete(e.Attrs, i, i+1)
}

// namesType tells whether an attribute says an element's type: xsi:type, or
// as early drafts had it xs:name.
func namesType(a xml.Attr) bool {
	return a.Name == xml.Name{Space: NSInstance, Local: "type"} || a.Name == xml.Name{Space: "http://www.w3.org/2001/XMLSchema", Local: "name"}
}

// isName tells whether text may be the name of an element.
func isName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		if !letter && (i == 0 || !(r >= '0' && r <= '9' || r == '-' || r == '.')) {
			return false
		}
	}
	return s != ""
}

// end closes an element.
func (t *treeReader) end(token xml.EndElement) error {
	if len(t.open) == 0 {
		return fmt.Errorf("</%s> closes nothing", token.Name.Local)
	}
	o := t.open[len(t.open)-1]
	if o.raw != token.Name {
		return fmt.Errorf("</%s> stands where </%s> should", token.Name.Local, o.raw.Local)
	}
	t.open, t.declarations = t.open[:len(t.open)-1], t.declarations[:o.declarations]
	joinText(&o.element)
	dropSpace(&o.element)
	if len(t.open) == 0 {
		t.root = &o.element
		return nil
	}
	above := &t.open[len(t.open)-1].element
	above.Children = append(above.Children, o.element)
	return nil
}

// joinText makes one piece of text of those that lie beside each other, because
// there was a comment between or a part was CDATA.
func joinText(e *Element) {
	joined := e.Children[:0]
	for i := 0; i < len(e.Children); {
		run := i
		for run < len(e.Children) && e.Children[run].IsText() {
			run++
		}
		if run <= i+1 {
			joined, i = append(joined, e.Children[i]), i+1
			continue
		}
		text := Element{Children: e.Children[i:run]}.Content()
		joined, i = append(joined, textElement(text)), run
	}
	e.Children = joined
}

// dropSpace removes white space between elements.
func dropSpace(e *Element) {
	elements := false
	for _, c := range e.Children {
		if c.IsText() && strings.TrimSpace(c.Text) != "" {
			return
		}
		elements = elements || !c.IsText()
	}
	if elements {
		e.Children = slices.DeleteFunc(e.Children, Element.IsText)
	}
}

// text adds text to the open element.
func (t *treeReader) text(s string) error {
	if len(t.open) == 0 {
		if strings.Trim(s, " \t\r\n\ufeff") != "" {
			return errors.New("there is text outside of all elements: it is no XML")
		}
		return nil
	}
	e := &t.open[len(t.open)-1].element
	if t.elements++; t.elements > maxElements {
		return fmt.Errorf("it has more than %d elements", maxElements)
	}
	e.Children = append(e.Children, textElement(s))
	return nil
}
