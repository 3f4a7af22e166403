package ovf

import (
	"encoding/xml"
	"io"
	"slices"
	"strings"
)

// Parse reads a descriptor: OVF 0.9 to 2.1, in UTF-8 or UTF-16, of at most
// 16 MiB. What is not well-formed, has a DOCTYPE or is no envelope is refused
// with a *FormatError; an envelope of a version that is not known, with an
// *UnsupportedError. What is readable but not right is read as far as it goes,
// and [Check] tells of it.
func Parse(r io.Reader) (*Envelope, error) {
	t, err := readTree(r, "envelope")
	if err != nil {
		return nil, err
	}
	return envelopeOf(t.root, t.undeclared)
}

// envelopeOf makes the model of a tree.
func envelopeOf(root *Element, undeclared []string) (*Envelope, error) {
	if root.Name.Local != "Envelope" {
		return nil, malformed("envelope", 0, 0, "the document is a <%.40s> of %q, not an OVF envelope", root.Name.Local, root.Name.Space)
	}
	declared := strings.TrimSpace(declaredVersion(root.Attrs))
	version, err := versionOf(root.Name.Space, declared)
	if err != nil {
		return nil, err
	}
	if version >= Version20 {
		inNamespace(root, NSEnvelope2)
	}
	d := &decoder{plans: plans{}}
	for _, prefix := range undeclared {
		d.note(Error, "the prefix %.40s is used and not declared", prefix)
	}
	env := d.envelope(*root)
	env.Version, env.Declared = version, declared
	env.problems = d.problems
	return env, nil
}

func declaredVersion(attrs []xml.Attr) string {
	for _, a := range attrs {
		if a.Name.Local == "version" && isEnvelope(a.Name.Space) {
			return a.Value
		}
	}
	return ""
}

// versionOf finds the version. The namespace decides the major number; the
// attribute is often left out, and oVirt writes its own version there.
func versionOf(space, declared string) (Version, error) {
	switch strings.TrimSuffix(space, "/") {
	case nsEnvelope09, nsEnvelopeDraft:
		return Version09, nil
	case NSEnvelope, "":
		switch {
		case strings.HasPrefix(declared, "0.9"):
			return Version09, nil
		case strings.HasPrefix(declared, "1.0"):
			return Version10, nil
		}
		return Version11, nil
	case NSEnvelope2:
		if strings.HasPrefix(declared, "2.1") {
			return Version21, nil
		}
		return Version20, nil
	}
	return VersionUnknown, unsupported("an envelope of the namespace %.200q (version %.20q) is not known; 0.9 to 2.1 are read", space, declared)
}

// inNamespace puts NSEnvelope for another namespace of a document, in all of it.
func inNamespace(e *Element, space string) {
	if e.Name.Space == space {
		e.Name.Space = NSEnvelope
	}
	for i := range e.Attrs {
		if e.Attrs[i].Name.Space == space {
			e.Attrs[i].Name.Space = NSEnvelope
		}
	}
	for i := range e.Children {
		inNamespace(&e.Children[i], space)
	}
}

// envelope reads the root.
func (d *decoder) envelope(root Element) *Envelope {
	env := &Envelope{}
	for _, a := range root.Attrs {
		switch {
		case a.Name.Space == NSXML && a.Name.Local == "lang":
			env.Lang = a.Value
		case a.Name.Local == "version" && isEnvelope(a.Name.Space):
		case a.Name.Space == NSInstance: // where the author's schema lay
		default:
			env.Attrs = append(env.Attrs, a)
		}
	}
	last := 0
	for _, c := range root.Children {
		rank := d.rank(c)
		if rank < last {
			d.note(Warning, "<%s> stands behind what it should precede: References, sections, the machine, Strings is the order", c.Name.Local)
		}
		last = max(last, rank)
		d.within(partName(c), func() { d.part(env, c) })
	}
	return env
}

// rank is where a child of the root belongs: References first, then sections,
// machine, texts (DSP0243 1.1, 7).
func (d *decoder) rank(c Element) int {
	switch own := isEnvelope(c.Name.Space); {
	case own && c.Name.Local == "References":
		return 0
	case own && (c.Name.Local == "VirtualSystem" || c.Name.Local == "VirtualSystemCollection"):
		return 2
	case own && c.Name.Local == "Strings":
		return 3
	case !own && !isSection(c):
		return 4
	}
	return 1
}

