package ovf

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Check says what is not right in an envelope: what could not be read as it
// should when it was parsed, and what breaks the rules of the standard (DSP0243
// 1.1 and 2.1, and their schemas DSP8023): IDs, references, places, required
// attributes, values. At most 1,000 findings are given.
func Check(env *Envelope) []Finding {
	c := newChecker(env)
	c.files()
	c.disks()
	c.networks()
	c.configurations()
	c.sections(env.Sections, atEnvelope)
	switch {
	case len(env.Content) == 0:
		c.find(Error, "", "there is no machine: neither a VirtualSystem nor a VirtualSystemCollection")
	case len(env.Content) > 1:
		c.find(Error, "", "there are %d machines or collections where one may be; several belong in a collection", len(env.Content))
	}
	for _, content := range env.Content {
		c.content(content, "")
	}
	c.strings()
	return c.findings
}

// checker collects what it finds in an envelope.
type checker struct {
	env      *Envelope
	findings []Finding
	ids      map[string]bool // of machines and collections, as they are met

	fileIDs, diskIDs, networkNames, optionIDs map[string]bool // what there is, to be referred to
}

func newChecker(env *Envelope) *checker {
	c := &checker{
		env: env, findings: slices.Clone(env.problems), ids: map[string]bool{},
		fileIDs: map[string]bool{}, diskIDs: map[string]bool{}, networkNames: map[string]bool{}, optionIDs: map[string]bool{},
	}
	for _, f := range env.Files {
		c.fileIDs[f.ID] = true
	}
	for _, d := range env.Disks() {
		c.diskIDs[d.ID] = true
	}
	for _, n := range env.Networks() {
		c.networkNames[n.ID] = true
	}
	for _, o := range env.Configurations() {
		c.optionIDs[o.ID] = true
	}
	return c
}

func (c *checker) find(severity Severity, where, text string, args ...any) {
	if len(c.findings) < maxFindings {
		c.findings = append(c.findings, Finding{severity, where, fmt.Sprintf(text, args...)})
	}
}

// unique tells of names that are missing or there twice.
func (c *checker) unique(seen map[string]bool, where, attribute, value string) {
	switch {
	case strings.TrimSpace(value) == "":
		c.find(Error, where, "it has no %s", attribute)
	case seen[value]:
		c.find(Error, where, "there are two with the %s %.60q", attribute, value)
	}
	seen[value] = true
}

// files checks the References.
func (c *checker) files() {
	ids, names := map[string]bool{}, map[string]bool{}
	for _, f := range c.env.Files {
		where := "References/File " + short(f.ID)
		c.unique(ids, where, "id", f.ID)
		c.unique(names, where, "href", f.Href)
		if why := f.outside(); why != "" {
			c.find(Error, where, "its name %.80q %s", f.Href, why)
		}
		if f.IsRemote() {
			c.find(Note, where, "it is not in the package but at %.80q", f.Href)
		}
		if f.Size != nil && *f.Size == 0 {
			c.find(Warning, where, "its size is 0")
		}
		switch f.Compression {
		case "", "identity", "gzip", "bzip2":
		default:
			c.find(Error, where, "its compression is %.40q; the standard has gzip, bzip2 and identity", f.Compression)
		}
		if f.ChunkSize != nil && *f.ChunkSize == 0 {
			c.find(Error, where, "its chunks have no bytes")
		}
	}
}

// IsRemote tells whether a file is not in the package but at a URL.
func (f *File) IsRemote() bool {
	u, err := url.Parse(f.Href)
	return err == nil && len(u.Scheme) > 1 && !strings.EqualFold(u.Scheme, "ovf") // one letter is a drive
}

