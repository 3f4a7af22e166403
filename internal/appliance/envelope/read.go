package envelope

import (
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/ovf"
)

// Read reads what a descriptor describes, in the configuration that the
// choices name.
func Read(env *ovf.Envelope, choices appliance.Choices) (*appliance.Appliance, error) {
	if err := understood(env); err != nil {
		return nil, err
	}
	chosen, err := env.Choose(choices.Deployment)
	if err != nil {
		return nil, err
	}
	r := &reader{env: chosen, text: env.Localizer(choices.Locale)}
	r.out = &appliance.Appliance{Kind: appliance.KindOVF, Producer: producer(env), Deployment: choices.Deployment}
	if r.out.Deployment == "" {
		r.out.Deployment = env.DefaultConfiguration()
	}
	if err := r.index(); err != nil {
		return nil, err
	}
	r.deployments(env)
	if err := r.products(choices.Properties); err != nil {
		return nil, err
	}
	r.licences()
	if err := r.machines(); err != nil {
		return nil, err
	}
	r.name()
	r.unknownSections(env)
	r.commonSections(env)
	r.rest()
	r.findings(env)
	return r.out, nil
}

// index finds files and disks by their IDs. A descriptor in which one ID means
// two of them is refused: which one a machine would get is not what its reader
// has looked at.
func (r *reader) index() error {
	r.files, r.disks = map[string]*ovf.File{}, map[string]*ovf.Disk{}
	for i := range r.env.Files {
		f := &r.env.Files[i]
		if other := r.files[f.ID]; other != nil && other.Href != f.Href {
			return fmt.Errorf("there are two files with the id %s, %q and %q", f.ID, other.Href, f.Href)
		}
		r.files[f.ID] = f
	}
	for _, d := range slices.Backward(r.env.Disks()) { // the first one counts
		if other := r.disks[d.ID]; other != nil && other.FileRef != d.FileRef {
			return fmt.Errorf("there are two disks with the diskId %s, of the files %q and %q", d.ID, d.FileRef, other.FileRef)
		}
		r.disks[d.ID] = &d
	}
	return nil
}

// ofVMware are sections that vCenter marks as to be understood, and that say
// where in a cluster of its machines and disks are to be, which hosts of the cluster have the
// CPU for them, or what VMware's own BIOS tries first.
var ofVMware = map[string]bool{
	"BootOrderSection": true, "IpAssignmentSection": true, "StorageGroupSection": true, "StorageSection": true,
	"TagBasedPlacementGroupSection": true, "TagBasedPlacementSection": true, "vServiceDependencySection": true, "VirtualDeviceGroupSection": true,
}

// known tells whether a section says nothing that another product needs to know.
func known(name xml.Name) bool {
	switch name.Local {
	case "GanetiSection":
		return true
	case "EncryptionSection": // who reads the content decrypts it
		return strings.HasPrefix(name.Space, "http://schemas.dmtf.org/ovf/")
	case "CpuCompatibilitySection": // the drafts of OVF had it too
		return name.Space == ovf.NSVMware || strings.HasPrefix(name.Space, "http://schemas.dmtf.org/ovf/")
	}
	return name.Space == ovf.NSVMware && ofVMware[name.Local]
}

// understood refuses a section that must be understood and is not.
func understood(env *ovf.Envelope) error {
	lists := [][]ovf.Section{env.Sections}
	var descend func([]ovf.Content)
	descend = func(content []ovf.Content) {
		for _, c := range content {
			lists = append(lists, c.ContentSections())
			if inner, ok := c.(*ovf.Collection); ok {
				descend(inner.Content)
			}
		}
	}
	descend(env.Content)
	for _, sections := range lists {
		for section := range ovf.All[*ovf.UnknownSection](sections) {
			name := section.Name()
			if !section.Base.Optional && !known(name) {
				return fmt.Errorf("the section %s of %s must be understood by who imports it, and is not", name.Local, name.Space)
			}
		}
	}
	return nil
}

// told is what is said of sections that are known, and ask for what there is not.
var told = map[string]string{
	"IpAssignmentSection":       "addresses are not given out by vCenter's pools here; where the guest asks for one, --property says it",
	"vServiceDependencySection": "services of vCenter's, which it depends on, cannot be had",
	"GuestCustomizationSection": "the guest is not customized: name, password and licence stay as they are in it",
	"NetworkConfigSection":      "networks are not made from it; --network says what adapters are connected to",
	"NetworkConnectionSection":  "addresses that it gives to adapters are not given to the guest",
}

// unknownSections tells of sections that are not part of the standard, once
// for each name.
func (r *reader) unknownSections(env *ovf.Envelope) {
	seen := map[xml.Name]bool{}
	for _, section := range sections[*ovf.UnknownSection](env) {
		name := section.Name()
		if seen[name] || readElsewhere[name] {
			continue
		}
		seen[name] = true
		switch text := told[name.Local]; {
		case text != "":
			r.notef(name.Local, "%s", text)
		case known(name):
			r.notef(name.Local, "what it asks of the products of who wrote it is not done")
		default:
			r.notef(name.Local, "it is not part of the standard, and what it asks for is not done")
		}
	}
}

