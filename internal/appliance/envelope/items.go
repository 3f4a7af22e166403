package envelope

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/ovf"
)

// place is a controller, as drives refer to it.
type place struct {
	name  string
	kind  api.ControllerType
	first int // port of its address 0: an IDE channel has two
}

// items reads the hardware: processors and memory, controllers, then what is
// attached to them.
func (b *builder) items() error {
	b.controllers = map[string]place{}
	channels := 0
	for i := range b.hardware.Items {
		item := &b.hardware.Items[i]
		if item.Bound != "" && item.Bound != "normal" {
			continue // bounds of what the user might choose
		}
		if err := b.processing(item); err != nil {
			return fmt.Errorf("item %s: %w", b.label(item), err)
		}
		b.controller(item, &channels)
	}
	if b.Spec().CPU.Count == 0 {
		b.CPUs(1, 0)
	}
	for i := range b.hardware.Items {
		item := &b.hardware.Items[i]
		if item.Bound != "" && item.Bound != "normal" {
			continue
		}
		if err := b.device(item); err != nil {
			return fmt.Errorf("item %s: %w", b.label(item), err)
		}
	}
	return nil
}

// label is what an item is called.
func (b *builder) label(item *ovf.Item) string {
	return first(b.text.Text(item.ElementName), b.text.Text(item.Caption), b.text.Text(item.Description), item.InstanceID, item.ResourceType.String())
}

// processing reads CPUs and memory.
func (b *builder) processing(item *ovf.Item) error {
	switch item.ResourceType {
	case ovf.Processor:
		count, err := item.Count()
		if err != nil {
			return err
		}
		if count < 1 || count > 4096 {
			return fmt.Errorf("%d CPUs are no hardware", count)
		}
		b.CPUs(count+b.Spec().CPU.Count, item.CoresPerSocket())
	case ovf.Memory:
		size, err := item.Bytes()
		if err != nil {
			return err
		}
		if size < 1 || size > 64<<40 {
			return fmt.Errorf("%d bytes of memory are no hardware", size)
		}
		// Modules of a megabyte, as all have them.
		b.Spec().Memory.Size += api.Size((size + 1<<20 - 1) &^ (1<<20 - 1))
	default:
		return nil
	}
	for what, value := range map[string]string{"reservation": item.Reservation, "limit": item.Limit} {
		if value = strings.TrimSpace(value); value != "" && value != "0" && value != "-1" {
			b.notef(item.ResourceType.String(), "the %s of %s is not taken over", what, value)
		}
	}
	return nil
}

// controller adds a storage controller.
func (b *builder) controller(item *ovf.Item, channels *int) {
	switch item.ResourceType {
	case ovf.IDEController:
		name := b.Controller(api.IDE)
		b.controllers[item.InstanceID] = place{name, api.IDE, *channels % 2 * 2}
		*channels++
	case ovf.ParallelSCSI, ovf.OtherStorageDevice, ovf.ISCSIHBA, ovf.FCHBA:
		kind, why := b.model(item)
		if kind == "" {
			return
		}
		if why != "" {
			b.notef(b.label(item), "%s", why)
		}
		b.controllers[item.InstanceID] = place{b.Controller(kind), kind, 0}
	}
}

