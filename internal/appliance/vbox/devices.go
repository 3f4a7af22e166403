package vbox

import (
	"fmt"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
)

// controller adds a controller and what is attached to it.
func (r *reader) controller(c controller) error {
	kind, why, ok := appliance.ControllerModel(c.Type)
	if !ok {
		return fmt.Errorf("the storage controller %q is of the type %q, which is unknown", c.Name, c.Type)
	}
	if why != "" {
		r.Notef("storage controller "+c.Name, "%s", why)
	}
	name := r.Controller(kind)
	for _, d := range c.Devices {
		r.attach(kind, name, c.Name, d)
	}
	return nil
}

// attach adds a drive.
func (r *reader) attach(kind api.ControllerType, controller, label string, d attached) {
	place := d.Port
	if kind == api.IDE {
		place = d.Port*2 + d.Device
	}
	if kind == api.Floppy {
		place = d.Device
	}
	drives := map[string]api.DriveKind{"HardDisk": api.Disk, "DVD": api.Optical, "Floppy": api.FloppyDiskette}
	drive, known := drives[d.Type]
	what := fmt.Sprintf("disk at port %d of %s", place, label)
	if !known {
		r.Notef(what, "the device type %q is unknown; it is left out", d.Type)
		return
	}
	var content *appliance.Disk
	if d.Image != nil {
		content = r.content(what, drive, bare(d.Image.UUID))
	}
	if d.Host != nil {
		r.Notef(what, "it was the host's drive %s; it is empty", d.Host.Source)
	}
	if drive == api.Disk && content == nil {
		r.Notef(what, "no image is attached; it is left out")
		return
	}
	name := r.Drive(drive, controller, place, content)
	if isOn(d.SSD) {
		r.SSD(name)
	}
}

// content is the image that is attached.
func (r *reader) content(what string, kind api.DriveKind, uuid string) *appliance.Disk {
	m, registered := r.media[uuid]
	switch {
	case !registered && kind == api.Disk:
		r.Notef(what, "its image {%s} is not in the registry", uuid)
		return &appliance.Disk{File: "{" + uuid + "}"}
	case !registered:
		r.Notef(what, "the image {%s} that was in it is not in the registry; it is empty", uuid)
		return nil
	case m.missing && kind != api.Disk:
		r.Notef(what, "the image %s that was in it is not here; it is empty", m.location)
		return nil
	case m.missing:
		r.Notef(what, "its file %s is not here", m.location)
	}
	if m.note != "" {
		r.Notef(what, "%s", m.note)
	}
	disk := m.Disk
	return &disk
}

// adapter adds a network adapter.
func (r *reader) adapter(a adapter) {
	model, why, known := appliance.AdapterModel(a.Type)
	switch {
	case a.Type == "":
		model, why = api.AdapterPCnet, "" // the default of VirtualBox's settings
	case !known:
		model, why = api.AdapterE1000, fmt.Sprintf("the model %q is unknown; Intel's 82540EM is there instead", a.Type)
	}
	network, connected := a.network()
	name := r.Adapter(model, a.MAC, network, connected && a.Cable != "false")
	if name == "" {
		return
	}
	if why != "" {
		r.Notef("network adapter "+name, "%s", why)
	}
	if a.NAT != nil {
		adapters := r.Spec().Adapters
		r.forwards(&adapters[len(adapters)-1], a.NAT.Forwards)
	}
}

// network is what an adapter is attached to.
func (a adapter) network() (name string, attached bool) {
	switch {
	case a.NAT != nil:
		return "nat", true
	case a.Bridged != nil:
		return "bridged " + a.Bridged.Name, true
	case a.HostOnly != nil:
		return "host-only " + a.HostOnly.Name, true
	case a.HostNet != nil:
		return "host-only " + a.HostNet.Name, true
	case a.Internal != nil:
		return "internal " + a.Internal.Name, true
	case a.NATNetwork != nil:
		return "nat " + a.NATNetwork.Name, true
	case a.Generic != nil:
		return "generic " + a.Generic.Driver, true
	}
	return "", false
}

// forwards takes over the ports that NAT forwards.
func (r *reader) forwards(adapter *api.Adapter, list []forwarding) {
	for _, f := range list {
		protocol := "tcp"
		if f.Protocol == "0" || strings.EqualFold(f.Protocol, "udp") {
			protocol = "udp"
		}
		if f.HostPort < 1 || f.HostPort > 65535 || f.GuestPort < 1 || f.GuestPort > 65535 {
			r.Notef("network adapter "+adapter.Name, "the forwarding %q from port %d to %d is no such thing, and left out", f.Name, f.HostPort, f.GuestPort)
			continue
		}
		adapter.Forwards = append(adapter.Forwards, api.Forward{Protocol: protocol, HostAddress: f.HostIP, HostPort: f.HostPort, GuestPort: f.GuestPort})
	}
}
