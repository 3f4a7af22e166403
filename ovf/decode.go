package ovf

import (
	"encoding/xml"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// decoder fills the model from the tree.
type decoder struct {
	plans    plans
	where    []string
	problems []Finding
}

// note remembers what was not right, for Check.
func (d *decoder) note(severity Severity, text string, args ...any) {
	if len(d.problems) < maxFindings {
		d.problems = append(d.problems, Finding{Severity: severity, Where: strings.Join(d.where, "/"), Text: fmt.Sprintf(text, args...)})
	}
}

// within runs a function for a part of the document.
func (d *decoder) within(part string, f func()) {
	d.where = append(d.where, part)
	f()
	d.where = d.where[:len(d.where)-1]
}

// fill sets the fields of the struct that out points to.
func (d *decoder) fill(e Element, out any) { d.fillValue(e, reflect.ValueOf(out).Elem()) }

// info tells of a section, machine or collection without Info.
func (d *decoder) info(e Element) {
	if e.Child("", "Info") == nil {
		d.note(Note, "it has no Info to say what it is for")
	}
}

func (d *decoder) fillValue(e Element, v reflect.Value) {
	p := d.plans.of(v.Type())
	d.attributes(e, p, v)
	for _, c := range e.Children {
		if c.IsText() {
			d.strayText(c)
			continue
		}
		f, ok := p.child(c.Name)
		if !ok || !d.setChild(p, f, v, c) {
			d.keepChild(p, v, c)
		}
	}
}

// attributes sets fields from attributes: those with a prefix, as they should
// be, before those without.
func (d *decoder) attributes(e Element, p *plan, v reflect.Value) {
	for _, qualified := range []bool{true, false} {
		for _, a := range e.Attrs {
			if (a.Name.Space != "") != qualified {
				continue
			}
			if f, ok := p.attribute(a.Name); ok {
				d.setAttr(f, v.FieldByIndex(f.index), a)
			} else {
				d.keepAttr(p, v, a)
			}
		}
	}
}

func (d *decoder) keepAttr(p *plan, v reflect.Value, a xml.Attr) {
	if p.rest == nil {
		d.note(Note, "the attribute %s is not kept", a.Name.Local)
		return
	}
	to := v.FieldByIndex(p.rest)
	to.Set(reflect.Append(to, reflect.ValueOf(a)))
}

func (d *decoder) keepChild(p *plan, v reflect.Value, c Element) {
	d.unknown(c)
	if p.extra == nil {
		d.note(Note, "<%s> is not kept", c.Name.Local)
		return
	}
	to := v.FieldByIndex(p.extra)
	to.Set(reflect.Append(to, reflect.ValueOf(c)))
}

// strayText tells of text between elements. Characters that nobody sees say nothing.
func (d *decoder) strayText(c Element) {
	text, severity := strings.TrimSpace(c.Text), Warning
	if !strings.ContainsFunc(text, unicode.IsGraphic) {
		severity = Note
	}
	d.note(severity, "there is text where only elements belong: %.40q", text)
}

// unknown tells of an element that is in a namespace of the standard's and is
// none of the standard's, or not here.
func (d *decoder) unknown(c Element) {
	severity := Warning
	if required, err := parseBool(c.Attr(NSEnvelope, "required")); err == nil && !required || c.Name.Local == "BusNumber" {
		severity = Note // BusNumber is OVF 0.9's
	}
	if c.Name.Space == NSEnvelope || c.Name.Space != "" && isCIM(c.Name.Space) {
		d.note(severity, "<%.40s> is not known here, or not again", c.Name.Local)
	}
}

// setAttr sets a field from an attribute.
func (d *decoder) setAttr(f field, v reflect.Value, a xml.Attr) {
	if !v.IsZero() {
		d.note(Warning, "there is a second attribute %s, which is not used", f.name)
		return
	}
	value := strings.TrimSpace(a.Value)
	switch v.Interface().(type) {
	case string:
		v.SetString(a.Value)
	case []string:
		if words := strings.Fields(value); words != nil {
			v.Set(reflect.ValueOf(words))
		}
	case bool:
		b, err := parseBool(value)
		if err != nil {
			d.note(Error, "%s is %.40q; it must be true or false", f.name, value)
			return
		}
		v.SetBool(b != f.not)
	case int:
		d.setInt(f.name, v, value)
	case *int64:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 {
			d.note(Warning, "%s is %.40q; it must be a number from 0, of at most 63 bits", f.name, value)
			return
		}
		v.Set(reflect.ValueOf(&n))
	}
}

func (d *decoder) setInt(name string, v reflect.Value, value string) bool {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		d.note(Warning, "%s is %.40q; it must be a number from 0, of at most 31 bits", name, value)
		return false
	}
	v.SetInt(n)
	return true
}