// part reads a child of the root.
func (d *decoder) part(env *Envelope, c Element) {
	if c.IsText() {
		d.strayText(c)
		return
	}
	if content := d.content(c); content != nil {
		env.Content = append(env.Content, content)
		return
	}
	switch {
	case isEnvelope(c.Name.Space) && c.Name.Local == "References":
		var references struct {
			Files []File    `ovf:"File"`
			Extra []Element `ovf:",extra"`
		}
		d.fill(c, &references)
		env.Files = append(env.Files, references.Files...)
		env.ExtraFiles = append(env.ExtraFiles, references.Extra...)
	case isEnvelope(c.Name.Space) && c.Name.Local == "Strings":
		var s Strings
		d.fill(c, &s)
		env.Strings = append(env.Strings, s)
	case isSection(c):
		env.Sections = append(env.Sections, d.section(c))
	default:
		env.Extra = append(env.Extra, c)
	}
}

// content reads a machine or a collection; nil if it is neither.
func (d *decoder) content(c Element) Content {
	if !isEnvelope(c.Name.Space) {
		return nil
	}
	switch c.Name.Local {
	case "VirtualSystem":
		s := &VirtualSystem{}
		rest := d.sections(c, &s.Sections, nil)
		d.fill(rest, s)
		return s
	case "VirtualSystemCollection":
		s := &Collection{}
		rest := d.sections(c, &s.Sections, &s.Content)
		d.fill(rest, s)
		return s
	}
	return nil
}

// sections reads the sections, and the content, of a machine or collection and
// gives what is left of the element.
func (d *decoder) sections(e Element, sections *[]Section, content *[]Content) Element {
	d.info(e)
	rest := e
	rest.Children = nil
	for _, c := range e.Children {
		if content != nil {
			var inner Content
			d.within(partName(c), func() { inner = d.content(c) })
			if inner != nil {
				*content = append(*content, inner)
				continue
			}
		}
		if !isSection(c) {
			rest.Children = append(rest.Children, c)
			continue
		}
		d.within(partName(c), func() { *sections = append(*sections, d.section(c)) })
	}
	return rest
}

// isSection tells whether an element is a section, known or not: foreign ones
// are told by what all sections have.
func isSection(e Element) bool {
	if e.IsText() {
		return false
	}
	if strings.HasSuffix(e.Name.Local, "Section") || e.Child("", "Info") != nil {
		return true
	}
	return slices.ContainsFunc(e.Attrs, func(a xml.Attr) bool { return a.Name == attrName("required") })
}

// section reads a section.
func (d *decoder) section(e Element) Section {
	d.info(e)
	if made := newSection(e.Name); made != nil {
		if product, ok := made.(*ProductSection); ok {
			d.product(e, product)
		} else {
			d.fill(e, made)
		}
		return made
	}
	unknown := &UnknownSection{Raw: e}
	if info := e.Child("", "Info"); info != nil {
		unknown.Base.Info = Plain(info.Content())
	}
	for _, a := range e.Attrs {
		if a.Name.Local == "required" && isEnvelope(a.Name.Space) {
			required, err := parseBool(strings.TrimSpace(a.Value))
			unknown.Base.Optional = err == nil && !required
		}
	}
	return unknown
}

// newSection makes an empty section of the type for an element; nil if there
// is none.
func newSection(name xml.Name) Section {
	if !isEnvelope(name.Space) {
		return nil
	}
	for _, s := range []Section{
		&DiskSection{}, &SharedDiskSection{}, &NetworkSection{}, &ResourceAllocationSection{}, &AnnotationSection{},
		&ProductSection{}, &EulaSection{}, &StartupSection{}, &DeploymentOptionSection{}, &OperatingSystemSection{},
		&InstallSection{}, &VirtualHardwareSection{}, &EnvironmentFilesSection{}, &BootDeviceSection{},
		&ScaleOutSection{}, &PlacementGroupSection{}, &PlacementSection{},
	} {
		if s.Name().Local == name.Local {
			return s
		}
	}
	return nil
}

// product reads a product section: a category is a heading for the properties
// that follow it.
func (d *decoder) product(e Element, s *ProductSection) {
	var heading Text
	var headings []Text
	rest := e
	rest.Children = nil
	for i, c := range e.Children {
		switch {
		case isEnvelope(c.Name.Space) && c.Name.Local == "Category":
			heading = Text{}
			d.fillText(c, &heading)
			if !followed(e.Children[i+1:]) {
				rest.Children = append(rest.Children, c)
			}
			continue
		case isEnvelope(c.Name.Space) && c.Name.Local == "Property":
			headings = append(headings, heading)
		}
		rest.Children = append(rest.Children, c)
	}
	d.fill(rest, s)
	for i := range s.Properties {
		s.Properties[i].Category = headings[i]
	}
}

// followed tells whether a property comes before the next category.
func followed(children []Element) bool {
	for _, c := range children {
		if isEnvelope(c.Name.Space) && c.Name.Local == "Category" {
			return false
		}
		if isEnvelope(c.Name.Space) && c.Name.Local == "Property" {
			return true
		}
	}
	return false
}
