package snapshot

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/panalvm/panal/api"
)

// SpecChanges are the values that differ between two specs, by their paths. Members of
// lists that have a name are found by it, others by their place. Where the
// drives' images are is left out: that differs always.
func SpecChanges(from, to api.Spec) []api.SpecChange {
	a, b := leaves(from), leaves(to)
	paths := slices.Collect(maps.Keys(a))
	for path := range b {
		if _, both := a[path]; !both {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	var changes []api.SpecChange
	for _, path := range paths {
		if a[path] != b[path] {
			changes = append(changes, api.SpecChange{Field: path, From: a[path], To: b[path]})
		}
	}
	return changes
}

// leaves are the values of a spec as JSON, by their paths.
func leaves(spec api.Spec) map[string]string {
	spec.Drives = slices.Clone(spec.Drives)
	for i := range spec.Drives {
		spec.Drives[i].File = ""
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil // a spec always encodes
	}
	var value any
	_ = json.Unmarshal(text, &value)
	found := map[string]string{}
	gather(found, "", value)
	return found
}

func gather(found map[string]string, path string, value any) {
	join := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			gather(found, join(name), inner)
		}
	case []any:
		for i, inner := range value {
			name := fmt.Sprint(i)
			if fields, ok := inner.(map[string]any); ok {
				text, _ := fields["name"].(string)
				name = cmp.Or(text, name)
			}
			gather(found, join(name), inner)
		}
	default:
		text, _ := json.Marshal(value)
		found[path] = string(text)
	}
}
