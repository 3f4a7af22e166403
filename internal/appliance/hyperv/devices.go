package hyperv

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
)

// kind is what a device is.
type kind int

// The kinds of devices that become something here, or are noted.
const (
	kindOther kind = iota
	kindIDE
	kindSCSI
	kindFloppy
	kindSynthetic // network adapter
	kindLegacy    // network adapter
	kindSerial
)

// kinds are devices by the GUID of their kind.
var kinds = map[string]kind{
	"83f8638b-8dca-4152-9eda-2ca8b33039b4": kindIDE,
	"d422512d-2bf2-4752-809d-7b82b5fcb1b4": kindSCSI,
	"8f0d2762-0b00-4e04-af4f-19010527cb93": kindFloppy,
	"8e3a359f-559a-4b6a-98a9-1690a6100ed7": kindSerial,
}

// without are words in the names of devices that machines do not have here and
// that somebody may miss. Everything else that Hyper-V adds to each machine
// (integration services, chipset, video, keyboard) has its counterpart, or is
// of no use without Hyper-V.
var without = []string{"fibre channel", "3d", "remotefx", "gpu", "pci express", "virtual pci", "pass-through", "passthrough", "persistent memory"}

// device is one of the machine's devices.
type device struct {
	kind     kind
	name     string
	settings *node
}

// devices reads all devices, in the order of the description.
func (r *reader) devices() {
	known := r.manifest()
	for _, settings := range r.config.below() {
		id, isDevice := guid(settings.name)
		if !isDevice {
			continue
		}
		d := known[id]
		d.settings = settings
		if d.kind == kindOther {
			d.kind = shape(d)
		}
		switch d.kind {
		case kindIDE:
			r.controllers(d, api.IDE)
		case kindSCSI:
			r.scsi(d)
		case kindFloppy:
			r.controllers(d, api.Floppy)
		case kindSynthetic, kindLegacy:
			r.adapter(d)
		case kindSerial:
			r.serials(settings)
		}
	}
}

// manifest reads what kind each device is, by the ID of its settings, and notes
// those that cannot be had.
func (r *reader) manifest() map[string]device {
	known := map[string]device{}
	for _, v := range r.config.child("manifest").below() {
		id, name := strings.ToLower(v.text("instance")), v.text("name")
		if id == "" {
			continue
		}
		d := device{kind: kinds[strings.ToLower(v.text("device"))], name: name}
		lower := strings.ToLower(name)
		if strings.Contains(lower, "ethernet") {
			d.kind = kindSynthetic
			if strings.Contains(lower, "emulated") || strings.Contains(lower, "legacy") {
				d.kind = kindLegacy
			}
		}
		known[id] = d
		for _, word := range without {
			if d.kind == kindOther && strings.Contains(lower, word) {
				r.Notef(name, "it cannot be had here; it is left out")
				break
			}
		}
	}
	return known
}

// guid is the GUID that the key of a device's settings is named by: "_GUID_".
func guid(name string) (string, bool) {
	id := strings.ToLower(strings.Trim(name, "_{}"))
	return id, len(id) == 36 && strings.HasPrefix(name, "_") && strings.Count(id, "-") == 4
}

// shape is what a device is by its settings, where the manifest does not tell.
func shape(d device) kind {
	id, _ := guid(d.settings.name)
	switch found := kinds[id]; {
	case found != kindOther:
		return found
	case d.settings.child("MacAddress") != nil && d.settings.child("ChannelInstanceGuid") != nil:
		return kindSynthetic
	case d.settings.child("MacAddress") != nil:
		return kindLegacy
	case d.settings.child("controller0") != nil && d.settings.child("ChannelInstanceGuid") != nil:
		return kindSCSI
	case d.settings.child("controller0") != nil:
		return kindIDE
	}
	return kindOther
}

// scsi reads a SCSI controller: each of Hyper-V's is a device of its own.
func (r *reader) scsi(d device) {
	model, why, _ := appliance.ControllerModel("hypervscsi")
	if len(drivesOf(d.settings)) > 0 {
		r.Notef("SCSI controller", "%s", why)
	}
	r.controllers(d, model)
}

// slot is a drive of a controller, and where it is.
type slot struct {
	controller, port int
	settings         *node
}

// maxPort is the highest number of a controller or drive that there can be.
const maxPort = 255

// drivesOf are the drives of a device.
func drivesOf(d *node) []slot {
	var slots []slot
	for _, c := range d.below() {
		controller, ok := numbered(c.name, "controller")
		if !ok {
			continue
		}
		for _, drive := range c.below() {
			port, ok := numbered(drive.name, "drive")
			if ok && !strings.EqualFold(drive.text("type"), "NONE") && drive.text("type")+drive.text("pathname") != "" {
				slots = append(slots, slot{controller, port, drive})
			}
		}
	}
	return slots
}

