package envelope

import (
	"encoding/xml"
	"errors"
	"fmt"
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
	r.deployments(env)
	if err := r.products(choices.Properties); err != nil {
		return nil, err
	}
	r.licences()
	if err := r.machines(); err != nil {
		return nil, err
	}
	r.name()
	for _, section := range sections[*ovf.UnknownSection](env) {
		if name := section.Name(); known(name) {
			r.notef(name.Local, "what it asks of the products of who wrote it is not done")
		}
	}
	for _, f := range ovf.Check(env) {
		if f.Severity != ovf.Note {
			r.notef("descriptor", "%s", strings.TrimPrefix(f.String(), f.Severity.String()+": "))
		}
	}
	return r.out, nil
}

// ofVMware are sections that vCenter marks as to be understood, and that say
// where in a cluster of its machines and disks are to be, or what VMware's own BIOS tries first.
var ofVMware = map[string]bool{
	"BootOrderSection": true, "IpAssignmentSection": true, "StorageGroupSection": true, "StorageSection": true,
	"TagBasedPlacementGroupSection": true, "TagBasedPlacementSection": true, "vServiceDependencySection": true, "VirtualDeviceGroupSection": true,
}

// known tells whether a section says nothing that another product needs to know.
func known(name xml.Name) bool {
	return name.Space == ovf.NSVMware && ofVMware[name.Local] || name.Local == "GanetiSection"
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
