package ovf

import "encoding/xml"

// Version is a revision of the format.
type Version int

// Versions, by the document that describes them.
const (
	VersionUnknown Version = iota
	Version09              // VMware's and XenSource's draft
	Version10              // DSP0243 1.0
	Version11              // DSP0243 1.1
	Version20              // DSP0243 2.0
	Version21              // DSP0243 2.1
)

// String is the number: "1.1".
func (v Version) String() string {
	switch v {
	case Version09:
		return "0.9"
	case Version10:
		return "1.0"
	case Version11:
		return "1.1"
	case Version20:
		return "2.0"
	case Version21:
		return "2.1"
	case VersionUnknown:
	}
	return "unknown"
}

// Envelope is a whole descriptor (DSP0243 1.1, 7).
type Envelope struct {
	Version  Version // by namespace and Declared; 1.1 when the document says only 1
	Declared string  // ovf:version as it stands there; oVirt puts its own version there
	Lang     string  // of texts that do not say another

	Files    []File    // the References
	Sections []Section // in the document's order
	Content  []Content // one, if the document is right
	Strings  []Strings // texts in other languages

	Attrs      []xml.Attr // of other namespaces, as vmw:buildId
	Extra      []Element  // in the envelope, that is none of the above
	ExtraFiles []Element  // in the References, that is no File

	problems []Finding // what was not right when it was read, for Check
}

// Text is a text for people, which may be there in several languages, or
// another value with its attributes.
type Text struct {
	Value string
	MsgID string     // what Strings call it; "" if it has one language
	Attrs []xml.Attr // of other namespaces
}

// Plain is a Text in one language.
func Plain(value string) Text { return Text{Value: value} }

// File is a file that the package has beside the descriptor (7.1).
type File struct {
	ID          string     `ovf:"id,attr"`
	Href        string     `ovf:"href,attr"` // a name beside the descriptor, or the URL of another place
	Size        *int64     `ovf:"size,attr"` // in the package, so after compression; nil if not said
	Compression string     `ovf:"compression,attr"`
	ChunkSize   *int64     `ovf:"chunkSize,attr"` // bytes in each of the files Href.000000000, …; nil if it is one file
	Attrs       []xml.Attr `ovf:",attrs"`
	Extra       []Element  `ovf:",extra"`
}

// Section is one of the *Section types of this package.
type Section interface {
	// Name is the name of the section's element.
	Name() xml.Name
	// Common is what all sections have. It may be changed.
	Common() *Head
}

// Head is what all sections have.
type Head struct {
	Info     Text       `ovf:"Info,always"`       // what the section is for
	Optional bool       `ovf:"required,attr,not"` // who does not understand it may go on
	Attrs    []xml.Attr `ovf:",attrs"`
	Extra    []Element  `ovf:",extra"`
}

// Common gives the head itself, for Section.
func (h *Head) Common() *Head { return h }

// UnknownSection is one that this package has no type for.
type UnknownSection struct {
	Base Head    // Info and Optional, to be read only
	Raw  Element // all of it
}

// Name is the name of its element.
func (s *UnknownSection) Name() xml.Name { return s.Raw.Name }

// Common is what it has in common with other sections. Changes are not written.
func (s *UnknownSection) Common() *Head { return &s.Base }

// Content is a *VirtualSystem or a *Collection.
type Content interface {
	// ContentID is its ovf:id, unique in the envelope.
	ContentID() string
	// ContentSections are its sections in order.
	ContentSections() []Section
}

// VirtualSystem is one machine (7.2).
type VirtualSystem struct {
	ID       string     `ovf:"id,attr"`
	Info     Text       `ovf:"Info,always"`
	Title    Text       `ovf:"Name"` // what people call it
	Sections []Section  // in the document's order
	Attrs    []xml.Attr `ovf:",attrs"`
	Extra    []Element  `ovf:",extra"`
}

// ContentID is its ID.
func (s *VirtualSystem) ContentID() string { return s.ID }

// ContentSections are its sections.
func (s *VirtualSystem) ContentSections() []Section { return s.Sections }

// Collection is machines, and collections, that belong together (7.2):
// VirtualSystemCollection.
type Collection struct {
	ID       string `ovf:"id,attr"`
	Info     Text   `ovf:"Info,always"`
	Title    Text   `ovf:"Name"`
	Sections []Section
	Content  []Content
	Attrs    []xml.Attr `ovf:",attrs"`
	Extra    []Element  `ovf:",extra"`
}

// ContentID is its ID.
func (c *Collection) ContentID() string { return c.ID }

// ContentSections are its sections.
func (c *Collection) ContentSections() []Section { return c.Sections }

// First finds the first section of a type; nil if there is none.
//
//	disks := ovf.First[*ovf.DiskSection](env.Sections)
func First[S Section](sections []Section) S {
	for s := range All[S](sections) {
		return s
	}
	var none S
	return none
}

// All goes through the sections of a type.
func All[S Section](sections []Section) func(func(S) bool) {
	return func(yield func(S) bool) {
		for _, s := range sections {
			if wanted, ok := s.(S); ok && !yield(wanted) {
				return
			}
		}
	}
}

// Systems lists all machines, also those in collections, in the document's
// order.
func (e *Envelope) Systems() []*VirtualSystem { return systemsOf(e.Content, nil) }

func systemsOf(content []Content, found []*VirtualSystem) []*VirtualSystem {
	for _, c := range content {
		switch c := c.(type) {
		case *VirtualSystem:
			found = append(found, c)
		case *Collection:
			found = systemsOf(c.Content, found)
		}
	}
	return found
}

// File finds a file by its ID; nil if there is none.
func (e *Envelope) File(id string) *File {
	for i := range e.Files {
		if e.Files[i].ID == id {
			return &e.Files[i]
		}
	}
	return nil
}

// Disks lists the disks of all disk sections.
func (e *Envelope) Disks() []Disk {
	var all []Disk
	for s := range All[*DiskSection](e.Sections) {
		all = append(all, s.Disks...)
	}
	for s := range All[*SharedDiskSection](e.Sections) {
		all = append(all, s.Disks...)
	}
	return all
}

// Disk finds a disk by its ID, also a shared one; nil if there is none. Changes
// to it do not change the envelope.
func (e *Envelope) Disk(id string) *Disk {
	for _, d := range e.Disks() {
		if d.ID == id {
			return &d
		}
	}
	return nil
}

// Networks lists the networks that the machines are connected to.
func (e *Envelope) Networks() []Network {
	var all []Network
	for s := range All[*NetworkSection](e.Sections) {
		all = append(all, s.Networks...)
	}
	return all
}
