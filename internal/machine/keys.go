package machine

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
)

// Key is a key that [Assign] takes.
type Key struct {
	Path   string   // such as cpu.count or drives.NAME.serial
	Doc    string   // what it is
	Type   string   // number, size, switch, word, list
	Values []string // the only values there are; none if there are others
}

// Keys returns all keys: the fields in the order of the spec, then the short
// ones. NAME in a path stands for a label's or an element's name.
func Keys() []Key {
	keys := fieldKeys("", reflect.TypeFor[api.Spec]())
	for _, s := range shorthands() {
		key := Key{Path: s.key, Doc: s.doc, Type: "word"}
		if i := slices.IndexFunc(keys, func(k Key) bool { return k.Path == s.path }); i >= 0 {
			key.Type, key.Values = keys[i].Type, keys[i].Values
		}
		keys = append(keys, key)
	}
	return keys
}

func fieldKeys(at string, t reflect.Type) []Key {
	var keys []Key
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Tag.Get("readOnly") == "true" {
			continue
		}
		key := Key{Path: join(at, jsonName(field)), Doc: field.Tag.Get("doc")}
		if values := field.Tag.Get("enum"); values != "" {
			key.Values = strings.Split(values, ",")
		}
		keys = append(keys, keysOf(key, field.Type)...)
	}
	return keys
}

// keysOf returns the keys of one field: itself, or those below it.
func keysOf(key Key, t reflect.Type) []Key {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[api.Size]():
		key.Type = "size"
	case t == reflect.TypeFor[[]api.Forward]():
		key.Type = "list"
		key.Doc = "forwarded ports, such as 2222:22 or udp:127.0.0.1:53:53, with commas between them"
	case t.Kind() == reflect.Struct:
		return fieldKeys(key.Path, t)
	case t.Kind() == reflect.Map:
		key.Path, key.Type = key.Path+".NAME", "word"
		if key.Path == "labels.NAME" {
			key.Doc = "a label of the user's own"
		}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		one := Key{Path: key.Path + ".NAME", Type: "word", Doc: "new adds one, none removes it", Values: []string{"new", "none"}}
		return append([]Key{one}, fieldKeys(key.Path+".NAME", t.Elem())...)
	case t.Kind() == reflect.Slice:
		key.Type = "list"
	case t.Kind() == reflect.Int:
		key.Type = "number"
	case t.Kind() == reflect.Bool:
		key.Type, key.Values = "switch", []string{"on", "off"}
	default:
		key.Type = "word"
	}
	return []Key{key}
}

// unknownKey makes the error for a key that is none, with those that are near.
func unknownKey(rest, at string) error {
	wrong := join(at, rest)
	var near []string
	for _, key := range Keys() {
		if isNear(wrong, key.Path) {
			near = append(near, key.Path)
		}
	}
	if len(near) == 0 {
		return fmt.Errorf("there is no such field; `panal set --keys` lists them")
	}
	slices.SortStableFunc(near, func(a, b string) int { return distance(wrong, a) - distance(wrong, b) })
	return fmt.Errorf("there is no such field; did you mean %s?", strings.Join(near[:min(3, len(near))], ", "))
}

// isNear says whether a key may have been meant: little is mistyped, or it is
// a key's last part.
func isNear(wrong, key string) bool {
	last := key[strings.LastIndex(key, ".")+1:]
	if strings.EqualFold(last, wrong) {
		return true
	}
	return len(wrong) < 64 && distance(strings.ToLower(wrong), strings.ToLower(key)) <= max(1, min(len(wrong), len(key))/3)
}

// distance returns how many characters must be put in, taken away or replaced
// to make b of a (Levenshtein 1966).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