// readElsewhere are sections outside the standard that are read.
var readElsewhere = map[xml.Name]bool{
	{Space: ovf.NSVMware, Local: "BootOrderSection"}: true,
	ownSection: true,
	{Space: ovf.NSVirtualBox, Local: "Machine"}:          true,
	{Space: ovf.NSEnvelope, Local: "EncryptionSection"}:  true,
	{Space: ovf.NSEnvelope2, Local: "EncryptionSection"}: true,
}

// commonSections tells of sections of the standard, outside machines and in them, that ask
// for what there is not.
func (r *reader) commonSections(env *ovf.Envelope) {
	for range sections[*ovf.SharedDiskSection](env) {
		r.notef("shared disks", "each machine gets a copy of its own of a disk that they would share")
		break
	}
	for range sections[*ovf.ResourceAllocationSection](env) {
		r.notef("resources", "reservations and limits of collections are not taken over")
		break
	}
	for _, s := range sections[*ovf.ScaleOutSection](env) {
		for _, c := range s.Counts {
			if count := strings.TrimSpace(c.Default); count != "1" {
				r.notef("ScaleOutSection", "%s machines are to be made of %s; one is made, which clones can be made of", first(count, "several"), first(s.ID, "each"))
			}
		}
	}
	for id, s := range sections[*ovf.PlacementGroupSection](env) {
		r.notef("PlacementGroupSection", "that machines are to be near each other or far (%s) is not kept to", first(s.Policy, s.ID, id))
	}
	for _, s := range sections[*ovf.NetworkSection](env) {
		for _, n := range s.Networks {
			if len(n.Profiles)+len(n.ProfileURIs) > 0 {
				r.notef("network "+n.ID, "what its ports are to be like is not kept to")
			}
		}
	}
	for _, s := range sections[*ovf.StartupSection](env) {
		for _, i := range s.Items {
			if i.StopDelay > 0 {
				r.notef("start order", "machines are stopped one after the other by the user; the delays of stopping are not taken over")
				return
			}
		}
	}
}

// producer is the program that wrote the descriptor, as far as it can be told.
func producer(env *ovf.Envelope) string {
	version := "OVF " + env.Version.String()
	for _, a := range env.Attrs {
		if a.Name.Space == ovf.NSVMware && a.Name.Local == "buildId" {
			return "VMware " + a.Value + ", " + version
		}
	}
	for _, s := range env.Systems() {
		if s.VirtualBoxMachine() != nil {
			return "VirtualBox, " + version
		}
		if hw := ovf.First[*ovf.VirtualHardwareSection](s.Sections); hw != nil {
			if families := hw.SystemTypes(); len(families) > 0 {
				return families[0] + ", " + version
			}
		}
	}
	return version
}

// reader reads one descriptor.
type reader struct {
	env    *ovf.Envelope // with what the chosen configuration has
	text   ovf.Localizer
	out    *appliance.Appliance
	values map[string]string // of properties, for what refers to them
	files  map[string]*ovf.File
	disks  map[string]*ovf.Disk
}

func (r *reader) notef(subject, format string, args ...any) {
	r.out.Notes = append(r.out.Notes, appliance.Notef(subject, format, args...))
}

func (r *reader) deployments(env *ovf.Envelope) {
	for _, c := range env.Configurations() {
		r.out.Deployments = append(r.out.Deployments, appliance.Deployment{
			ID: c.ID, Label: r.text.Text(c.Label), Description: r.text.Text(c.Description), Default: c.ID == env.DefaultConfiguration(),
		})
	}
}

// machines reads all machines, in the order in which they start.
func (r *reader) machines() error {
	for order, step := range r.env.StartOrder() {
		for _, start := range step {
			m, err := r.machine(start.System)
			if err != nil {
				return fmt.Errorf("machine %s: %w", start.System.ID, err)
			}
			m.Start = appliance.Start{
				Order: order, Delay: start.Delay, WaitGuest: start.WaitingForGuest, NoStart: start.StartAction == "none", StopAction: start.StopAction,
			}
			r.out.Machines = append(r.out.Machines, m)
		}
	}
	if len(r.out.Machines) == 0 {
		return errors.New("it describes no machine")
	}
	if len(r.out.Machines) == 1 {
		r.out.Machines[0].Start = appliance.Start{}
	}
	return nil
}

// name names the whole.
func (r *reader) name() {
	r.out.Name = r.out.Machines[0].Spec.Name
	for _, content := range r.env.Content {
		if c, ok := content.(*ovf.Collection); ok {
			r.out.Name = appliance.CleanName(first(r.text.Text(c.Title), c.ID))
		}
	}
}

// first is the first text that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t = strings.TrimSpace(t); t != "" {
			return t
		}
	}
	return ""
}