// numbered reads a name such as "drive0".
func numbered(name, prefix string) (int, bool) {
	rest, found := strings.CutPrefix(strings.ToLower(name), prefix)
	n, err := strconv.Atoi(rest)
	return n, found && err == nil && n >= 0 && n <= maxPort
}

// controllers adds the drives of a device. Those of IDE channels are on one controller.
func (r *reader) controllers(d device, model api.ControllerType) {
	name := ""
	for _, s := range drivesOf(d.settings) {
		if name == "" {
			name = r.Controller(model)
		}
		port := s.port
		if model == api.IDE {
			port += 2 * s.controller
		}
		r.drive(s, name, port)
	}
}

// drive adds a drive.
func (r *reader) drive(s slot, controller string, port int) {
	file := s.settings.text("pathname")
	what := fmt.Sprintf("drive %d:%d", s.controller, s.port)
	switch kind := driveKind(s.settings.text("type"), file); {
	case kind == "":
		r.Notef(what, "it was %s of the host (%s), which cannot be taken over", s.settings.text("type"), file)
	case file == "" && kind == api.Disk:
		r.Notef(what, "it has no file, and is left out")
	case file == "":
		r.Drive(kind, controller, port, nil)
	default:
		r.Drive(kind, controller, port, r.content(what, kind, file))
	}
}

// driveKind is what a drive is by its type, or else its file; empty for a device of the host.
func driveKind(name, file string) api.DriveKind {
	switch strings.ToUpper(name) {
	case "VHD", "VHDX":
		return api.Disk
	case "ISO":
		return api.Optical
	case "FD", "VFD":
		return api.FloppyDiskette
	}
	switch extension(file) {
	case ".vhd", ".vhdx", ".avhd", ".avhdx", ".vhds":
		return api.Disk
	case ".iso":
		return api.Optical
	case ".vfd":
		return api.FloppyDiskette
	}
	return ""
}

func extension(file string) string {
	return strings.ToLower(path.Ext(strings.ReplaceAll(file, `\`, "/")))
}

// content is what a drive holds; nil for a removable one whose image is not here.
func (r *reader) content(what string, kind api.DriveKind, file string) *appliance.Disk {
	name, found := locate(r.files, file)
	switch {
	case kind == api.Disk:
		if !found {
			r.Notef(what, "its file %s is not here", file)
		}
		return &appliance.Disk{File: name, Format: formatOf(file)}
	case found:
		return &appliance.Disk{File: name, Format: "raw"}
	}
	r.Notef(what, "the image %s that was in it is not here; it is empty", file)
	return nil
}

// formatOf is the format that a disk's name tells.
func formatOf(file string) string {
	if ext := extension(file); ext == ".vhd" || ext == ".avhd" {
		return "vhd"
	}
	return "vhdx"
}

// maxFiles bounds how many files of an export are looked at for a name.
const maxFiles = 10000

// locate finds the file of a Windows path in an export: by its last parts, or
// by its name, in any case, anywhere in it if there is only one of it.
func locate(files fs.FS, ref string) (string, bool) {
	base, found := appliance.Locate(files, ".", ref)
	if found {
		return base, true
	}
	var matches []string
	seen := 0
	_ = fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if seen++; seen > maxFiles {
			return fs.SkipAll
		}
		if err == nil && e.Type().IsRegular() && strings.EqualFold(path.Base(name), base) {
			matches = append(matches, name)
		}
		return nil // what cannot be read is not there
	})
	if len(matches) != 1 {
		return base, false
	}
	return matches[0], true
}

// adapter adds a network adapter.
func (r *reader) adapter(d device) {
	s := d.settings
	model, why, _ := appliance.AdapterModel("synthetic")
	switch {
	case d.kind == kindLegacy:
		model, why, _ = appliance.AdapterModel("legacy")
	case r.second:
		model, why = api.AdapterE1000E, "Hyper-V's own adapter cannot be had; Intel's 82574L is there instead"
	}
	network := s.text("AltSwitchName")
	if network == "" {
		network = s.text("Connection", "AltSwitchName")
	}
	connected := network != "" || s.isOn("IsConnected")
	name := r.Adapter(model, freeMAC(s.text("MacAddress")), network, connected)
	if name != "" {
		r.Notef("network adapter "+name, "%s", why)
	}
	if vlan := s.find("AccessVlan").text(); name != "" && vlan != "" && vlan != "0" {
		r.Notef("network adapter "+name, "it was on VLAN %s, which is not taken over", vlan)
	}
}

// freeMAC is a MAC address, or nothing for that of an adapter that has not been given one yet.
func freeMAC(mac string) string {
	if strings.Trim(mac, "0-:") == "" {
		return ""
	}
	return mac
}

// serials adds the serial ports that led to something.
func (r *reader) serials(n *node) {
	for _, c := range n.below() {
		if strings.HasPrefix(strings.TrimSpace(c.value), `\\`) {
			r.Serial()
			r.Notef("serial line", "it led to the pipe %s; here its output is logged, and `panal console` shows it", strings.TrimSpace(c.value))
		}
		r.serials(c)
	}
}
