package libvirt

import (
	"cmp"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
)

// buses are what disks are attached to, by the bus of their target.
var buses = map[string]api.ControllerType{
	"ide": api.IDE, "sata": api.SATA, "scsi": api.LSILogic, "virtio": api.VirtioBlk, "usb": api.USB, "fdc": api.Floppy, "nvme": api.NVMe, "xen": api.IDE,
}

// scsiModels are the models of SCSI controllers.
var scsiModels = map[string]string{
	"auto": "lsilogic", "buslogic": "buslogic", "lsilogic": "lsi53c895a", "lsisas1068": "lsisas1068", "lsisas1078": "megasas",
	"vmpvscsi": "pvscsi", "virtio-scsi": "virtioscsi", "virtio-transitional": "virtioscsi", "virtio-non-transitional": "virtioscsi",
}

// controllers adds those that are named.
func (r *reader) controllers() {
	for _, c := range r.domain.Devices.Controllers {
		kind := buses[c.Type]
		switch c.Type {
		case "scsi":
			kind = r.scsi(c)
		case "sata", "nvme":
		default:
			continue // IDE and floppy come with their drives; PCI, USB and virtio-serial are the machine's own
		}
		r.buses[c.Type+cmp.Or(c.Index, "0")] = r.Controller(kind)
	}
}

// scsi is the type of a SCSI controller.
func (r *reader) scsi(c controller) api.ControllerType {
	kind, why, known := appliance.ControllerModel(scsiModels[c.Model])
	switch {
	case c.Model == "" && r.Spec().Architecture == api.X8664:
		return api.LSILogic
	case c.Model == "" || !known:
		kind = api.VirtioSCSI
		if c.Model != "" {
			why = fmt.Sprintf("the model %q cannot be had; virtio's is there instead", c.Model)
		}
	}
	if why != "" {
		r.Notef("SCSI controller "+c.Index, "%s", why)
	}
	return kind
}

// disk adds a disk, optical or floppy drive.
func (r *reader) disk(d diskNode) error {
	what := cmp.Or(d.Device, "disk") + " " + d.Target.Dev
	kinds := map[string]api.DriveKind{"": api.Disk, "disk": api.Disk, "lun": api.Disk, "cdrom": api.Optical, "floppy": api.FloppyDiskette}
	kind, known := kinds[d.Device]
	if !known {
		return fmt.Errorf("the disk %s is a %q, which is unknown", d.Target.Dev, d.Device)
	}
	content := r.content(what, kind, d)
	if kind == api.Disk && content == nil {
		return nil
	}
	controller, port := r.seat(d, kind)
	name := r.Drive(kind, controller, port, content)
	if name == "" {
		return nil
	}
	r.order[name] = d.Boot.Order
	r.tune(what, d)
	if d.Serial != "" {
		r.serialNumber(what, d.Serial)
	}
	if d.Shareable != nil || d.Transient != nil {
		r.Notef(what, "it was shareable or transient; it is an ordinary disk here, which snapshots take in")
	}
	return nil
}

// serialNumber gives the drive that was added last the serial number that the guest knows it by.
func (r *reader) serialNumber(what, serial string) {
	if len(serial) > 20 || strings.ContainsFunc(serial, func(c rune) bool { return c < ' ' || c > '~' }) {
		r.Notef(what, "the serial number %q is longer than the 20 plain characters that one can have", serial)
		return
	}
	drives := r.Spec().Drives
	drives[len(drives)-1].Serial = serial
}

// content is what is in a drive; nil for nothing.
func (r *reader) content(what string, kind api.DriveKind, d diskNode) *appliance.Disk {
	source := cmp.Or(d.Source.File, d.Source.Dev, d.Source.Volume, d.Source.Name)
	if source == "" && d.Source.Dir == "" {
		if kind == api.Disk {
			r.Notef(what, "it names no content; it is left out")
		}
		return nil
	}
	if d.Type == "network" || d.Type == "volume" || d.Type == "dir" || d.Type == "nvme" || d.Type == "vhostuser" {
		r.Notef(what, "its content is at %s, which is no file; it is left out", strings.Join(strings.Fields(d.Source.Protocol+" "+d.Source.Pool+" "+source+d.Source.Dir), " "))
		return nil
	}
	name, found := appliance.Locate(r.files, r.dir, source)
	if !found {
		name = source // the importer decides whether it may be used where it lies
		if !path.IsAbs(source) {
			r.Notef(what, "its file %s is not here", source)
		}
	}
	content := &appliance.Disk{File: name, Format: format(d.Driver.Type)}
	if d.Encrypt != nil || d.Source.Encrypt != nil {
		content.Encryption = "libvirt"
		r.Notef(what, "it is encrypted, and cannot be read without its key")
	}
	return content
}

