package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Keeping unknown fields compares three JSON values at the same place:
//
//	stored   what is in the store, perhaps written by a newer version
//	known    stored, decoded into our type and encoded again: what we understood
//	next     what we are about to write
//
// A member that stored has and known has not is unknown to us, and is carried into
// next. A member that known has and next has not was removed on purpose.

// keepUnknown returns next with the unknown members of stored added.
func keepUnknown(key string, stored, known, next []byte) ([]byte, error) {
	var values [3]any
	for i, text := range [][]byte{stored, known, next} {
		value, err := parse(text)
		if err != nil {
			return nil, &DecodeError{Key: key, Err: err}
		}
		values[i] = value
	}
	if !hasUnknown(values[0], values[1]) {
		return next, nil
	}
	merged, ok, path := merge(values[0], values[1], values[2], "")
	if !ok {
		return nil, &UnknownFieldsError{Key: key, Path: path}
	}
	return encode(key, merged)
}

// parse decodes JSON keeping numbers as they are written.
func parse(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("parse JSON: %w", err)
	}
	return value, nil
}

// hasUnknown reports whether stored has a member, at any depth, that known lacks.
// Members whose value is empty do not count: omitempty drops them, and nothing is
// lost with them.
func hasUnknown(stored, known any) bool {
	switch stored := stored.(type) {
	case map[string]any:
		members, ok := known.(map[string]any)
		if !ok {
			return false
		}
		for name, value := range stored {
			understood, has := members[name]
			if !has && !empty(value) || has && hasUnknown(value, understood) {
				return true
			}
		}
	case []any:
		elements, ok := known.([]any)
		if !ok || len(elements) != len(stored) {
			return false
		}
		for i := range stored {
			if hasUnknown(stored[i], elements[i]) {
				return true
			}
		}
	}
	return false
}

// empty reports whether omitempty or omitzero would drop the value.
func empty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case bool:
		return !value
	case string:
		return value == ""
	case json.Number:
		number, err := value.Float64()
		return err == nil && number == 0
	case []any:
		return len(value) == 0
	case map[string]any:
		for _, member := range value {
			if !empty(member) {
				return false
			}
		}
		return true
	}
	return false
}

// merge returns next with the unknown members of stored. It is not ok when they
// have no certain place in next; path then says where.
func merge(stored, known, next any, path string) (merged any, ok bool, at string) {
	if !hasUnknown(stored, known) {
		return next, true, ""
	}
	if same(known, next) {
		return stored, true, ""
	}
	switch next := next.(type) {
	case map[string]any:
		return mergeObject(stored.(map[string]any), known, next, path)
	case []any:
		return mergeArray(stored.([]any), known.([]any), next, path)
	}
	// The whole value was replaced by something that has no members, such as null.
	return next, true, ""
}

func mergeObject(stored map[string]any, known any, next map[string]any, path string) (any, bool, string) {
	members := known.(map[string]any)
	merged := maps.Clone(next)
	for name, value := range stored {
		understood, isKnown := members[name]
		written, isWritten := next[name]
		switch {
		case !isKnown && !isWritten:
			merged[name] = value
		case isKnown && isWritten:
			kept, ok, at := merge(value, understood, written, join(path, name))
			if !ok {
				return nil, false, at
			}
			merged[name] = kept
		}
	}
	return merged, true, ""
}

// mergeArray finds each element's origin by equality, since elements have no names
// and may have moved. An element that was changed while an origin with unknown
// members is left over cannot be told from one removed and one added, and nothing
// may be lost by guessing.
func mergeArray(stored, known, next []any, path string) (any, bool, string) {
	merged := slices.Clone(next)
	used := make([]bool, len(stored))
	strangers := 0
	for i, element := range next {
		origin := originOf(element, known, used)
		if origin < 0 {
			strangers++
			continue
		}
		used[origin] = true
		merged[i] = stored[origin]
	}
	for i := range stored {
		if strangers > 0 && !used[i] && hasUnknown(stored[i], known[i]) {
			return nil, false, path
		}
	}
	return merged, true, ""
}

func originOf(element any, known []any, used []bool) int {
	for i := range known {
		if !used[i] && same(known[i], element) {
			return i
		}
	}
	return -1
}

func same(a, b any) bool {
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	return errLeft == nil && errRight == nil && bytes.Equal(left, right)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
