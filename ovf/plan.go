package ovf

import (
	"encoding/xml"
	"reflect"
	"strings"
)

// A type of the model says by tags how it is written:
//
//	ovf:"id,attr"        an attribute
//	ovf:"required,attr,not"  a bool that is the opposite of the attribute
//	ovf:"Info,always"    a child, that is written even when it is empty
//	ovf:"Address,cim"    a child in the namespace of a class of CIM
//	ovf:",attrs"         attributes that have no field: []xml.Attr
//	ovf:",extra"         children that have no field: []Element
//	ovf:",fieldattrs"    attributes of children that are strings: map[string][]xml.Attr
//
// Reading takes children in any order; they are written in the order of the
// fields, which is that of the schemas.
type plan struct {
	fields               []field
	attrs, children      map[string]int // names to fields
	rest, extra, onField []int          // indexes of the fields for what is left
}

// field is how a field is written.
type field struct {
	name                     string
	index                    []int
	attr, cim, not, required bool
}

// plans remembers what tags say, while one document is read or written.
type plans map[reflect.Type]*plan

func (p plans) of(t reflect.Type) *plan {
	if known := p[t]; known != nil {
		return known
	}
	made := &plan{attrs: map[string]int{}, children: map[string]int{}}
	for _, f := range reflect.VisibleFields(t) {
		tag, ok := f.Tag.Lookup("ovf")
		if !ok {
			continue
		}
		made.add(f, tag)
	}
	p[t] = made
	return made
}

func (p *plan) add(f reflect.StructField, tag string) {
	name, options, _ := strings.Cut(tag, ",")
	switch options {
	case "attrs":
		p.rest = f.Index
		return
	case "extra":
		p.extra = f.Index
		return
	case "fieldattrs":
		p.onField = f.Index
		return
	}
	made := field{name: name, index: f.Index}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "attr":
			made.attr = true
		case "cim":
			made.cim = true
		case "not":
			made.not = true
		case "always":
			made.required = true
		}
	}
	if made.attr {
		p.attrs[name] = len(p.fields)
	} else {
		p.children[name] = len(p.fields)
	}
	p.fields = append(p.fields, made)
}

// otherName puts the usual name for spellings that early drafts had,
// or programs have by mistake, and for the kinds of items.
func otherName(local string) string {
	switch local {
	case "InstanceId":
		return "InstanceID"
	case "Full-version":
		return "FullVersion"
	case "isPassword":
		return "password"
	case "StorageItem", "EthernetPortItem":
		return "Item"
	}
	return local
}

// attribute finds the field for an attribute.
func (p *plan) attribute(name xml.Name) (field, bool) {
	if name.Space == NSXML {
		i, ok := p.attrs["xml:"+name.Local]
		return p.at(i, ok)
	}
	if !isEnvelope(name.Space) {
		return field{}, false
	}
	i, ok := p.attrs[otherName(name.Local)]
	return p.at(i, ok)
}

// child finds the field for a child.
func (p *plan) child(name xml.Name) (field, bool) {
	i, ok := p.children[otherName(name.Local)]
	if !ok || !isEnvelope(name.Space) && !(p.fields[i].cim && isCIM(name.Space)) {
		return field{}, false
	}
	return p.at(i, true)
}

func (p *plan) at(i int, ok bool) (field, bool) {
	if !ok {
		return field{}, false
	}
	return p.fields[i], true
}
