package ovf

import (
	"encoding/xml"
	"io"
	"strings"
)

// Environment is what a guest is told of itself and of its siblings: the OVF
// environment document (DSP8027 1.1; DSP0243 1.1, 11). It is given to the guest
// as ovf-env.xml on a CD, when the hardware's Transport has "iso".
type Environment struct {
	ID         string // the machine's
	Platform   Platform
	Properties []EnvironmentProperty
	Entities   []Entity // the other machines and collections
	Attrs      []xml.Attr
	Extra      []Element // sections of other namespaces
}

// Platform is what the machine runs on.
type Platform struct {
	Kind    string `ovf:"Kind"`
	Version string `ovf:"Version"`
	Vendor  string `ovf:"Vendor"`
	Locale  string `ovf:"Locale"`
	// Extra is what is there besides, as a time zone.
	Extra []Element `ovf:",extra"`
}

// EnvironmentProperty is a property's value.
type EnvironmentProperty struct {
	Key   string     `ovf:"key,attr"` // the full key, class.key.instance
	Value string     `ovf:"value,attr,always"`
	Attrs []xml.Attr `ovf:",attrs"`
}

// Entity is another machine or collection of the appliance.
type Entity struct {
	ID         string
	Properties []EnvironmentProperty
}

// Environment makes the document for a machine of the envelope: its own
// properties, those of the collections around it, and as entities those of its
// siblings. Values are by full key; what is not there has its default. It is nil
// for a machine that the envelope does not have.
func (e *Envelope) Environment(id string, values map[string]string) *Environment {
	path := pathTo(e.Content, id)
	if path == nil {
		return nil
	}
	configuration := e.DefaultConfiguration()
	env := &Environment{ID: id}
	for _, c := range path { // the inner stand for the outer
		env.Properties = merge(env.Properties, propertiesOf(c, configuration, values))
	}
	if len(path) < 2 {
		return env
	}
	parent := path[len(path)-2].(*Collection)
	for _, sibling := range parent.Content {
		if sibling.ContentID() != id {
			env.Entities = append(env.Entities, Entity{sibling.ContentID(), propertiesOf(sibling, configuration, values)})
		}
	}
	return env
}

// pathTo finds a machine or collection, with what is around it.
func pathTo(content []Content, id string) []Content {
	for _, c := range content {
		if c.ContentID() == id {
			return []Content{c}
		}
		if inner, ok := c.(*Collection); ok {
			if path := pathTo(inner.Content, id); path != nil {
				return append([]Content{c}, path...)
			}
		}
	}
	return nil
}

func propertiesOf(c Content, configuration string, values map[string]string) []EnvironmentProperty {
	var list []EnvironmentProperty
	for s := range All[*ProductSection](c.ContentSections()) {
		for _, p := range s.Properties {
			key := s.FullKey(p)
			value, ok := values[key]
			if !ok {
				value = p.ValueIn(configuration)
			}
			list = append(list, EnvironmentProperty{Key: key, Value: value})
		}
	}
	return list
}

func merge(outer, inner []EnvironmentProperty) []EnvironmentProperty {
	at := map[string]int{}
	for i, p := range outer {
		at[p.Key] = i
	}
	for _, p := range inner {
		if i, ok := at[p.Key]; ok {
			outer[i] = p
			continue
		}
		outer = append(outer, p)
	}
	return outer
}

// Write writes the document.
func (v *Environment) Write(w io.Writer) error {
	x := &encoder{plans: plans{}}
	root := Element{Name: xml.Name{Space: NSEnvelope, Local: "Environment"}, Attrs: append([]xml.Attr{{Name: attrName("id"), Value: v.ID}}, v.Attrs...)}
	root.Children = append(root.Children, x.element("PlatformSection", "", &v.Platform), x.propertySection(v.Properties))
	for _, other := range v.Entities {
		entity := Element{Name: attrName("Entity"), Attrs: []xml.Attr{{Name: attrName("id"), Value: other.ID}}}
		entity.Children = []Element{x.propertySection(other.Properties)}
		root.Children = append(root.Children, entity)
	}
	root.Children = append(root.Children, v.Extra...)
	return writeDocument(w, root, NSEnvironment)
}

func (x *encoder) propertySection(properties []EnvironmentProperty) Element {
	section := struct {
		Properties []EnvironmentProperty `ovf:"Property"`
	}{properties}
	return x.element("PropertySection", "", &section)
}

// ParseEnvironment reads an environment document.
func ParseEnvironment(r io.Reader) (*Environment, error) {
	t, err := readTree(r, "environment")
	if err != nil {
		return nil, err
	}
	root := t.root
	if root.Name.Local != "Environment" || root.Name.Space != NSEnvironment {
		return nil, malformed("environment", 0, 0, "the document is a <%.40s> of %q, not an OVF environment", root.Name.Local, root.Name.Space)
	}
	inNamespace(root, NSEnvironment)
	d := &decoder{plans: plans{}}
	v := &Environment{}
	for _, a := range root.Attrs {
		if a.Name.Local == "id" && isEnvelope(a.Name.Space) {
			v.ID = a.Value
		} else if a.Name.Space != NSInstance {
			v.Attrs = append(v.Attrs, a)
		}
	}
	for _, c := range root.Children {
		d.environmentPart(v, c)
	}
	return v, nil
}

func (d *decoder) environmentPart(v *Environment, c Element) {
	switch own := isEnvelope(c.Name.Space); {
	case c.IsText():
	case own && c.Name.Local == "PlatformSection":
		v.Platform = Platform{}
		d.fill(c, &v.Platform)
	case own && c.Name.Local == "PropertySection":
		v.Properties = append(v.Properties, d.environmentProperties(c)...)
	case own && c.Name.Local == "Entity":
		one := Entity{ID: strings.TrimSpace(c.Attr(NSEnvelope, "id"))}
		for _, inner := range c.Children {
			if inner.Name.Local == "PropertySection" {
				one.Properties = append(one.Properties, d.environmentProperties(inner)...)
			}
		}
		v.Entities = append(v.Entities, one)
	default:
		v.Extra = append(v.Extra, c)
	}
}

func (d *decoder) environmentProperties(c Element) []EnvironmentProperty {
	var section struct {
		Properties []EnvironmentProperty `ovf:"Property"`
		Extra      []Element             `ovf:",extra"`
	}
	d.fill(c, &section)
	return section.Properties
}
