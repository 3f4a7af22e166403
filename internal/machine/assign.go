package machine

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/panalvm/panal/api"
)

// Assign applies key=value changes to a spec, in their order, and returns the
// changed copy with everything that is wrong with the changes; a change that
// is wrong changes nothing. [Keys] lists the keys. The result is to be
// completed and validated: a field set to an empty value is left out in it, as
// are fields that follow from one that was changed (a drive's port, when it
// moves to another controller).
//
// The spec need not be complete: elements of lists are found by the names
// that Complete would give them.
func Assign(spec api.Spec, assignments []string) (api.Spec, []api.FieldError) {
	a := &assigner{spec: Clone(spec), set: map[string]bool{}}
	for _, assignment := range assignments {
		a.assign(assignment)
	}
	a.settle(spec)
	return a.spec, a.errors
}

// assigner applies changes to its spec.
type assigner struct {
	spec   api.Spec
	set    map[string]bool // the plain paths of the fields that were set
	errors []api.FieldError
}

func (a *assigner) assign(assignment string) {
	key, value, found := strings.Cut(assignment, "=")
	key = strings.TrimSpace(key)
	if !found || key == "" {
		a.fail(clip(assignment), "is not key=value")
		return
	}
	if (key == "cpus" || key == "cpu.count") && strings.TrimSpace(value) == "0" {
		a.fail(key, "is 0; CPU 0 is always there, so it must be at least 1 (leave the value empty for as many as there can be)")
		return
	}
	if least := leastOf(key); least != "" && isZero(value) {
		a.fail(key, "is 0; it must be "+least+" (leave the value empty to take it away)")
		return
	}
	if shorthand, known := shorthandNamed(key); known {
		if err := shorthand.apply(a, value); err != nil {
			a.fail(key, err.Error())
		}
		return
	}
	steps, err := parsePath(key)
	if err == nil {
		undo := Clone(a.spec)
		if err = a.walk(reflect.ValueOf(&a.spec).Elem(), "", steps, value); err != nil {
			a.spec = undo
		}
	}
	if err != nil {
		a.fail(key, err.Error())
	}
}

// isZero tells whether a value is none at all, in whatever unit; an empty one takes a setting away.
func isZero(value string) bool {
	size, err := api.ParseSize(strings.TrimSpace(value))
	return err == nil && size == 0
}

// leastOf is the range of a number that is not there when it is 0; empty for other keys.
func leastOf(key string) string {
	switch strings.ToLower(key) {
	case "cpu.cap", "cap":
		return "1 to 100"
	case "cpu.shares", "memory.shares":
		return "1 to 10000"
	case "memory", "memory.size", "memory.start", "memory.maximum":
		return leastMemory.String() + " or more"
	case "memory.limit":
		return "what the machine keeps, or more"
	case "memory.swap":
		return "1M or more, and memory.reclaim=off has nothing moved out"
	}
	return ""
}

func (a *assigner) fail(field, message string) {
	a.errors = append(a.errors, api.FieldError{Field: field, Message: message})
}

// parsePath splits drives[0].serial and drives.disk0.serial into steps. What
// follows "labels." or the like is one step, dots and all.
func parsePath(key string) ([]string, error) {
	if name, found := strings.CutPrefix(key, "labels."); found {
		return []string{"labels", name}, nil
	}
	for _, prefix := range []string{"properties.", "environment.properties."} {
		if name, found := strings.CutPrefix(key, prefix); found && name != "" {
			return []string{"environment", "properties", name}, nil
		}
	}
	steps := strings.Split(strings.NewReplacer("[", ".", "]", "").Replace(key), ".")
	for _, step := range steps {
		if step == "" {
			return nil, fmt.Errorf("is not a field's path such as drives[0].serial or drives.disk0.serial")
		}
	}
	return steps, nil
}

// walk follows the steps from a value, and sets what they lead to. at is the
// plain path of the value.
func (a *assigner) walk(v reflect.Value, at string, steps []string, text string) error {
	if len(steps) == 0 {
		if err := setLeaf(v, text); err != nil {
			return err
		}
		a.set[at] = true
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return a.walkStruct(v, at, steps, text)
	case reflect.Pointer:
		if v.IsNil() && v.Type().Elem().Kind() == reflect.Struct {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return a.walk(v.Elem(), at, steps, text)
	case reflect.Map:
		return setLabel(v, steps[0], text)
	case reflect.Slice:
		return a.walkList(v, at, steps, text)
	}
	return fmt.Errorf("%s has no fields", at)
}

func (a *assigner) walkStruct(v reflect.Value, at string, steps []string, text string) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !strings.EqualFold(jsonName(field), steps[0]) {
			continue
		}
		if field.Tag.Get("readOnly") == "true" {
			return fmt.Errorf("is set by the daemon alone")
		}
		return a.walk(v.Field(i), join(at, jsonName(field)), steps[1:], text)
	}
	return unknownKey(strings.Join(steps, "."), at)
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// setLabel sets an element of a map; an empty text removes it.
func setLabel(v reflect.Value, name, text string) error {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	value := reflect.ValueOf(text)
	if text == "" {
		value = reflect.Value{}
	}
	v.SetMapIndex(reflect.ValueOf(name), value)
	return nil
}
