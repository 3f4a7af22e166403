package xenxml

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// value is an XML-RPC value. One of its fields is set.
type value struct {
	Text   string   `xml:",chardata"`
	Struct []member `xml:"struct>member"`
	Array  []value  `xml:"array>data>value"`
	Scalar *scalar  `xml:",any"`
}

// scalar is <string>, <int>, <boolean> …
type scalar struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
}

type member struct {
	Name  string `xml:"name"`
	Value value  `xml:"value"`
}

// text is a leaf's text.
func (v value) text() string {
	if v.Scalar != nil {
		return v.Scalar.Text
	}
	return strings.TrimSpace(v.Text)
}

// field is a member of a struct; the zero value if there is none.
func (v value) field(name string) value {
	for _, m := range v.Struct {
		if m.Name == name {
			return m.Value
		}
	}
	return value{}
}

// object is one of the objects.
type object struct {
	class, id string
	fields    value
}

// text is a field's text.
func (o object) text(name string) string { return o.fields.field(name).text() }

// flag tells whether a field is true.
func (o object) flag(name string) bool {
	text := o.text(name)
	return text == "1" || strings.EqualFold(text, "true")
}

// number is a field's number; 0 if there is none.
func (o object) number(name string) (int64, error) {
	text := o.text(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s %s: %s is %q, which is no number", o.class, o.id, name, text)
	}
	return n, nil
}
