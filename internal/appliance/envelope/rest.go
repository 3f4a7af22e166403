package envelope

import (
	"encoding/xml"
	"reflect"
	"strconv"
	"strings"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/vmx"
	"github.com/panalvm/panal/ovf"
)

// rest tells what the descriptor says of the appliance as a whole and nothing here follows.
func (r *reader) rest() {
	settings := leftovers("Envelope", r.env.Attrs, r.env.Extra)
	settings = append(settings, leftovers("References", nil, r.env.ExtraFiles)...)
	settings = append(settings, collect("References/File", r.env.Files)...)
	settings = append(settings, ofSections(r.env.Sections)...)
	var descend func([]ovf.Content)
	descend = func(content []ovf.Content) {
		for _, c := range content {
			if inner, ok := c.(*ovf.Collection); ok {
				settings = append(settings, leftovers("VirtualSystemCollection", inner.Attrs, inner.Extra)...)
				settings = append(settings, ofSections(inner.Sections)...)
				descend(inner.Content)
			}
		}
	}
	descend(r.env.Content)
	r.out.Notes = append(r.out.Notes, appliance.Tell(settings, settingRules())...)
}

// rest tells what the descriptor says of the machine and nothing here follows.
func (b *builder) rest(system *ovf.VirtualSystem) {
	settings := leftovers("VirtualSystem", system.Attrs, without(system.Extra, ovf.NSVirtualBox, "Machine"))
	settings = append(settings, ofSections(system.Sections)...)
	more := -1
	for range ovf.All[*ovf.VirtualHardwareSection](system.Sections) {
		more++
	}
	if more > 0 {
		b.notef("virtual hardware", "there are %d other descriptions of it to choose from; the first is taken", more)
	}
	for i := range b.hardware.Items {
		item := &b.hardware.Items[i]
		if item.Bound == "" || item.Bound == "normal" {
			settings = append(settings, ofItem(item)...)
		}
	}
	for name, value := range ovf.XenConfig(b.hardware.Extra) {
		settings = append(settings, appliance.Setting{Key: "xen:" + name, Value: value})
	}
	b.Rest(settings, settingRules())
}

// without is elements but those of a name.
func without(list []ovf.Element, space, local string) []ovf.Element {
	var rest []ovf.Element
	for _, e := range list {
		if e.Name != (xml.Name{Space: space, Local: local}) {
			rest = append(rest, e)
		}
	}
	return rest
}

// ofSections lists what stands in sections and is read by nobody. Sections that
// are not known as a whole are told where they are found, and hardware's items by
// those who know what they are.
func ofSections(sections []ovf.Section) []appliance.Setting {
	var settings []appliance.Setting
	for _, s := range sections {
		switch s := s.(type) {
		case *ovf.UnknownSection:
		case *ovf.VirtualHardwareSection:
			settings = append(settings, leftovers("VirtualHardwareSection", s.Attrs, without(s.Extra, ownElement.Space, ownElement.Local))...)
			if s.System != nil {
				settings = append(settings, collect("System", s.System)...)
			}
		default:
			settings = append(settings, collect(s.Name().Local, s)...)
		}
	}
	return settings
}

// ofItem lists what an item says besides what it is.
func ofItem(item *ovf.Item) []appliance.Setting {
	at := "Item/" + strconv.Itoa(int(item.ResourceType))
	settings := collect(at, item)
	v := reflect.ValueOf(*item)
	for _, f := range reflect.VisibleFields(v.Type()) {
		tag, _, isField := strings.Cut(f.Tag.Get("ovf"), ",cim")
		if !isField {
			continue
		}
		value := ""
		switch field := v.FieldByIndex(f.Index).Interface().(type) {
		case string:
			value = field
		case ovf.Text:
			value = field.Value
		case []ovf.Text:
			for _, t := range field {
				value += t.Value + " "
			}
		}
		if value = strings.TrimSpace(value); value != "" {
			settings = append(settings, appliance.Setting{Key: at + "/" + tag, Value: value})
		}
	}
	return settings
}

// collect lists the attributes and elements in a part of the model that have no
// field there, at any depth.
func collect(at string, part any) []appliance.Setting {
	var settings []appliance.Setting
	gather(at, reflect.ValueOf(part), &settings)
	return settings
}

func gather(at string, v reflect.Value, to *[]appliance.Setting) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			gather(at, v.Elem(), to)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Struct {
			return
		}
		for i := range v.Len() {
			gather(at, v.Index(i), to)
		}
	case reflect.Struct:
		gatherFields(at, v, to)
	default:
	}
}

func gatherFields(at string, v reflect.Value, to *[]appliance.Setting) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		switch field := v.Field(i).Interface().(type) {
		case []xml.Attr:
			*to = append(*to, leftovers(at, field, nil)...)
		case []ovf.Element:
			*to = append(*to, leftovers(at, nil, field)...)
		case map[string][]xml.Attr:
			for name, attrs := range field {
				*to = append(*to, leftovers(at+"/"+name, attrs, nil)...)
			}
		default:
			name, _, _ := strings.Cut(f.Tag.Get("ovf"), ",")
			if name != "" {
				name = "/" + name
			}
			gather(at+name, v.Field(i), to)
		}
	}
}

// leftovers lists attributes and elements. VMware's settings are listed by their keys:
// "config:KEY" at the hardware, with the item's place before it at an item,
// and as "vmx:KEY" where they are lines of a .vmx.
func leftovers(at string, attrs []xml.Attr, elements []ovf.Element) []appliance.Setting {
	var settings []appliance.Setting
	for _, a := range attrs {
		if a.Name == (xml.Name{Space: ovf.NSEnvelope, Local: "required"}) {
			continue // whether it must be understood; what it is stands beside it
		}
		settings = append(settings, appliance.Setting{Key: at + "@" + qualified(a.Name), Value: a.Value})
	}
	for _, e := range elements {
		if e.IsText() || e.Name.Local == "VirtualSystemOtherConfigurationData" && e.Name.Space == ovf.NSXenServer {
			continue
		}
		if config := ovf.Configs([]ovf.Element{e}); config != nil && config[0].Key != "" {
			place := strings.TrimPrefix(at, "VirtualHardwareSection") + "/config:"
			if config[0].Extra {
				place = "/vmx:"
			}
			settings = append(settings, appliance.Setting{Key: strings.TrimPrefix(place, "/") + config[0].Key, Value: config[0].Value})
			continue
		}
		inner := leftovers(at+"/"+qualified(e.Name), e.Attrs, e.Children)
		if text := strings.TrimSpace(e.Content()); text != "" || len(inner) == 0 {
			inner = append(inner, appliance.Setting{Key: at + "/" + qualified(e.Name), Value: text})
		}
		settings = append(settings, inner...)
	}
	return settings
}

// qualified is a name with the prefix that people know its namespace by.
func qualified(name xml.Name) string {
	switch name.Space {
	case ovf.NSVMware:
		return "vmw:" + name.Local
	case ovf.NSVirtualBox:
		return "vbox:" + name.Local
	case ovf.NSXenServer:
		return "xenovf:" + name.Local
	case ovf.NSXML:
		return "xml:" + name.Local
	}
	return name.Local
}

// settingRules are the rules of OVF, with those of VMware's own files for the lines
// of them that a descriptor has.
func settingRules() appliance.Rules {
	rules := append(appliance.Rules{}, ownRules...)
	for _, rule := range vmx.Rules() {
		rule.Key = "vmx:" + rule.Key
		rules = append(rules, rule)
	}
	return rules
}