// parseBool reads xs:boolean, and the capitals that programs write.
func parseBool(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, strconv.ErrSyntax
}

// setChild sets or extends a field from a child; false if it cannot.
func (d *decoder) setChild(p *plan, f field, parent reflect.Value, c Element) bool {
	v := parent.FieldByIndex(f.index)
	if v.Kind() == reflect.Slice {
		item := reflect.New(v.Type().Elem()).Elem()
		d.within(partName(c), func() { d.setOne(item, c) })
		v.Set(reflect.Append(v, item))
		return true
	}
	if v.Kind() == reflect.Pointer {
		if !v.IsNil() {
			d.note(Warning, "there is a second <%s>", c.Name.Local)
			return false
		}
		item := reflect.New(v.Type().Elem())
		d.within(partName(c), func() { d.setOne(item.Elem(), c) })
		v.Set(item)
		return true
	}
	if !v.IsZero() {
		d.note(Warning, "there is a second <%s>", c.Name.Local)
		return false
	}
	switch v.Kind() {
	case reflect.String:
		if len(c.Attrs) > 0 && !keepFieldAttrs(p, parent, f.name, c.Attrs) {
			return false
		}
		v.SetString(strings.TrimSpace(c.Content()))
	case reflect.Int:
		if !d.setInt(f.name, v, strings.TrimSpace(c.Content())) {
			return false
		}
		return len(c.Attrs) == 0 || keepFieldAttrs(p, parent, f.name, c.Attrs)
	default:
		d.within(partName(c), func() { d.setOne(v, c) })
	}
	return true
}

func keepFieldAttrs(p *plan, parent reflect.Value, name string, attrs []xml.Attr) bool {
	if p.onField == nil {
		return false
	}
	all := parent.FieldByIndex(p.onField).Addr().Interface().(*map[string][]xml.Attr)
	if (*all)[name] != nil {
		return false
	}
	if *all == nil {
		*all = map[string][]xml.Attr{}
	}
	(*all)[name] = attrs
	return true
}

// setOne sets a struct from an element.
func (d *decoder) setOne(v reflect.Value, c Element) {
	text, ok := v.Addr().Interface().(*Text)
	if !ok {
		d.fillValue(c, v)
		if item, ok := v.Addr().Interface().(*Item); ok {
			item.Kind = kindOf(c.Name.Local)
		}
		return
	}
	d.fillText(c, text)
}

// fillText sets a text from an element.
func (d *decoder) fillText(c Element, text *Text) {
	text.Value = c.Content()
	for _, a := range c.Attrs {
		if isEnvelope(a.Name.Space) && a.Name.Local == "msgid" && text.MsgID == "" {
			text.MsgID = a.Value
			continue
		}
		text.Attrs = append(text.Attrs, a)
	}
	for _, child := range c.Children {
		if !child.IsText() {
			d.note(Warning, "there is <%s> where only text belongs", child.Name.Local)
		}
	}
}

// partName is what a part of the document is called in findings.
func partName(e Element) string {
	for _, name := range []string{"id", "diskId", "name", "key"} {
		for _, a := range e.Attrs {
			if a.Name.Local == name && isEnvelope(a.Name.Space) {
				return fmt.Sprintf("%s %.60s", e.Name.Local, a.Value)
			}
		}
	}
	if id := e.Child("", "InstanceID"); id != nil {
		return fmt.Sprintf("%s %.20s", e.Name.Local, strings.TrimSpace(id.Content()))
	}
	return e.Name.Local
}
