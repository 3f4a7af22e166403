package ovf

import (
	"fmt"
	"net/url"
	"strings"
)

// ResourceType is what an item is: CIM_ResourceAllocationSettingData.ResourceType
// (CIM schema 2.22 and later). Numbers from 32768 are vendors' own.
type ResourceType int

// Resource types.
const (
	Other               ResourceType = 1
	ComputerSystem      ResourceType = 2
	Processor           ResourceType = 3
	Memory              ResourceType = 4
	IDEController       ResourceType = 5
	ParallelSCSI        ResourceType = 6
	FCHBA               ResourceType = 7
	ISCSIHBA            ResourceType = 8
	IBHCA               ResourceType = 9
	EthernetAdapter     ResourceType = 10
	OtherNetworkAdapter ResourceType = 11
	IOSlot              ResourceType = 12
	IODevice            ResourceType = 13
	FloppyDrive         ResourceType = 14
	CDDrive             ResourceType = 15
	DVDDrive            ResourceType = 16
	DiskDrive           ResourceType = 17
	TapeDrive           ResourceType = 18
	StorageExtent       ResourceType = 19
	OtherStorageDevice  ResourceType = 20 // what VirtualBox and VMware write for a SATA controller
	SerialPort          ResourceType = 21
	ParallelPort        ResourceType = 22
	USBController       ResourceType = 23
	GraphicsController  ResourceType = 24
	IEEE1394Controller  ResourceType = 25
	PartitionableUnit   ResourceType = 26
	BasePartitionable   ResourceType = 27
	Power               ResourceType = 28
	CoolingCapacity     ResourceType = 29
	EthernetSwitchPort  ResourceType = 30
	LogicalDisk         ResourceType = 31
	StorageVolume       ResourceType = 32
	EthernetConnection  ResourceType = 33
	SoundCard           ResourceType = 35 // VirtualBox and VMware; DMTF assigned it to none
)

// String names it, for people.
func (t ResourceType) String() string {
	names := [...]string{
		"not said", "other", "computer system", "processor", "memory", "IDE controller", "SCSI controller", "Fibre Channel adapter",
		"iSCSI adapter", "InfiniBand adapter", "Ethernet adapter", "other network adapter", "I/O slot", "I/O device", "floppy drive", "CD drive",
		"DVD drive", "disk drive", "tape drive", "storage extent", "other storage device", "serial port", "parallel port", "USB controller",
		"graphics controller", "IEEE 1394 controller", "partitionable unit", "base partitionable unit", "power", "cooling capacity",
		"Ethernet switch port", "logical disk", "storage volume", "Ethernet connection", "type 34", "sound card",
	}
	if t >= 0 && int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("type %d", int(t))
}

// BackingKind is what an item's HostResource leads to.
type BackingKind int

// Kinds of backing.
const (
	BackedByNothing BackingKind = iota // there is no HostResource
	BackedByDisk                       // the ID of a Disk
	BackedByFile                       // the ID of a File
	BackedByOther                      // something on the host that the descriptor was made on
)

// Backing is what an item's HostResource leads to.
type Backing struct {
	Kind BackingKind
	ID   string // of the disk or file; else the whole text
}

// Backing reads the first HostResource: ovf:/disk/ID and ovf:/file/ID (DSP0243
// 1.1, 8.3), ovf://disk/ID as some write it, and /disk/ID of 0.9. oVirt's is
// imagegroup/image, which is other.
func (i *Item) Backing() Backing {
	for _, r := range i.HostResources {
		if text := strings.TrimSpace(r.Value); text != "" {
			return backing(text)
		}
	}
	return Backing{}
}

func backing(text string) Backing {
	path := text
	if scheme, rest, ok := strings.Cut(text, ":"); ok && strings.EqualFold(scheme, "ovf") {
		path = rest
	}
	kind, id, ok := strings.Cut(strings.TrimLeft(path, "/"), "/")
	if !ok || !strings.HasPrefix(path, "/") || id == "" {
		return Backing{BackedByOther, text}
	}
	if plain, err := url.PathUnescape(id); err == nil && strings.Contains(id, "%") {
		id = plain
	}
	switch kind {
	case "disk":
		return Backing{BackedByDisk, id}
	case "file":
		return Backing{BackedByFile, id}
	}
	return Backing{BackedByOther, text}
}

// Connection is the name of the network that an adapter is connected to, "" if
// none.
func (i *Item) Connection() string {
	if len(i.Connections) == 0 {
		return ""
	}
	return strings.TrimSpace(i.Connections[0].Value)
}

// ControllerNumber is which controller of its kind an item is: its Address, or
// BusNumber as OVF 0.9 has it.
func (i *Item) ControllerNumber() string {
	if i.Address != "" {
		return i.Address
	}
	if bus := i.extra("BusNumber"); bus != nil {
		return strings.TrimSpace(bus.Content())
	}
	return ""
}

func (i *Item) extra(local string) *Element { return Element{Children: i.Extra}.Child("", local) }

// Item finds an item by its InstanceID; nil if there is none.
func (s *VirtualHardwareSection) Item(instanceID string) *Item {
	for i := range s.Items {
		if s.Items[i].InstanceID == instanceID && instanceID != "" {
			return &s.Items[i]
		}
	}
	return nil
}

// Children lists the items whose Parent a controller is.
func (s *VirtualHardwareSection) Children(instanceID string) []*Item {
	var found []*Item
	for i := range s.Items {
		if s.Items[i].Parent == instanceID && instanceID != "" {
			found = append(found, &s.Items[i])
		}
	}
	return found
}
