package envelope

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/ovf"
)

// Outgoing is a machine that is to be described.
type Outgoing struct {
	Spec  api.Spec
	Disks []OutgoingDisk // the content of drives; those without one are described as empty
}

// OutgoingDisk is the content of a drive.
type OutgoingDisk struct {
	Drive  string // its name
	File   string // the name of its file in the package
	Format string // the URI of its format
	Size   int64  // bytes that the guest sees
	Used   int64  // bytes of content, 0 if unknown
}

// Dialect is for which program a descriptor is written. Descriptors are
// valid in all of them: only names of models and families differ, and what stands
// for what the program does not know and would refuse ([Instead]).
type Dialect string

// The dialects.
const (
	ForAny        Dialect = "generic"
	ForVirtualBox Dialect = "virtualbox"
	ForVMware     Dialect = "vmware"
	ForXen        Dialect = "xen"
	ForQEMU       Dialect = "qemu"
)

// Dialects lists them.
func Dialects() []Dialect { return []Dialect{ForAny, ForVirtualBox, ForVMware, ForXen, ForQEMU} }

// families are the system types of the dialects.
var families = map[Dialect]string{
	ForAny: "vmx-10 virtualbox-2.2", ForVirtualBox: "virtualbox-2.2", ForVMware: "vmx-10", ForXen: "xen-3.0-hvm", ForQEMU: "qemu",
}

// Write describes machines. Several become a collection of the name, which
// starts them in their order.
func Write(name string, machines []Outgoing, dialect Dialect) *ovf.Envelope {
	w := &writer{dialect: dialect, env: &ovf.Envelope{}, networks: map[string]bool{}}
	disks := &ovf.DiskSection{Head: head("Virtual disks")}
	networks := &ovf.NetworkSection{Head: head("Networks that adapters are connected to")}
	var systems []ovf.Content
	for i := range machines {
		systems = append(systems, w.system(fmt.Sprintf("vm%d", i+1), machines[i]))
	}
	disks.Disks = w.disks
	for _, network := range w.names {
		networks.Networks = append(networks.Networks, ovf.Network{ID: network})
	}
	w.env.Sections = append(w.env.Sections, disks)
	if len(networks.Networks) > 0 {
		w.env.Sections = append(w.env.Sections, networks)
	}
	if len(systems) > 1 {
		systems = []ovf.Content{collection(name, systems)}
	}
	w.env.Content = systems
	return w.env
}

func head(info string) ovf.Head { return ovf.Head{Info: ovf.Plain(info)} }

// collection puts machines together.
func collection(name string, systems []ovf.Content) *ovf.Collection {
	startup := &ovf.StartupSection{Head: head("The order in which machines start")}
	for i, s := range systems {
		startup.Items = append(startup.Items, ovf.StartupItem{ID: s.ContentID(), Order: i + 1, StopAction: "guestShutdown"})
	}
	return &ovf.Collection{
		ID: "collection", Info: ovf.Plain("Machines that belong together"), Title: ovf.Plain(name),
		Sections: []ovf.Section{startup}, Content: systems,
	}
}

// writer describes machines in one envelope.
type writer struct {
	dialect  Dialect
	env      *ovf.Envelope
	disks    []ovf.Disk
	names    []string // of networks
	networks map[string]bool
}

// system describes one machine.
func (w *writer) system(id string, m Outgoing) *ovf.VirtualSystem {
	s := m.Spec
	system := &ovf.VirtualSystem{ID: id, Info: ovf.Plain("A virtual machine"), Title: ovf.Plain(s.Name)}
	if s.Description != "" {
		system.Sections = append(system.Sections, &ovf.AnnotationSection{Head: head("A description"), Annotation: ovf.Plain(s.Description)})
	}
	kind := int64(osOther)
	if s.Architecture == api.X8664 {
		kind = osOther64
	}
	system.Sections = append(system.Sections, &ovf.OperatingSystemSection{
		Head: head("The guest's operating system"), ID: &kind, Description: ovf.Plain(cmp.Or(s.Labels["os"], "other")),
	})
	hw := &hardwareWriter{writer: w, machine: m, section: &ovf.VirtualHardwareSection{Head: head("Virtual hardware")}, items: map[string]string{}}
	hw.write(id)
	hw.section.Extra = append(hw.section.Extra, hw.own())
	system.Sections = append(system.Sections, hw.section)
	if w.dialect == ForVMware {
		system.Sections = append(system.Sections, hw.bootOrder()...)
	}
	return system
}