// model is the type of a controller: the first alternative that is the same for
// the guest, else the first that is known.
func (b *builder) model(item *ovf.Item) (kind api.ControllerType, why string) {
	names := strings.FieldsFunc(item.ResourceSubType, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
	for _, name := range names {
		k, w, ok := appliance.ControllerModel(name)
		if ok && w == "" {
			return k, ""
		}
		if ok && kind == "" {
			kind, why = k, w
		}
	}
	switch {
	case kind != "":
		return kind, why
	case strings.HasPrefix(item.ResourceSubType, "vmware.nvdimm"):
		b.notef(b.label(item), "persistent memory cannot be had")
		return "", ""
	case item.ResourceType == ovf.OtherStorageDevice:
		kind = api.SATA
	default:
		kind = api.LSILogic
	}
	if len(names) > 0 {
		why = fmt.Sprintf("the model %q is unknown; %s is there instead", item.ResourceSubType, kind)
	}
	return kind, why
}

// device adds what is neither processor nor controller.
func (b *builder) device(item *ovf.Item) error {
	switch item.ResourceType {
	case ovf.DiskDrive, ovf.LogicalDisk, ovf.StorageVolume, ovf.StorageExtent:
		return b.disk(item)
	case ovf.CDDrive, ovf.DVDDrive:
		b.removable(item, api.Optical)
	case ovf.FloppyDrive:
		b.removable(item, api.FloppyDiskette)
	case ovf.EthernetAdapter, ovf.OtherNetworkAdapter, ovf.EthernetConnection:
		b.adapter(item)
	case ovf.SerialPort:
		b.Serial()
	case ovf.Other:
		b.other(item)
	case ovf.Processor, ovf.Memory, ovf.IDEController, ovf.ParallelSCSI, ovf.OtherStorageDevice, ovf.ISCSIHBA, ovf.FCHBA,
		ovf.USBController, ovf.GraphicsController, ovf.EthernetSwitchPort:
	case ovf.SoundCard, ovf.ParallelPort:
		b.notef(b.label(item), "machines have no %s here", item.ResourceType)
	default:
		if !item.Optional {
			b.notef(b.label(item), "a %s cannot be had here; it is left out", item.ResourceType)
		}
	}
	return nil
}

// other reads items of the type "other", which VMware has many of.
func (b *builder) other(item *ovf.Item) {
	switch subtype := strings.ToLower(item.ResourceSubType); {
	case subtype == "vmware.vtpm":
		b.TPM("")
	case subtype == "vmware.vmci", strings.HasPrefix(subtype, "vmware.usb"):
	case item.Optional && !strings.Contains(subtype, "passthrough"):
	default:
		b.notef(b.label(item), "%s cannot be had here; it is left out", first(item.ResourceSubType, "what it is"))
	}
}

// at is where a drive is: its controller, and the port or -1.
func (b *builder) at(item *ovf.Item) (controller string, port int) {
	on, found := b.controllers[item.Parent]
	if !found {
		return "", -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(item.AddressOnParent))
	if err != nil || n < 0 || n > 1000 {
		return on.name, -1
	}
	isSCSI := on.kind == api.LSILogic || on.kind == api.LSISAS || on.kind == api.PVSCSI
	if isSCSI && n > 7 {
		n-- // 7 is the controller's own
	}
	return on.name, on.first + n
}

// removable adds an optical or a floppy drive.
func (b *builder) removable(item *ovf.Item, kind api.DriveKind) {
	controller, port := b.at(item)
	if kind == api.FloppyDiskette {
		controller, port = b.Controller(api.Floppy), -1
	}
	var content *appliance.Disk
	backing := item.Backing()
	switch backing.Kind {
	case ovf.BackedByFile:
		content = b.file(backing.ID)
	case ovf.BackedByDisk:
		if disk := b.env.Disk(backing.ID); disk != nil {
			content = b.file(disk.FileRef)
		}
	case ovf.BackedByOther:
		b.notef(b.label(item), "it was the host's %s; it is empty", backing.ID)
	}
	if content != nil {
		content.Format = "raw"
	}
	b.Drive(kind, controller, port, content)
}

// adapter adds a network adapter.
func (b *builder) adapter(item *ovf.Item) {
	var model api.AdapterModel
	var why string
	for name := range strings.FieldsFuncSeq(item.ResourceSubType, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		m, w, ok := appliance.AdapterModel(name)
		if ok && (model == "" || w == "" && why != "") {
			model, why = m, w
		}
	}
	if model == "" {
		model = api.AdapterE1000
		if sub := strings.TrimSpace(item.ResourceSubType); sub != "" {
			why = fmt.Sprintf("the model %q is unknown; Intel's 82540EM is there instead", sub)
		}
	}
	network := item.Connection()
	name := b.Builder.Adapter(model, strings.TrimSpace(item.Address), network, item.AutomaticAllocation != "false")
	if why != "" && name != "" {
		b.notef("network adapter "+name, "%s", why)
	}
}
