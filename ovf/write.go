package ovf

import (
	"bufio"
	"encoding/xml"
	"io"
	"slices"
)

// Write writes an envelope as a descriptor of a version: 1.0, 1.1, 2.0 or 2.1,
// whatever version it was read from. What the version does not have is an
// *UnsupportedError, unless it may be left as an optional section: nothing is
// left out in silence. Whether the envelope itself is right, [Check] tells.
func Write(w io.Writer, env *Envelope, version Version) error {
	if version < Version10 || version > Version21 {
		return unsupported("OVF %s is not written; ask for 1.0, 1.1, 2.0 or 2.1", version)
	}
	if err := fits(env, version); err != nil {
		return err
	}
	root := (&encoder{plans: plans{}}).envelope(env, version)
	space := NSEnvelope
	if version >= Version20 {
		space = NSEnvelope2
	}
	out := bufio.NewWriter(w)
	if err := writeDocument(out, root, space); err != nil {
		return err
	}
	return out.Flush()
}

// envelope makes the root.
func (x *encoder) envelope(env *Envelope, version Version) Element {
	root := Element{Name: attrName("Envelope")}
	if version == Version10 || version >= Version20 {
		root.Attrs = append(root.Attrs, xml.Attr{Name: attrName("version"), Value: version.String()})
	}
	if env.Lang != "" {
		root.Attrs = append(root.Attrs, xml.Attr{Name: attrName("xml:lang"), Value: env.Lang})
	}
	root.Attrs = append(root.Attrs, env.Attrs...)
	references := struct {
		Files []File    `ovf:"File"`
		Extra []Element `ovf:",extra"`
	}{env.Files, env.ExtraFiles}
	root.Children = append(root.Children, x.element("References", "", &references))
	for _, s := range env.Sections {
		root.Children = append(root.Children, x.section(s, version))
	}
	for _, c := range env.Content {
		root.Children = append(root.Children, x.content(c, version))
	}
	for i := range env.Strings {
		root.Children = append(root.Children, x.element("Strings", "", &env.Strings[i]))
	}
	root.Children = append(root.Children, env.Extra...)
	return root
}

// content makes an element of a machine or collection: Info and Name, the
// sections, the members, and what is left.
func (x *encoder) content(c Content, version Version) Element {
	var e Element
	var extra int
	var members []Content
	switch c := c.(type) {
	case *VirtualSystem:
		e, extra = x.element("VirtualSystem", "", c), len(c.Extra)
	case *Collection:
		e, extra = x.element("VirtualSystemCollection", "", c), len(c.Extra)
		members = c.Content
	}
	var inner []Element
	for _, s := range c.ContentSections() {
		inner = append(inner, x.section(s, version))
	}
	for _, m := range members {
		inner = append(inner, x.content(m, version))
	}
	e.Children = slices.Insert(e.Children, len(e.Children)-extra, inner...)
	return e
}

// section makes an element of a section.
func (x *encoder) section(s Section, version Version) Element {
	switch s := s.(type) {
	case *UnknownSection:
		return s.Raw
	case *ProductSection:
		return x.product(s)
	case *VirtualHardwareSection:
		e := x.element("VirtualHardwareSection", nsSystem, s)
		arrange(&e, version)
		return e
	case *BootDeviceSection:
		e := x.element(s.Name().Local, nsBoot, s)
		inBootNamespace(e.Children)
		return later(e, version)
	}
	e := x.element(s.Name().Local, nsResource, s)
	inPortNamespace(e.Children)
	if since(s) > version {
		return later(e, version)
	}
	return e
}

// later puts what a version does not have yet in the namespace of the version
// that has.
func later(e Element, version Version) Element {
	if version >= Version20 {
		return e
	}
	e.Name.Space = NSEnvelope2
	return e
}

// inBootNamespace puts the sources of a boot order in the namespace of their
// own class.
func inBootNamespace(orders []Element) {
	for i := range orders {
		for j, source := range orders[i].Children {
			if source.Name.Local != "CIM_BootSourceSetting" {
				continue
			}
			orders[i].Children[j].Name.Space = nsBootSource
			for k := range source.Children {
				if source.Children[k].Name.Space == nsBoot {
					source.Children[k].Name.Space = nsBootSource
				}
			}
		}
	}
}

// inPortNamespace puts the items of networks' port profiles in the namespace of
// the class that they are of, though they are called Item.
func inPortNamespace(networks []Element) {
	for _, n := range networks {
		for _, profile := range n.Children {
			if profile.Name != attrName("NetworkPortProfile") {
				continue
			}
			for _, item := range profile.Children {
				for i := range item.Children {
					if item.Children[i].Name.Space == nsResource {
						item.Children[i].Name.Space = nsPort
					}
				}
			}
		}
	}
}

// arrange puts items in the order of the schema of OVF 2: items, then ports,
// then storage.
func arrange(e *Element, version Version) {
	if version < Version20 {
		return
	}
	rank := func(e Element) int {
		switch e.Name.Local {
		case "Info", "System":
			return 0
		case "Item":
			return 1
		case "EthernetPortItem":
			return 2
		case "StorageItem":
			return 3
		}
		return 4
	}
	slices.SortStableFunc(e.Children, func(a, b Element) int { return rank(a) - rank(b) })
}

// product makes an element of a product section, with a category where
// another heading begins.
func (x *encoder) product(s *ProductSection) Element {
	e := x.element("ProductSection", "", s)
	var children []Element
	heading, properties := Text{}, s.Properties
	for _, c := range e.Children {
		if c.Name == attrName("Property") && len(properties) > 0 {
			if !sameText(properties[0].Category, heading) {
				heading = properties[0].Category
				children = append(children, x.category(heading))
			}
			properties = properties[1:]
		}
		children = append(children, c)
	}
	e.Children = children
	return e
}

func (x *encoder) category(heading Text) Element {
	wrapped := struct {
		Category Text `ovf:"Category,always"`
	}{heading}
	return x.element("ProductSection", "", &wrapped).Children[0]
}

func sameText(a, b Text) bool {
	return a.Value == b.Value && a.MsgID == b.MsgID && slices.Equal(a.Attrs, b.Attrs)
}

// since is the version that a section appeared in.
func since(s Section) Version {
	switch s.(type) {
	case *SharedDiskSection, *EnvironmentFilesSection, *BootDeviceSection, *ScaleOutSection, *PlacementGroupSection, *PlacementSection:
		return Version20
	}
	return Version10
}

// fits tells what a version does not have.
func fits(env *Envelope, version Version) error {
	if version >= Version20 {
		return nil
	}
	for _, s := range env.Systems() {
		for hardware := range All[*VirtualHardwareSection](s.Sections) {
			for _, item := range hardware.Items {
				if item.Kind != ResourceItem {
					name, _ := item.Kind.element()
					return unsupported("machine %q has a %s (InstanceID %s), which OVF %s does not have; write 2.0, or make it an Item", s.ID, name, item.InstanceID, version)
				}
			}
		}
	}
	return nil
}
