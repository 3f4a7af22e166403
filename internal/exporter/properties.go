package exporter

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/panalvm/panal/ovf"
)

// CheckProperty tells whether a property can have a key: words of letters,
// digits, "_" and "-", with dots between them.
func CheckProperty(key string) error {
	for word := range strings.SplitSeq(key, ".") {
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			return fmt.Errorf("a property cannot have the key %q: it has to be words of letters, digits, _ and -, with dots between them", key)
		}
	}
	return nil
}

// addProperties puts into each machine what it is told of itself, and into the
// only machine, or else into the collection, which hands them down to its machines
// (DSP0243 1.1, 9.5), those that the whole is given.
func addProperties(env *ovf.Envelope, machines []Machine, given map[string]string) error {
	for key := range given {
		if err := CheckProperty(key); err != nil {
			return err
		}
	}
	for i, system := range env.Systems() {
		values, secrets := map[string]string{}, []string(nil)
		if told := machines[i].Spec.Environment; told != nil {
			values, secrets = maps.Clone(told.Properties), told.Secrets
		}
		if len(machines) == 1 {
			if values == nil {
				values = map[string]string{}
			}
			maps.Copy(values, given)
		}
		if told := machines[i].Spec.Environment; len(values) > 0 || told != nil && told.Drive != "" {
			transport(system)
		}
		system.Sections = append(products(values, secrets), system.Sections...)
	}
	if all, several := env.Content[0].(*ovf.Collection); several {
		all.Sections = append(products(given, nil), all.Sections...)
		for _, system := range env.Systems() {
			if len(given) > 0 {
				transport(system)
			}
		}
	}
	return nil
}

// transport says that the guest looks for its properties on a CD.
func transport(system *ovf.VirtualSystem) {
	for hardware := range ovf.All[*ovf.VirtualHardwareSection](system.Sections) {
		hardware.Transport = []string{"iso"}
	}
}

// products are the sections of properties: what stands before the last dot of a
// key is the section's class, since a key itself has no dots. The values of
// secrets are not given away.
func products(values map[string]string, secrets []string) (sections []ovf.Section) {
	classes := map[string]*ovf.ProductSection{}
	for _, full := range slices.Sorted(maps.Keys(values)) {
		class, key := "", full
		if dot := strings.LastIndexByte(full, '.'); dot >= 0 {
			class, key = full[:dot], full[dot+1:]
		}
		section := classes[class]
		if section == nil {
			section = &ovf.ProductSection{Head: head("What can be set"), Class: class}
			classes[class], sections = section, append(sections, section)
		}
		property := ovf.Property{Key: key, Type: "string", UserConfigurable: true, Default: values[full]}
		if slices.Contains(secrets, full) {
			property.Password, property.Default = true, ""
		}
		section.Properties = append(section.Properties, property)
	}
	return sections
}

func head(info string) ovf.Head { return ovf.Head{Info: ovf.Plain(info)} }