// Of CIM_OperatingSystem.OsType (CIM schema 2.22).
const (
	osOther   = 1
	osOther64 = 102
)

// hardwareWriter writes the hardware of one machine.
type hardwareWriter struct {
	*writer
	machine Outgoing
	section *ovf.VirtualHardwareSection
	next    int               // the instance ID that was given last
	items   map[string]string // instance IDs, by the names of what they describe
}

func (h *hardwareWriter) write(id string) {
	s := h.machine.Spec
	h.section.System = &ovf.SystemSetting{
		ElementName: ovf.Plain("Virtual Hardware Family"), InstanceID: "0", Identifier: s.Name, Type: families[h.dialect],
	}
	h.item(h.processors())
	h.item(ovf.Item{
		ResourceType: ovf.Memory, ElementName: ovf.Plain(fmt.Sprintf("%d MB of memory", s.Memory.Size/api.MiB)), AllocationUnits: "byte * 2^20",
		VirtualQuantity: strconv.FormatInt(int64(s.Memory.Size/api.MiB), 10),
	})
	parents := map[string][]string{}
	for i, c := range s.Controllers {
		if parents[c.Name] = h.controller(i, c); len(parents[c.Name]) > 0 {
			h.items[c.Name] = parents[c.Name][0]
		}
	}
	for _, d := range s.Drives {
		h.drive(id, d, parents[d.Controller])
	}
	for _, a := range s.Adapters {
		h.adapter(a)
	}
	for i, line := range s.Serials {
		h.items[line.Name] = h.item(ovf.Item{ResourceType: ovf.SerialPort, ElementName: ovf.Plain(fmt.Sprintf("serial line %d", i)), Optional: true})
	}
	if s.Firmware.Type == api.UEFI {
		h.section.Extra = append(h.section.Extra, ovf.NewConfig("firmware", "efi"))
		if s.Firmware.SecureBoot {
			h.section.Extra = append(h.section.Extra, ovf.NewConfig("bootOptions.efiSecureBootEnabled", "true"))
		}
	}
	if s.TPM != nil {
		h.item(ovf.Item{ResourceType: ovf.Other, ResourceSubType: "vmware.vtpm", ElementName: ovf.Plain("TPM"), Optional: true})
	}
	if h.dialect == ForVMware {
		h.forVMware()
	}
}

// item adds an item and returns its instance ID.
func (h *hardwareWriter) item(i ovf.Item) string {
	h.next++
	i.InstanceID = strconv.Itoa(h.next)
	h.section.Items = append(h.section.Items, i)
	return i.InstanceID
}

// controllerItems are how controllers are described.
var controllerItems = map[api.ControllerType]ovf.Item{
	api.IDE:        {ResourceType: ovf.IDEController, ResourceSubType: "PIIX4"},
	api.SATA:       {ResourceType: ovf.OtherStorageDevice, ResourceSubType: "AHCI"},
	api.VirtioSCSI: {ResourceType: ovf.ParallelSCSI, ResourceSubType: "VirtioSCSI"},
	api.LSILogic:   {ResourceType: ovf.ParallelSCSI, ResourceSubType: "lsilogic"},
	api.LSISAS:     {ResourceType: ovf.ParallelSCSI, ResourceSubType: "lsilogicsas"},
	api.MegaRAID:   {ResourceType: ovf.ParallelSCSI, ResourceSubType: "lsisas1078"},
	api.PVSCSI:     {ResourceType: ovf.ParallelSCSI, ResourceSubType: "VirtualSCSI"},
	api.VirtioBlk:  {ResourceType: ovf.OtherStorageDevice, ResourceSubType: "virtio-blk"},
	api.NVMe:       {ResourceType: ovf.OtherStorageDevice, ResourceSubType: "nvme"},
	api.BusLogic:   {ResourceType: ovf.ParallelSCSI, ResourceSubType: "buslogic"},
	api.USB:        {ResourceType: ovf.USBController, ResourceSubType: "xhci"},
}

// forVMware are the names of those that VMware calls otherwise.
var forVMware = map[api.ControllerType]string{api.SATA: "vmware.sata.ahci", api.NVMe: "vmware.nvme.controller", api.USB: "vmware.usb.xhci"}

