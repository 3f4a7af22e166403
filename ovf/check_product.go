package ovf

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// properties checks the products of a machine or collection.
func (c *checker) properties(sections []Section, above string) {
	seen, products := map[string]bool{}, map[string]bool{}
	for s := range All[*ProductSection](sections) {
		where := above + "ProductSection"
		if name := s.Class + " " + s.Instance; products[name] && name != " " {
			c.find(Warning, where, "there are two of the class %.60q and the instance %.60q", s.Class, s.Instance)
		} else {
			products[name] = true
		}
		for _, icon := range s.Icons {
			c.fileRef(where+"/Icon", icon.FileRef)
		}
		for _, p := range s.Properties {
			where := where + "/Property " + short(p.Key)
			if p.Key == "" {
				c.find(Error, where, "it has no key")
			} else if len(p.Configurations) == 0 {
				c.unique(seen, where, "key", s.FullKey(p))
			}
			if strings.ContainsAny(p.Key, ".:") {
				c.find(Note, where, "its key has a dot or a colon, which divide keys from classes and instances")
			}
			c.value(p, where)
		}
	}
}

// value checks a property's type and defaults.
func (c *checker) value(p Property, where string) {
	kind := strings.ToLower(p.Type)
	if _, known := bitsOf(kind); !known && !slices.Contains([]string{"string", "boolean", "real32", "real64"}, kind) && !isVMwareType(kind) {
		c.find(Error, where, "its type is %.40q, which is none of the standard's", p.Type)
	} else if kind != p.Type {
		c.find(Note, where, "its type is written %.40q", p.Type)
	}
	c.configured(where, p.Configurations)
	values := []string{p.Default}
	for _, v := range p.Values {
		c.configured(where, []string{v.Configuration})
		values = append(values, v.Value)
	}
	limits := qualifiers(p.Qualifiers)
	for _, v := range values {
		if v == "" || strings.Contains(v, "${") {
			continue // to be given by who deploys it
		}
		if err := p.accepts(v, limits); err != nil {
			c.find(Warning, where, "its default: %v", err)
		}
	}
}

// isVMwareType tells whether a type is one of those that VMware adds: int,
// real, password, ip, ip:network, expression.
func isVMwareType(t string) bool {
	word, _, _ := strings.Cut(t, "(")
	word, _, _ = strings.Cut(word, ":")
	return slices.Contains([]string{"int", "real", "password", "ip", "expression", "vmware"}, word)
}

// bitsOf gives the size of a whole number's type, negative of signed ones.
func bitsOf(t string) (int, bool) {
	for prefix, sign := range map[string]int{"uint": 1, "sint": -1} {
		if digits, ok := strings.CutPrefix(t, prefix); ok {
			n, err := strconv.Atoi(digits)
			return n * sign, err == nil && slices.Contains([]int{8, 16, 32, 64}, n)
		}
	}
	return 0, false
}

// Accepts says why a value does not fit the property's type and qualifiers
// (DSP0243 1.1, 9.5.1 and tables 5 and 6); nil if it does, or the type is not
// known.
func (p Property) Accepts(value string) error { return p.accepts(value, qualifiers(p.Qualifiers)) }

func (p Property) accepts(value string, limits []qualifier) error {
	if err := p.acceptsType(value); err != nil {
		return err
	}
	for _, q := range limits {
		if err := q.accepts(value); err != nil {
			return err
		}
	}
	return nil
}

func (p Property) acceptsType(value string) error {
	kind := strings.ToLower(p.Type)
	n, isInt := bitsOf(kind)
	var err error
	switch {
	case isInt && n > 0:
		_, err = strconv.ParseUint(value, 10, n)
	case isInt:
		_, err = strconv.ParseInt(value, 10, -n)
	case kind == "int":
		_, err = strconv.ParseInt(value, 10, 64)
	case kind == "boolean":
		_, err = parseBool(value)
	case kind == "real32" || kind == "real64" || kind == "real":
		_, err = strconv.ParseFloat(value, 64)
	case kind == "ip":
		_, err = netip.ParseAddr(value)
	}
	if err != nil {
		return fmt.Errorf("%.40q is no %s", value, p.Type)
	}
	return nil
}

// qualifier is one of those in a property's qualifiers: MinLen(1).
type qualifier struct {
	name, argument string
	limit          float64         // of MinLen and others
	values         map[string]bool // of ValueMap
}

// maxQualifiers is how long the qualifiers of a property may be, in bytes, to be
// looked at.
const maxQualifiers = 1 << 14

var qualifierPattern = regexp.MustCompile(`([A-Za-z]+)\s*[({]((?:[^"(){}]|"[^"]*")*)[)}]`)

// qualifiers reads those that are known; an argument that is no number makes it
// none.
func qualifiers(text string) []qualifier {
	if len(text) > maxQualifiers {
		return nil
	}
	var all []qualifier
	for _, m := range qualifierPattern.FindAllStringSubmatch(text, -1) {
		q := qualifier{name: strings.ToLower(m[1]), argument: m[2]}
		var err error
		switch q.name {
		case "minlen", "maxlen", "minvalue", "maxvalue":
			q.limit, err = strconv.ParseFloat(strings.TrimSpace(q.argument), 64)
		case "valuemap":
			q.values = quoted(q.argument)
		default:
			continue
		}
		if err == nil {
			all = append(all, q)
		}
	}
	return all
}

func (q qualifier) accepts(value string) error {
	length := float64(utf8.RuneCountInString(value))
	number, notNumber := strconv.ParseFloat(value, 64)
	switch {
	case q.name == "minlen" && length < q.limit:
		return fmt.Errorf("%.40q is shorter than %s", value, q.argument)
	case q.name == "maxlen" && length > q.limit:
		return fmt.Errorf("%.40q is longer than %s", value, q.argument)
	case q.name == "minvalue" && notNumber == nil && number < q.limit:
		return fmt.Errorf("%.40q is less than %s", value, q.argument)
	case q.name == "maxvalue" && notNumber == nil && number > q.limit:
		return fmt.Errorf("%.40q is more than %s", value, q.argument)
	case q.name == "valuemap" && !q.values[value]:
		return fmt.Errorf("%.40q is none of %.200s", value, q.argument)
	}
	return nil
}

var quotedPattern = regexp.MustCompile(`"([^"]*)"`)

// quoted lists the values of a ValueMap.
func quoted(text string) map[string]bool {
	values := map[string]bool{}
	for _, m := range quotedPattern.FindAllStringSubmatch(text, -1) {
		values[m[1]] = true
	}
	if len(values) == 0 {
		for v := range strings.SplitSeq(text, ",") {
			values[strings.TrimSpace(v)] = true
		}
	}
	return values
}
