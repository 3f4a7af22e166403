package vbox

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/machine"
)

// Read reads the machine of a .vbox file.
func Read(files fs.FS, name string) (*appliance.Appliance, error) {
	data, err := appliance.ReadDescription(files, name)
	if err != nil {
		return nil, err
	}
	var doc document
	if err := appliance.DecodeXML(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if doc.Machine == nil {
		return nil, fmt.Errorf("%s: it holds no machine: it is the settings of VirtualBox itself, or encrypted", name)
	}
	media, err := register(files, path.Dir(name), doc.Machine)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m, err := present(doc.Machine, media, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &appliance.Appliance{
		Kind: appliance.KindVirtualBox, Producer: "VirtualBox, settings version " + doc.Version,
		Name: m.Spec.Name, Machines: []appliance.Machine{m},
	}, nil
}

// present reads the machine as it is now, and its snapshots.
func present(node *machineNode, media registry, data []byte) (appliance.Machine, error) {
	r := newReader(node, media)
	if err := r.read(node.Hardware, node.Controllers); err != nil {
		return appliance.Machine{}, err
	}
	if node.Encryption != "" {
		r.Notef("encryption", "the machine is encrypted; what its disks hold cannot be read without VirtualBox")
	}
	if err := rest(r.Builder, data, root{}, "Machine", rules); err != nil {
		return appliance.Machine{}, err
	}
	if node.StateFile != "" {
		r.Notef("saved state", "%s is not taken over; the machine starts from its disks as if the power had failed", node.StateFile)
	}
	m := r.Finish()
	if node.Snapshot == nil {
		return m, nil
	}
	m.Current = bare(node.CurrentSnapshot)
	if err := tree(&m, node, media, node.Snapshot, "", 0); err != nil {
		return m, err
	}
	_, err := appliance.ParentsFirst(m.Snapshots)
	return m, err
}

// Platform reads what a vbox:Machine element of an OVF descriptor says about
// firmware, chipset, clock and TPM, which the descriptor says nowhere else.
func Platform(element []byte, b *appliance.Builder) error {
	var node struct {
		Hardware hardware `xml:"Hardware"`
	}
	if err := appliance.DecodeXML(element, &node); err != nil {
		return fmt.Errorf("vbox:Machine: %w", err)
	}
	r := &reader{Builder: b}
	r.platform(node.Hardware)
	return nil
}

// maxDepth bounds the depth of the tree of snapshots; VirtualBox's own bound is 250.
const maxDepth = 1000

// tree adds a snapshot and those that stand on it.
func tree(m *appliance.Machine, node *machineNode, media registry, s *snapshot, parent string, depth int) error {
	if depth > maxDepth {
		return errors.New("its snapshots are nested deeper than there can be")
	}
	r := newReader(node, media)
	if err := r.read(s.Hardware, s.Controllers); err != nil {
		return fmt.Errorf("snapshot %q: %w", s.Name, err)
	}
	then := r.Finish()
	taken, err := time.Parse(time.RFC3339, s.Taken)
	if err != nil {
		taken = time.Time{}
	}
	for _, note := range then.Notes {
		if !slices.Contains(m.Notes, note) {
			note.Subject += " in snapshot " + s.Name
			m.Notes = append(m.Notes, note)
		}
	}
	m.Snapshots = append(m.Snapshots, appliance.Snapshot{
		ID: bare(s.UUID), Parent: parent, Name: s.Name, Description: s.Description, Taken: taken.UTC(),
		Spec: then.Spec, Disks: then.Disks, Memory: s.StateFile,
	})
	for i := range s.Children {
		if err := tree(m, node, media, &s.Children[i], bare(s.UUID), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// bare is a UUID without its braces.
func bare(uuid string) string { return strings.ToLower(strings.Trim(uuid, "{}")) }

// reader turns hardware into a machine.
type reader struct {
	*appliance.Builder
	media registry
}

func newReader(node *machineNode, media registry) *reader {
	r := &reader{appliance.NewBuilder(bare(node.UUID)), media}
	r.Name(node.Name)
	s := r.Spec()
	s.UUID = bare(node.UUID)
	s.Description = appliance.CleanText(node.Description)
	r.System(node.OSType)
	return r
}

func (r *reader) read(h hardware, controllers []controller) error {
	if err := r.processors(h); err != nil {
		return err
	}
	r.platform(h)
	for _, c := range append(controllers, h.Controllers...) {
		if err := r.controller(c); err != nil {
			return err
		}
	}
	for _, a := range h.Adapters {
		if isOn(a.Enabled) {
			r.adapter(a)
		}
	}
	r.ports(h)
	r.others(h)
	r.bootOrder(h)
	return nil
}

func isOn(flag string) bool { return flag == "true" || flag == "1" }

func (r *reader) processors(h hardware) error {
	count := max(h.CPU.Count, 1)
	memory := h.Memory.MiB
	if memory == 0 {
		memory = 128
	}
	if count > 4096 || memory < 0 || memory > 64<<20 {
		return fmt.Errorf("%d CPUs and %d MiB of memory are no hardware", count, memory)
	}
	r.CPUs(count, 0)
	r.Spec().Memory.Size = api.Size(memory) * api.MiB
	switch limit := h.CPU.Cap; {
	case limit > 0 && limit < 100:
		r.Spec().CPU.Cap = limit
	case limit != 0 && limit != 100:
		r.Notef("CPU", "the execution cap of %d %% is none", limit)
	}
	return nil
}

// platform reads chipset, firmware, clock, TPM and screen.
func (r *reader) platform(h hardware) {
	s := r.Spec()
	if strings.EqualFold(h.Platform.Architecture, "ARM") {
		s.Architecture = api.AArch64
	}
	if h.Chipset.Type == "ICH9" || h.Platform.Chipset.Type == "ICH9" {
		r.Board(machine.BoardQ35)
	}
	s.Firmware.Type = api.BIOS
	if strings.HasPrefix(h.Firmware.Type, "EFI") {
		r.UEFI(isOn(h.BIOS.SecureBoot.Enabled))
	}
	if h.TPM != nil && h.TPM.Type != "None" && h.TPM.Type != "" {
		r.TPM(map[string]string{"v1_2": "1.2"}[h.TPM.Type])
	}
	if strings.EqualFold(h.Clock.LocalOrUTC, "local") || strings.EqualFold(h.Platform.Clock.LocalOrUTC, "local") || s.OS == "windows" {
		s.RTC.Base = "localtime"
	}
	if strings.HasPrefix(h.Display.Controller, "VMSVGA") || strings.HasPrefix(h.Display.Controller, "VBoxSVGA") {
		s.Display.Video = "vmware"
	}
	if s.Architecture != api.X8664 {
		s.Display.Video = ""
	}
}

// ports reads serial and parallel lines.
func (r *reader) ports(h hardware) {
	for _, p := range h.UART {
		if !isOn(p.Enabled) {
			continue
		}
		r.Serial()
		if p.Mode != "" && p.Mode != "Disconnected" {
			r.Notef(fmt.Sprintf("serial line %d", p.Slot), "it was connected to a %s of its host; here it is for `panal console`", p.Mode)
		}
	}
	for _, p := range h.LPT {
		if isOn(p.Enabled) {
			r.Notef(fmt.Sprintf("parallel port %d", p.Slot), "machines have none here")
		}
	}
}

// others notes what machines do not have here.
func (r *reader) others(h hardware) {
	if h.Audio != nil && isOn(h.Audio.Enabled) {
		r.Notef("sound card", "machines have none here")
	}
	for _, s := range h.Shared {
		r.Notef("shared folder "+s.Name, "folders are not shared with guests here")
	}
}
