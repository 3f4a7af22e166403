package ovf

import "strings"

// place is where a section stands.
type place int

const (
	atEnvelope place = 1 << iota
	atSystem
	atCollection
)

// placesOf is where a section may stand (DSP0243 1.1, table 4; 2.1, table 6).
func placesOf(s Section) place {
	switch s.(type) {
	case *DiskSection, *SharedDiskSection, *NetworkSection, *DeploymentOptionSection, *PlacementGroupSection:
		return atEnvelope
	case *VirtualHardwareSection, *OperatingSystemSection, *InstallSection:
		return atSystem
	case *ResourceAllocationSection, *StartupSection:
		return atCollection
	case *ProductSection, *EulaSection, *AnnotationSection, *BootDeviceSection, *EnvironmentFilesSection, *ScaleOutSection, *PlacementSection:
		return atSystem | atCollection
	}
	return atEnvelope | atSystem | atCollection
}

// mayRepeat tells whether there may be several sections of a type.
func mayRepeat(s Section) bool {
	switch s.(type) {
	case *ProductSection, *EulaSection, *VirtualHardwareSection, *UnknownSection, *PlacementGroupSection, *PlacementSection, *ScaleOutSection:
		return true
	}
	return false
}

func (c *checker) sections(sections []Section, at place) { c.sectionsAt(sections, at, "") }

// sectionsAt checks what all sections have in common.
func (c *checker) sectionsAt(sections []Section, at place, above string) {
	seen := map[string]bool{}
	for _, s := range sections {
		name := s.Name().Local
		where := above + short(name)
		if placesOf(s)&at == 0 {
			c.find(misplaced(s), where, "this section may not stand here")
		}
		if seen[name] && !mayRepeat(s) {
			c.find(Warning, where, "there are two of this section")
		}
		seen[name] = true
		c.section(s, where)
	}
}

// misplaced is how bad it is that a section stands in the wrong place: what is
// only to be read is found there too.
func misplaced(s Section) Severity {
	switch s.(type) {
	case *ProductSection, *EulaSection, *AnnotationSection:
		return Warning
	}
	return Error
}

// section checks one section by itself.
func (c *checker) section(s Section, where string) {
	switch s := s.(type) {
	case *UnknownSection:
		if !s.Base.Optional && !isEncryption(s) {
			c.find(Error, where, "this section is required, and not known (namespace %.100q)", s.Raw.Name.Space)
		}
	case *OperatingSystemSection:
		if s.ID == nil {
			c.find(Note, where, "it has no id")
		}
	case *EulaSection:
		c.fileRef(where, s.FileRef)
		if strings.TrimSpace(s.License.Value) == "" && s.License.MsgID == "" && s.FileRef == "" {
			c.find(Warning, where, "it has no licence")
		}
	case *EnvironmentFilesSection:
		for _, f := range s.Files {
			c.fileRef(where, f.FileRef)
		}
	case *ResourceAllocationSection:
		c.items(s.Items, where)
	case *StartupSection, *ProductSection, *VirtualHardwareSection: // by whom they belong to
	}
}
