package machine

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// walkList goes on in the element that a step names, or adds or removes it.
func (a *assigner) walkList(v reflect.Value, at string, steps []string, text string) error {
	if _, err := strconv.Atoi(steps[0]); err != nil && v.Type().Elem().Kind() != reflect.Struct {
		return fmt.Errorf("%s is a list of words; set it as a whole, separated by commas", at)
	}
	a.materialize(v, at)
	i, err := a.find(v, at, steps[0])
	if len(steps) == 1 && v.Type().Elem().Kind() == reflect.Struct {
		return changeList(v, i, err, steps[0], text)
	}
	if err != nil {
		return err
	}
	return a.walk(v.Index(i), at+"."+elementName(v, i), steps[1:], text)
}

// materialize writes out the names that elements have by default, and the
// elements that a list has when it is left out, so that both can be changed.
func (a *assigner) materialize(v reflect.Value, at string) {
	if strings.ContainsAny(at, ".[") || v.Type().Elem().Kind() != reflect.Struct {
		return // only lists of the spec itself have defaults
	}
	complete := Complete(a.spec, Defaults{})
	whole := fieldNamed(reflect.ValueOf(complete), at)
	for i := v.Len(); i < whole.Len(); i++ {
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	}
	for i := range v.Len() {
		v.Index(i).FieldByName("Name").Set(whole.Index(i).FieldByName("Name"))
		if controllerType := v.Index(i).FieldByName("Type"); controllerType.IsValid() {
			controllerType.Set(whole.Index(i).FieldByName("Type"))
		}
	}
}

func fieldNamed(v reflect.Value, name string) reflect.Value {
	for i := range v.NumField() {
		if jsonName(v.Type().Field(i)) == name {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

// find returns the index of the element that a step names by name or number.
func (a *assigner) find(v reflect.Value, at, step string) (int, error) {
	names := elementNames(v)
	if i := slices.Index(names, step); i >= 0 {
		return i, nil
	}
	if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < v.Len() {
		return i, nil
	}
	if len(names) == 0 {
		return -1, fmt.Errorf("%s has no element %q; it has %d, counted from 0", at, clip(step), v.Len())
	}
	return -1, fmt.Errorf("there is no %q in %s; there is %s, and %s.%s=new adds it",
		clip(step), at, strings.Join(names, ", "), at, clip(step))
}

// elementNames returns the names of a list's elements, none if they have no names.
func elementNames(v reflect.Value) []string {
	if v.Type().Elem().Kind() != reflect.Struct {
		return nil
	}
	if _, named := v.Type().Elem().FieldByName("Name"); !named {
		return nil
	}
	var names []string
	for i := range v.Len() {
		names = append(names, v.Index(i).FieldByName("Name").String())
	}
	return names
}

// elementName returns an element's name, its number if it has none.
func elementName(v reflect.Value, i int) string {
	if names := elementNames(v); i < len(names) {
		return names[i]
	}
	return strconv.Itoa(i)
}

// changeList adds (new) or removes (none, or nothing) an element.
func changeList(v reflect.Value, i int, missing error, name, text string) error {
	_, named := v.Type().Elem().FieldByName("Name")
	switch text {
	case "new":
		if missing == nil {
			return fmt.Errorf("is there already")
		}
		if !named {
			return fmt.Errorf("has elements without names; set the list as a whole")
		}
		element := reflect.New(v.Type().Elem()).Elem()
		element.FieldByName("Name").SetString(name)
		v.Set(reflect.Append(v, element))
		return nil
	case "", "none":
		if missing != nil {
			return missing
		}
		// A list that becomes empty stays a list: none, not the default.
		rest := reflect.MakeSlice(v.Type(), 0, v.Len()-1)
		rest = reflect.AppendSlice(rest, v.Slice(0, i))
		v.Set(reflect.AppendSlice(rest, v.Slice(i+1, v.Len())))
		return nil
	}
	return fmt.Errorf("takes new, to add it, or none, to remove it, not %q; set its fields, as in %s.FIELD=VALUE", clip(text), name)
}
