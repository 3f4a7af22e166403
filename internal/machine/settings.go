package machine

import (
	"reflect"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
)

// Defaults of a host's settings.
const (
	DefaultCPURatio  = 8 // what administrators of servers use for mixed loads
	DefaultCPUPolicy = "warn"

	DefaultMemoryRatio  = 1
	DefaultMemoryPolicy = "warn"

	// DefaultSnapshotDepth is where reading through the images has become slower by about a fifth than out of one; through
	// fifty it takes several times as long. docs/snapshots.md has the figures.
	DefaultSnapshotDepth = 16
)

// CompleteSettings fills in what is left out of a host's settings.
func CompleteSettings(s api.HostSettings) api.HostSettings {
	setDefault(&s.CPU.Ratio, DefaultCPURatio)
	setDefault(&s.CPU.Policy, DefaultCPUPolicy)
	setDefault(&s.Memory.Ratio, DefaultMemoryRatio)
	setDefault(&s.Memory.Policy, DefaultMemoryPolicy)
	setDefault(&s.Memory.Sharing, "on")
	setDefault(&s.Memory.Reclaim, api.ReclaimSwap)
	setDefault(&s.Snapshots.Depth, DefaultSnapshotDepth)
	return s
}

// AssignSettings applies key=value changes to a host's settings, and returns the changed ones with everything that is wrong
// with the changes. An empty value returns a setting to its default.
func AssignSettings(s api.HostSettings, assignments []string) (api.HostSettings, []api.FieldError) {
	a := &assigner{set: map[string]bool{}}
	for _, assignment := range assignments {
		key, value, found := strings.Cut(assignment, "=")
		key = strings.TrimSpace(key)
		if !found || !slices.Contains(SettingKeys(), key) {
			a.fail(clip(key), "is none of the host's settings; they are "+strings.Join(SettingKeys(), ", "))
			continue
		}
		if err := a.walk(reflect.ValueOf(&s).Elem(), "", strings.Split(key, "."), value); err != nil {
			a.fail(key, err.Error())
		}
	}
	return s, append(a.errors, ValidateSettings(s)...)
}

// ValidateSettings says what is wrong with a host's settings.
func ValidateSettings(s api.HostSettings) []api.FieldError {
	c := &checker{}
	if s.CPU.Ratio < 0 || s.CPU.Ratio > 1000 || s.CPU.Ratio != s.CPU.Ratio {
		c.add("cpu.ratio", "is %v; it must be above 0 and at most 1000", s.CPU.Ratio)
	}
	if s.CPU.Policy != "" {
		member(c, "cpu.policy", s.CPU.Policy, "warn", "refuse")
	}
	if s.Memory.Ratio < 0 || s.Memory.Ratio > 100 || s.Memory.Ratio != s.Memory.Ratio {
		c.add("memory.ratio", "is %v; it must be above 0 and at most 100", s.Memory.Ratio)
	}
	if s.Memory.Policy != "" {
		member(c, "memory.policy", s.Memory.Policy, "warn", "refuse")
	}
	if s.Memory.Sharing != "" {
		member(c, "memory.sharing", s.Memory.Sharing, "on", "off")
	}
	if s.Memory.Reclaim != "" {
		member(c, "memory.reclaim", s.Memory.Reclaim, api.ReclaimOff, api.ReclaimCompress, api.ReclaimSwap)
	}
	if depth := s.Snapshots.Depth; depth != 0 && (depth < 2 || depth > 200) {
		c.add("snapshots.depth", "is %d; it must be from 2 to 200", depth)
	}
	return c.errors
}

// SettingKeys are the keys that AssignSettings takes.
func SettingKeys() []string {
	var keys []string
	for _, key := range fieldKeys("", reflect.TypeFor[api.HostSettings]()) {
		keys = append(keys, key.Path)
	}
	return keys
}
