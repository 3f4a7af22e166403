package envelope

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/ovf"
)

// sections goes through all sections of a type, with the ID of the machine
// they are for; that of the envelope and of collections is empty.
func sections[S ovf.Section](env *ovf.Envelope) func(func(string, S) bool) {
	return func(yield func(string, S) bool) {
		each := func(id string, list []ovf.Section) bool {
			for s := range ovf.All[S](list) {
				if !yield(id, s) {
					return false
				}
			}
			return true
		}
		var descend func([]ovf.Content) bool
		descend = func(content []ovf.Content) bool {
			for _, c := range content {
				inner, isCollection := c.(*ovf.Collection)
				if isCollection && (!each("", inner.Sections) || !descend(inner.Content)) {
					return false
				}
				if !isCollection && !each(c.ContentID(), c.ContentSections()) {
					return false
				}
			}
			return true
		}
		if each("", env.Sections) {
			descend(env.Content)
		}
	}
}

// products reads the properties, and gives them the values that the user chose.
func (r *reader) products(given map[string]string) error {
	r.values = map[string]string{}
	unused := maps.Clone(given)
	for id, section := range sections[*ovf.ProductSection](r.env) {
		for _, p := range section.Properties {
			property, err := r.property(id, section.FullKey(p), p, given)
			if err != nil {
				return err
			}
			delete(unused, property.Key)
			r.values[property.Key] = property.Value
			r.values[p.Key] = property.Value
			r.out.Properties = append(r.out.Properties, property)
		}
	}
	if len(unused) > 0 {
		return fmt.Errorf("there is no property %s; there are %s", slices.Sorted(maps.Keys(unused))[0], r.propertyNames())
	}
	return nil
}

func (r *reader) propertyNames() string {
	names := make([]string, 0, len(r.out.Properties))
	for _, p := range r.out.Properties {
		if !p.Fixed {
			names = append(names, p.Key)
		}
	}
	if len(names) == 0 {
		return "none that could be set"
	}
	return strings.Join(names, ", ")
}

func (r *reader) property(machine, key string, p ovf.Property, given map[string]string) (appliance.Property, error) {
	usual := p.ValueIn(r.out.Deployment)
	out := appliance.Property{
		Key: key, Machine: machine, Category: r.text.Text(p.Category), Label: r.text.Text(p.Label), Description: r.text.Text(p.Description),
		Type: p.Type, Default: usual, Value: usual, Secret: p.Password, Fixed: !p.UserConfigurable,
	}
	value, ok := given[key]
	switch {
	case !ok:
		out.Required = usual == "" && p.UserConfigurable && p.Accepts("") != nil
		return out, nil
	case out.Fixed:
		return out, fmt.Errorf("the property %s is not for the user to set", key)
	}
	if err := p.Accepts(value); err != nil {
		if out.Secret {
			value = "the value"
		}
		return out, fmt.Errorf("the property %s cannot be %s: %w", key, value, err)
	}
	out.Value = value
	return out, nil
}

func (r *reader) licences() {
	for id, section := range sections[*ovf.EulaSection](r.env) {
		text := r.text.Text(section.License)
		if text == "" && section.FileRef != "" {
			text = "the licence in the file " + section.FileRef
		}
		r.out.Licences = append(r.out.Licences, appliance.Licence{Machine: id, Text: text})
	}
}