// outside says why a name leads out of the package; "" if it does not.
func (f *File) outside() string {
	name := strings.ReplaceAll(f.Href, `\`, "/")
	switch {
	case f.IsRemote():
		if strings.HasPrefix(strings.ToLower(f.Href), "file:") {
			return "is a place on this computer"
		}
		return ""
	case path.IsAbs(name) || len(name) > 1 && name[1] == ':':
		return "is absolute"
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "leads out of the package"
	}
	return ""
}

// Names lists the files that it consists of in the package, with the sizes that
// they must have: itself, or its chunks (DSP0243 1.1, 7.1). Sizes are -1 if
// they are not known; then of the chunks only the first is listed. ok is false
// when there are more than a million chunks.
func (f *File) Names() (names []string, sizes []int64, ok bool) {
	size := int64(-1)
	if f.Size != nil {
		size = *f.Size
	}
	if f.ChunkSize == nil || *f.ChunkSize <= 0 {
		return []string{f.Href}, []int64{size}, true
	}
	if size < 0 {
		return []string{chunkName(f.Href, 0)}, []int64{-1}, true
	}
	if (size-1) / *f.ChunkSize >= 1<<20 {
		return nil, nil, false
	}
	for left := size; left > 0 || len(names) == 0; left -= *f.ChunkSize {
		names = append(names, chunkName(f.Href, len(names)))
		sizes = append(sizes, min(left, *f.ChunkSize))
	}
	return names, sizes, true
}

func chunkName(href string, n int) string { return fmt.Sprintf("%s.%09d", href, n) }

// fileRef checks that a reference leads to a file.
func (c *checker) fileRef(where, id string) {
	if id != "" && !c.fileIDs[id] {
		c.find(Error, where, "it refers to the file %.60q, which the References do not have", id)
	}
}

// networks checks the networks' names.
func (c *checker) networks() {
	names := map[string]bool{}
	for _, n := range c.env.Networks() {
		c.unique(names, "NetworkSection/Network "+short(n.ID), "name", n.ID)
	}
}

// configurations checks the deployment options.
func (c *checker) configurations() {
	ids, defaults := map[string]bool{}, 0
	for _, o := range c.env.Configurations() {
		c.unique(ids, "DeploymentOptionSection/Configuration "+short(o.ID), "id", o.ID)
		if o.Default {
			defaults++
		}
	}
	if defaults > 1 {
		c.find(Error, "DeploymentOptionSection", "%d configurations are the default", defaults)
	}
}

// configured checks that configurations that something is for exist.
func (c *checker) configured(where string, names []string) {
	for _, name := range names {
		if name != "" && !c.optionIDs[name] {
			c.find(Error, where, "it is for the configuration %.60q, which the DeploymentOptionSection does not have", name)
		}
	}
}

// content checks a machine or a collection.
func (c *checker) content(content Content, above string) {
	kind, at := "VirtualSystem", atSystem
	collection, isCollection := content.(*Collection)
	if isCollection {
		kind, at = "VirtualSystemCollection", atCollection
	}
	where := above + kind + " " + short(content.ContentID())
	c.unique(c.ids, where, "id", content.ContentID())
	c.sectionsAt(content.ContentSections(), at, where+"/")
	c.properties(content.ContentSections(), where+"/")
	if !isCollection {
		c.machine(content.(*VirtualSystem), where)
		return
	}
	c.startup(collection, where+"/StartupSection")
	for _, inner := range collection.Content {
		c.content(inner, where+"/")
	}
}

// machine checks the hardware of a machine.
func (c *checker) machine(s *VirtualSystem, where string) {
	n := 0
	for h := range All[*VirtualHardwareSection](s.Sections) {
		c.hardware(h, where+"/VirtualHardwareSection")
		n++
	}
	if n == 0 {
		c.find(Warning, where, "it has no VirtualHardwareSection")
	}
	if n > 1 {
		c.find(Note, where, "it has %d VirtualHardwareSections to choose from", n)
	}
}

// startup checks the order of starting a collection.
func (c *checker) startup(collection *Collection, where string) {
	members := map[string]bool{}
	for _, m := range collection.Content {
		members[m.ContentID()] = true
	}
	for s := range All[*StartupSection](collection.Sections) {
		seen := map[string]bool{}
		for _, item := range s.Items {
			where := where + "/Item " + short(item.ID)
			c.unique(seen, where, "id", item.ID)
			if !members[item.ID] {
				c.find(Error, where, "it is about a member that the collection does not have")
			}
			if !slices.Contains([]string{"", "powerOn", "none"}, item.StartAction) {
				c.find(Warning, where, "its startAction is %.40q; the standard has powerOn and none", item.StartAction)
			}
			if !slices.Contains([]string{"", "powerOff", "guestShutdown", "none"}, item.StopAction) {
				c.find(Warning, where, "its stopAction is %.40q; the standard has powerOff, guestShutdown and none", item.StopAction)
			}
		}
	}
}

// strings checks the texts in other languages.
func (c *checker) strings() {
	for _, s := range c.env.Strings {
		where := "Strings " + short(s.Lang)
		if s.Lang == "" && s.FileRef == "" {
			c.find(Note, where, "it does not say its language, xml:lang")
		}
		if s.FileRef != "" && !c.fileIDs[s.FileRef] {
			c.find(Warning, where, "its texts are in the file %.60q, which the References do not have", s.FileRef)
		}
		seen := map[string]bool{}
		for _, m := range s.Messages {
			c.unique(seen, where+"/Msg "+short(m.MsgID), "msgid", m.MsgID)
		}
	}
}

func short(s string) string { return fmt.Sprintf("%.60s", s) }
