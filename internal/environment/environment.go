// Package environment makes the CD that tells a guest of its properties: the
// "iso" transport of OVF environments (DSP0243 1.1, 11.2; 2.1, 10.2).
//
//	<machine's folder>/environment/cd.iso     ISO 9660 with Rock Ridge and Joliet
//	                                └── ovf-env.xml
//
// It is made anew before each start, so that it always says what the spec says.
package environment

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/optical"
	"github.com/panalvm/panal/ovf"
)

// CD is the name of the image.
const CD = "cd.iso"

// The names on the CD.
const (
	document = "ovf-env.xml" // the standard's
	volume   = "OVF ENV"
)

// Write makes the CD of a machine in a directory of its folder, in place of an
// earlier one.
func Write(dir string, e *api.Environment, platform ovf.Platform) error {
	text, err := text(e, platform)
	if err != nil {
		return err
	}
	err = os.MkdirAll(dir, 0o700)
	if err == nil {
		err = optical.Write(filepath.Join(dir, CD), volume, map[string][]byte{document: text})
	}
	if err != nil {
		return fmt.Errorf("make the CD with the machine's environment: %w", err)
	}
	return nil
}

// text is the environment document.
func text(e *api.Environment, platform ovf.Platform) ([]byte, error) {
	env := ovf.Environment{ID: e.ID, Platform: platform, Properties: listed(e.Properties)}
	for _, other := range e.Entities {
		env.Entities = append(env.Entities, ovf.Entity{ID: other.Name, Properties: listed(other.Properties)})
	}
	var out bytes.Buffer
	err := env.Write(&out)
	return out.Bytes(), err
}

// listed puts properties in the order of their keys.
func listed(properties map[string]string) []ovf.EnvironmentProperty {
	var list []ovf.EnvironmentProperty
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		list = append(list, ovf.EnvironmentProperty{Key: key, Value: properties[key]})
	}
	return list
}