// format is a format as disk/formats names it; empty for those that it does not.
func format(driver string) string {
	names := map[string]string{"raw": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vpc": "vhd", "vdi": "vdi", "vhdx": "vhdx", "parallels": "parallels", "qcow": "qcow", "iso": "raw"}
	return names[driver]
}

// seat is where a drive is attached.
func (r *reader) seat(d diskNode, kind api.DriveKind) (controller string, port int) {
	bus := d.Target.Bus
	if bus == "" {
		bus = busOf(d.Target.Dev, kind)
	}
	what, known := buses[bus]
	if !known {
		return "", -1
	}
	n := numberOf(d.Target.Dev)
	index, unit := "0", n
	if a := d.Address; a != nil && a.Type == "drive" {
		index, unit = cmp.Or(a.Controller, "0"), r.unit(bus, a)
	}
	switch what {
	case api.IDE, api.Floppy, api.USB, api.VirtioBlk:
		if what == api.VirtioBlk || what == api.USB {
			unit = -1
		}
		return r.Controller(what), unit
	}
	name, there := r.buses[bus+index]
	if !there {
		name = r.Controller(what)
		r.buses[bus+index] = name
	}
	return name, unit
}

// unit is the port of an address: SCSI's is the target, unless the controller
// has units instead.
func (r *reader) unit(bus string, a *address) int {
	number := func(text string) int {
		n, err := strconv.Atoi(cmp.Or(text, "0"))
		if err != nil || n < 0 || n > 1000 {
			return 0
		}
		return n
	}
	switch bus {
	case "ide":
		return number(a.Controller)*4 + number(a.Bus)*2 + number(a.Unit)
	case "scsi":
		return max(number(a.Target), number(a.Unit))
	}
	return number(a.Unit)
}

// busOf is the bus that a target's name stands for.
func busOf(dev string, kind api.DriveKind) string {
	switch {
	case kind == api.FloppyDiskette || strings.HasPrefix(dev, "fd"):
		return "fdc"
	case strings.HasPrefix(dev, "hd"):
		return "ide"
	case strings.HasPrefix(dev, "sd"):
		return "scsi"
	case strings.HasPrefix(dev, "vd"):
		return "virtio"
	case strings.HasPrefix(dev, "xvd"):
		return "xen"
	}
	return ""
}

// numberOf is the place that a target's name stands for: 0 of sda, 27 of sdab;
// -1 for other names.
func numberOf(dev string) int {
	letters := strings.TrimPrefix(dev, "xv")
	if len(letters) < 3 || len(letters) > 5 {
		return -1
	}
	n := 0
	for _, c := range letters[2:] {
		if c < 'a' || c > 'z' {
			return -1
		}
		n = n*26 + int(c-'a') + 1
	}
	return n - 1
}

// adapter adds a network adapter.
func (r *reader) adapter(i netdev) {
	what := "network interface " + i.MAC.Address
	if i.Type == "hostdev" || i.Type == "vdpa" {
		r.Notef(what, "it was a device of its host, which cannot be taken over; it is left out")
		return
	}
	model, why, known := appliance.AdapterModel(i.Model.Type)
	switch {
	case i.Model.Type == "":
		model, why = api.AdapterRTL8139, "" // QEMU's and libvirt's default on x86
		if r.Spec().Architecture != api.X8664 {
			model = api.AdapterVirtio
		}
	case strings.HasPrefix(i.Model.Type, "virtio"):
		model, why = api.AdapterVirtio, ""
	case !known:
		model, why = api.AdapterE1000, fmt.Sprintf("the model %q is unknown; Intel's 82540EM is there instead", i.Model.Type)
	}
	network := cmp.Or(i.Source.Network, i.Source.Bridge, i.Source.Dev, i.Type)
	name := r.Adapter(model, i.MAC.Address, network, i.Link.State != "down")
	if name != "" && why != "" {
		r.Notef("network adapter "+name, "%s", why)
	}
	r.order[name] = i.Boot.Order
}

// ports adds serial lines.
func (r *reader) ports() {
	serials := 0
	for i, s := range r.domain.Devices.Serials {
		r.Serial()
		serials++
		if s.Type != "pty" && s.Type != "" && s.Type != "stdio" {
			r.Notef(fmt.Sprintf("serial line %d", i), "it was connected to a %s of its host; here it is for `panal console`", s.Type)
		}
	}
	for _, c := range r.domain.Devices.Consoles {
		if (c.Target.Type == "serial" || c.Target.Type == "") && serials == 0 {
			r.Serial()
			serials++
		} else if c.Target.Type != "serial" && c.Target.Type != "" {
			r.Notef("console", "a console of %s cannot be had; use a serial line", c.Target.Type)
		}
	}
	for i := range r.domain.Devices.Parallels {
		r.Notef(fmt.Sprintf("parallel port %d", i), "machines have none here")
	}
}

// ordinary are devices that every machine has here, or that the guest does not
// miss.
var ordinary = map[string]bool{
	"emulator": true, "input": true, "graphics": true, "memballoon": true, "rng": true, "channel": true, "panic": true, "hub": true, "audio": true, "lease": true,
}

// others notes what machines do not have here, and reads the screen.
func (r *reader) others() {
	if r.Spec().Architecture == api.X8664 {
		for _, v := range r.domain.Devices.Video {
			switch v.Model.Type {
			case "virtio":
				r.Spec().Display.Video = "virtio"
			case "vmvga":
				r.Spec().Display.Video = "vmware"
			case "cirrus", "qxl", "xen":
				r.Notef("screen", "%s cannot be had; a standard VGA is there instead", v.Model.Type)
			}
		}
	}
	if r.domain.Security != nil {
		r.Notef("launch security", "%s cannot be had", r.domain.Security.Type)
	}
	if r.domain.HugePages != nil {
		r.Notef("memory", "it is not in huge pages")
	}
	for _, o := range r.domain.Devices.Others {
		if !ordinary[o.XMLName.Local] {
			r.Notef(o.XMLName.Local, "machines have none here (%s)", strings.TrimSpace(o.Type+" "+o.Model))
		}
	}
}
