package ovf

import (
	"encoding/xml"
	"reflect"
	"strconv"
	"strings"
)

// encoder makes a tree of the model.
type encoder struct{ plans plans }

// element makes an element of the struct that in points to. Children that are
// fields of a class of CIM are put in the namespace cim.
func (x *encoder) element(name, cim string, in any) Element {
	return x.elementOf(xml.Name{Space: NSEnvelope, Local: name}, cim, reflect.ValueOf(in).Elem())
}

func (x *encoder) elementOf(name xml.Name, cim string, v reflect.Value) Element {
	e := Element{Name: name}
	p := x.plans.of(v.Type())
	for _, f := range p.fields {
		if !f.attr {
			continue
		}
		if value, ok := attrText(f, v.FieldByIndex(f.index)); ok {
			e.Attrs = append(e.Attrs, xml.Attr{Name: attrName(f.name), Value: value})
		}
	}
	if p.rest != nil {
		e.Attrs = append(e.Attrs, v.FieldByIndex(p.rest).Interface().([]xml.Attr)...)
	}
	for _, f := range p.fields {
		if !f.attr {
			x.child(&e, p, f, cim, v)
		}
	}
	if p.extra != nil {
		e.Children = append(e.Children, v.FieldByIndex(p.extra).Interface().([]Element)...)
	}
	return e
}

func attrName(name string) xml.Name {
	if local, ok := strings.CutPrefix(name, "xml:"); ok {
		return xml.Name{Space: NSXML, Local: local}
	}
	return xml.Name{Space: NSEnvelope, Local: name}
}

// attrText writes an attribute's value; false if it is left out.
func attrText(f field, v reflect.Value) (string, bool) {
	if v.IsZero() && !f.required {
		return "", false
	}
	switch value := v.Interface().(type) {
	case []string:
		return strings.Join(value, " "), true
	case bool:
		return strconv.FormatBool(value != f.not), true
	case int:
		return strconv.Itoa(value), true
	case *int64:
		return strconv.FormatInt(*value, 10), true
	}
	return v.String(), true
}

// child adds what a field holds to e.
func (x *encoder) child(e *Element, p *plan, f field, cim string, parent reflect.Value) {
	v, name := parent.FieldByIndex(f.index), xml.Name{Space: NSEnvelope, Local: f.name}
	if f.cim {
		name.Space = cim
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			e.Children = append(e.Children, x.one(name, cim, v.Index(i)))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			e.Children = append(e.Children, x.one(name, cim, v.Elem()))
		}
	case reflect.String, reflect.Int:
		attrs := fieldAttrs(p, parent, f.name)
		if v.IsZero() && attrs == nil && !f.required {
			return
		}
		text := v.String()
		if v.Kind() == reflect.Int {
			text = strconv.FormatInt(v.Int(), 10)
		}
		e.Children = append(e.Children, Element{Name: name, Attrs: attrs, Children: texts(text)})
	default:
		if !v.IsZero() || f.required {
			e.Children = append(e.Children, x.one(name, cim, v))
		}
	}
}

func fieldAttrs(p *plan, parent reflect.Value, name string) []xml.Attr {
	if p.onField == nil {
		return nil
	}
	return parent.FieldByIndex(p.onField).Interface().(map[string][]xml.Attr)[name]
}

// one makes an element of a struct.
func (x *encoder) one(name xml.Name, cim string, v reflect.Value) Element {
	if item, ok := v.Interface().(Item); ok {
		name.Local, cim = item.Kind.element()
	}
	text, ok := v.Interface().(Text)
	if !ok {
		return x.elementOf(name, cim, v)
	}
	e := Element{Name: name, Children: texts(text.Value)}
	if text.MsgID != "" {
		e.Attrs = append(e.Attrs, xml.Attr{Name: attrName("msgid"), Value: text.MsgID})
	}
	e.Attrs = append(e.Attrs, text.Attrs...)
	return e
}

// texts is the content of an element that holds only text.
func texts(s string) []Element {
	if s == "" {
		return nil
	}
	return []Element{textElement(s)}
}