// controller describes a controller and returns the instance IDs of its
// channels, which are two of IDE.
func (h *hardwareWriter) controller(n int, c api.Controller) []string {
	kind := standsFor(h.dialect, c.Type)
	item, known := controllerItems[kind]
	if !known {
		return nil // a floppy drive has none of its own
	}
	if kind == api.VirtioSCSI && h.dialect == ForVirtualBox {
		item.ResourceType = ovf.OtherStorageDevice
	}
	if name := forVMware[kind]; name != "" && h.dialect == ForVMware {
		item.ResourceSubType = name
	}
	item.ElementName, item.Address = ovf.Plain(c.Name), strconv.Itoa(n)
	if c.Type != api.IDE {
		return []string{h.item(item)}
	}
	var channels []string
	for channel := range 2 {
		item.ElementName, item.Address = ovf.Plain(fmt.Sprintf("%s channel %d", c.Name, channel)), strconv.Itoa(channel)
		channels = append(channels, h.item(item))
	}
	return channels
}

// drive describes a drive, and its content.
func (h *hardwareWriter) drive(system string, d api.Drive, parents []string) {
	types := map[api.DriveKind]ovf.ResourceType{api.Disk: ovf.DiskDrive, api.Optical: ovf.CDDrive, api.FloppyDiskette: ovf.FloppyDrive}
	item := ovf.Item{ResourceType: types[d.Kind], ElementName: ovf.Plain(d.Name)}
	if len(parents) > 0 && d.Port != nil {
		port := *d.Port
		item.Parent = parents[0]
		if len(parents) == 2 {
			item.Parent, port = parents[port/2], port%2
		}
		item.AddressOnParent = strconv.Itoa(h.address(d.Controller, port))
	}
	i := slices.IndexFunc(h.machine.Disks, func(o OutgoingDisk) bool { return o.Drive == d.Name })
	switch {
	case i >= 0:
		item.HostResources = []ovf.Text{ovf.Plain(h.content(system, d, h.machine.Disks[i]))}
	case d.Kind == api.Disk:
		return // there is nothing to give to others
	}
	h.items[d.Name] = h.item(item)
}

// address is the address of a port: on parallel SCSI, 7 is the controller's own.
func (h *hardwareWriter) address(controller string, port int) int {
	for _, c := range h.machine.Spec.Controllers {
		if c.Name != controller || port < 7 {
			continue
		}
		switch standsFor(h.dialect, c.Type) {
		case api.LSILogic, api.BusLogic, api.LSISAS, api.PVSCSI:
			return port + 1
		default:
		}
	}
	return port
}

// content describes what a drive holds, and returns what an item refers to it by.
func (h *hardwareWriter) content(system string, d api.Drive, o OutgoingDisk) string {
	id := system + "-" + d.Name
	h.env.Files = append(h.env.Files, ovf.File{ID: "file-" + id, Href: o.File})
	if d.Kind != api.Disk {
		return "ovf:/file/file-" + id
	}
	disk := ovf.Disk{
		ID: "disk-" + id, FileRef: "file-" + id, Format: o.Format, Capacity: strconv.FormatInt(o.Size, 10), Units: "byte",
	}
	if o.Used > 0 {
		disk.PopulatedSize = &o.Used
	}
	h.writer.disks = append(h.writer.disks, disk)
	return "ovf:/disk/disk-" + id
}

// adapterModels are the names of adapters' models. VirtualBox has its own.
var adapterModels = map[api.AdapterModel]string{
	api.AdapterVirtio: "virtio", api.AdapterE1000: "E1000", api.AdapterE1000E: "E1000E", api.AdapterRTL8139: "rtl8139", api.AdapterPCnet: "PCNet32",
	api.AdapterVMXNet3: "VmxNet3",
}

// network is what the network of an adapter is called: as it was where the machine came from,
// or as programs call it that have such a one. Of other names VirtualBox makes its
// bridged network, and of no cable "Null".
func (h *hardwareWriter) network(a api.Adapter) string {
	switch {
	case a.NetworkName != "":
		return a.NetworkName
	case a.Network == "none" && h.dialect == ForVirtualBox:
		return "Null"
	}
	return "NAT"
}

// adapter describes a network adapter.
func (h *hardwareWriter) adapter(a api.Adapter) {
	network := h.network(a)
	if !h.networks[network] {
		h.networks[network] = true
		h.names = append(h.names, network)
	}
	h.items[a.Name] = h.item(ovf.Item{
		ResourceType: ovf.EthernetAdapter, ResourceSubType: adapterModels[modelFor(h.dialect, a.Model)], ElementName: ovf.Plain(a.Name), Address: a.MAC,
		AutomaticAllocation: strconv.FormatBool(a.Network != "none"), Connections: []ovf.Text{ovf.Plain(network)},
	})
}
