package ovf

import (
	"fmt"
	"slices"
	"strings"
)

// Configurations lists the ways to deploy the appliance; nil if there is only
// one.
func (e *Envelope) Configurations() []Configuration {
	var all []Configuration
	for s := range All[*DeploymentOptionSection](e.Sections) {
		all = append(all, s.Configurations...)
	}
	return all
}

// DefaultConfiguration is the ID of the configuration that is meant when none
// is asked for: the one marked so, else the first (DSP0243 1.1, 9.8); "" if
// there are none.
func (e *Envelope) DefaultConfiguration() string {
	all := e.Configurations()
	for _, c := range all {
		if c.Default {
			return c.ID
		}
	}
	if len(all) > 0 {
		return all[0].ID
	}
	return ""
}

// Choose makes an envelope with what a configuration has, "" for the default:
//   - Items that name other configurations are left out. An item that names
//     this one stands for those of the same resource type, InstanceID and bound
//     that come before it or name none.
//   - Properties, where VMware's configuration attribute says so, likewise;
//     those that stay have the configuration's value as default.
//
// The parts that are not changed are shared with e.
func (e *Envelope) Choose(configuration string) (*Envelope, error) {
	all := e.Configurations()
	if configuration == "" {
		configuration = e.DefaultConfiguration()
	} else if !slices.ContainsFunc(all, func(c Configuration) bool { return c.ID == configuration }) {
		return nil, fmt.Errorf("choosing the configuration %q: the appliance has %s", configuration, configurationNames(all))
	}
	chosen := *e
	chosen.Sections = chooseSections(e.Sections, configuration)
	chosen.Content = chooseContent(e.Content, configuration)
	return &chosen, nil
}

func configurationNames(all []Configuration) string {
	if len(all) == 0 {
		return "none to choose from"
	}
	var names []string
	for _, c := range all {
		names = append(names, c.ID)
	}
	return strings.Join(names, ", ")
}

func chooseContent(content []Content, configuration string) []Content {
	var chosen []Content
	for _, c := range content {
		switch c := c.(type) {
		case *VirtualSystem:
			made := *c
			made.Sections = chooseSections(c.Sections, configuration)
			chosen = append(chosen, &made)
		case *Collection:
			made := *c
			made.Sections = chooseSections(c.Sections, configuration)
			made.Content = chooseContent(c.Content, configuration)
			chosen = append(chosen, &made)
		}
	}
	return chosen
}

func chooseSections(sections []Section, configuration string) []Section {
	chosen := make([]Section, 0, len(sections))
	for _, s := range sections {
		switch s := s.(type) {
		case *VirtualHardwareSection:
			made := *s
			made.Items = chooseItems(s.Items, configuration)
			chosen = append(chosen, &made)
		case *ResourceAllocationSection:
			made := *s
			made.Items = chooseItems(s.Items, configuration)
			chosen = append(chosen, &made)
		case *ProductSection:
			made := *s
			made.Properties = chooseProperties(s.Properties, configuration)
			chosen = append(chosen, &made)
		default:
			chosen = append(chosen, s)
		}
	}
	return chosen
}

// itemKey is what two items have in common of which one stands for the other.
type itemKey struct {
	instance, bound string
	kind            ResourceType
}

func (i *Item) key() itemKey {
	return itemKey{i.InstanceID, strings.TrimPrefix(i.Bound, "normal"), i.ResourceType}
}

func chooseItems(items []Item, configuration string) []Item {
	last := map[itemKey]int{} // of those that name the configuration
	for n, i := range items {
		if slices.Contains(i.Configurations, configuration) && i.InstanceID != "" {
			last[i.key()] = n
		}
	}
	var chosen []Item
	for n, i := range items {
		if len(i.Configurations) > 0 && !slices.Contains(i.Configurations, configuration) {
			continue
		}
		if instead, ok := last[i.key()]; !ok || instead == n {
			chosen = append(chosen, i)
		}
	}
	return chosen
}

func chooseProperties(properties []Property, configuration string) []Property {
	var chosen []Property
	for _, p := range properties {
		if len(p.Configurations) == 0 || slices.Contains(p.Configurations, configuration) {
			p.Default = p.ValueIn(configuration)
			chosen = append(chosen, p)
		}
	}
	return chosen
}

// Range is an item with what it may at least and at most be (DSP0243 1.1, 8.4).
type Range struct {
	Item     // the normal one; the smallest if there is no normal one
	Min, Max *Item
}

// Ranges puts items together that are bounds of one another: those with the
// same InstanceID, or without any InstanceID the same resource type.
func Ranges(items []Item) []Range {
	type group struct {
		instance string
		kind     ResourceType
	}
	var ranges []Range
	known := map[group]int{}
	for _, item := range items {
		g := group{instance: item.InstanceID}
		if g.instance == "" {
			g.kind = item.ResourceType
		}
		at, ok := known[g]
		if !ok || item.Bound == "" && ranges[at].Min == nil && ranges[at].Max == nil {
			at = len(ranges)
			known[g] = at
			ranges = append(ranges, Range{Item: item})
		}
		ranges[at].bound(item)
	}
	return ranges
}

func (r *Range) bound(item Item) {
	switch item.Bound {
	case "min":
		r.Min = &item
	case "max":
		r.Max = &item
	default:
		r.Item = item
	}
}

// Defaults are the values of all properties by their full key, in the default
// configuration or, of an envelope that Choose made, in that; ${key} refers
// to them. Within the section that has them they may also be named by Key.
func (e *Envelope) Defaults() map[string]string {
	values := map[string]string{}
	configuration := e.DefaultConfiguration()
	add := func(sections []Section) {
		for s := range All[*ProductSection](sections) {
			for _, p := range s.Properties {
				value := p.ValueIn(configuration)
				values[s.FullKey(p)] = value
				if _, known := values[p.Key]; !known {
					values[p.Key] = value
				}
			}
		}
	}
	add(e.Sections)
	for _, c := range e.all() {
		add(c.ContentSections())
	}
	return values
}

// Expand puts the values of properties for ${key}, as an AppURL or a quantity may
// have them. What is no known property stays as it is.
func Expand(text string, properties map[string]string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "${")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		key, behind, closed := strings.Cut(rest, "}")
		value, known := properties[key]
		if !closed || !known {
			b.WriteString("${")
			text = rest
			continue
		}
		b.WriteString(value)
		text = behind
	}
}

// all lists machines and collections, the outer before the inner.
func (e *Envelope) all() []Content {
	var list []Content
	var walk func([]Content)
	walk = func(content []Content) {
		for _, c := range content {
			list = append(list, c)
			if inner, ok := c.(*Collection); ok {
				walk(inner.Content)
			}
		}
	}
	walk(e.Content)
	return list
}
