package machine

import (
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/panalvm/panal/api"
)

// The limits of an environment.
const (
	maxProperties    = 1024     // in number
	maxPropertyKey   = 255      // bytes
	maxPropertyValue = 64 << 10 // bytes
	maxEntities      = 256      // in number
)

// concealed is shown in place of a secret.
const concealed = "********"

// Conceal returns a spec without the values of secret properties, as it is shown.
func Conceal(spec api.Spec) api.Spec {
	if spec.Environment == nil || len(spec.Environment.Secrets) == 0 {
		return spec
	}
	shown := cloneEnvironment(spec.Environment)
	hide := func(properties map[string]string) {
		for _, key := range shown.Secrets {
			if properties[key] != "" {
				properties[key] = concealed
			}
		}
	}
	hide(shown.Properties)
	for i := range shown.Entities {
		hide(shown.Entities[i].Properties)
	}
	spec.Environment = shown
	return spec
}

// Reveal returns a spec that a client gave back with the secrets that were
// concealed when it was shown: those of the machine that it is for.
func Reveal(spec, of api.Spec) api.Spec {
	if spec.Environment == nil || of.Environment == nil {
		return spec
	}
	whole := cloneEnvironment(spec.Environment)
	restore := func(properties, were map[string]string) {
		for _, key := range of.Environment.Secrets {
			if properties[key] == concealed {
				properties[key] = were[key]
			}
		}
	}
	restore(whole.Properties, of.Environment.Properties)
	for i := range whole.Entities {
		for _, other := range of.Environment.Entities {
			if other.Name == whole.Entities[i].Name {
				restore(whole.Entities[i].Properties, other.Properties)
			}
		}
	}
	spec.Environment = whole
	return spec
}

func cloneEnvironment(e *api.Environment) *api.Environment {
	if e == nil {
		return nil
	}
	whole := *e
	whole.Properties = maps.Clone(e.Properties)
	whole.Secrets = cloneList(e.Secrets)
	whole.Entities = cloneList(e.Entities)
	for i := range whole.Entities {
		whole.Entities[i].Properties = maps.Clone(whole.Entities[i].Properties)
	}
	return &whole
}

// environment checks what the guest is told, and that there is a drive for it.
func (c *checker) environment() {
	e := c.spec.Environment
	if e == nil {
		return
	}
	switch i := slices.IndexFunc(c.spec.Drives, func(d api.Drive) bool { return d.Name == e.Drive }); {
	case e.Drive == "":
		c.add("environment.drive", "names no drive: the guest is told its properties by a CD; add an empty optical drive and name it, or set environment=none")
	case i < 0:
		c.add("environment.drive", "there is no drive %q for the CD; environment=none tells the guest nothing", clip(e.Drive))
	case c.spec.Drives[i].Kind != api.Optical || c.spec.Drives[i].Source != "" || c.spec.Drives[i].File != "":
		c.add("environment.drive", "%q must be an optical drive with nothing in it: the CD is made anew for each start", clip(e.Drive))
	}
	c.properties("environment.properties", e.Properties)
	if len(e.Entities) > maxEntities {
		c.add("environment.entities", "there are %d; %d is the most", len(e.Entities), maxEntities)
		return
	}
	for _, other := range e.Entities {
		c.properties("environment.entities."+clip(other.Name)+".properties", other.Properties)
	}
}

func (c *checker) properties(field string, properties map[string]string) {
	if len(properties) > maxProperties {
		c.add(field, "there are %d; %d is the most", len(properties), maxProperties)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		if key == "" || len(key) > maxPropertyKey || !plainText(key) {
			c.add(field+"."+clip(key), "is no property's key: 1 to %d bytes of text", maxPropertyKey)
		}
		if value := properties[key]; len(value) > maxPropertyValue || !plainText(value) {
			c.add(field+"."+clip(key), "must be text without control characters, of at most %d KiB", maxPropertyValue>>10)
		}
	}
}

// plainText tells whether XML can hold a text.
func plainText(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' || r == '\ufffe' || r == '\uffff' {
			return false
		}
	}
	return true
}
