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
	b.controllers, b.named = map[string]place{}, map[string]string{}
	channels := 0
	parents := map[string]bool{} // of disks
	for i := range b.hardware.Items {
		if item := &b.hardware.Items[i]; item.ResourceType == ovf.DiskDrive {
			parents[item.Parent] = true
		}
	}
	for i := range b.hardware.Items {
		item := &b.hardware.Items[i]
		if item.Bound != "" && item.Bound != "normal" {
			continue // bounds of what the user might choose
		}
		if err := b.processing(item); err != nil {
			return fmt.Errorf("item %s: %w", b.label(item), err)
		}
		b.controller(item, &channels, parents)
	}
	if b.Spec().CPU.Count == 0 {
		b.CPUs(1, 0)
	}
	if threads, err := strconv.ParseUint(configOf(b.hardware.Extra, "simultaneousThreads"), 10, 16); err == nil {
		b.Threads(int(threads))
	}
	if b.Spec().Memory.Size == 0 {
		b.notef("memory", "how much it has is not said; it gets what a new machine gets")
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
		b.CPUs(count+b.Spec().CPU.Count, b.cores(item))
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
	b.bounded(item, "reservation", item.Reservation)
	if item.ResourceType != ovf.Processor || !b.limitCPU(item) {
		b.bounded(item, "limit", item.Limit)
	}
	if item.ResourceType == ovf.Processor || item.ResourceType == ovf.Memory {
		b.weight(item)
	}
	return nil
}

// weight notes a weight that is not what VMware gives every machine: 1000 for a
// CPU, and 10 for a MiB.
func (b *builder) weight(item *ovf.Item) {
	weight, err := strconv.ParseInt(strings.TrimSpace(item.Weight), 10, 64)
	usual := int64(b.Spec().CPU.Count) * 1000
	if item.ResourceType == ovf.Memory {
		usual = int64(b.Spec().Memory.Size/api.MiB) * 10
	}
	if err == nil && weight != usual || err != nil && strings.TrimSpace(item.Weight) != "" {
		b.notef(item.ResourceType.String(), "the weight of %s among others is not taken over", strings.TrimSpace(item.Weight))
	}
}

// limitCPU carries a limit of CPU time over. It returns false for one that cannot be.
func (b *builder) limitCPU(item *ovf.Item) bool {
	limit := strings.TrimSpace(item.Limit)
	n, unit, err := item.Amount(limit)
	if err != nil || n <= 0 || b.Spec().CPU.Limit != "" {
		return false
	}
	megahertz := n
	if unit.Base == "hertz" {
		megahertz /= 1_000_000
	}
	return b.LimitCPU(megahertz)
}

// bounded notes a bound that there is none of here.
func (b *builder) bounded(item *ovf.Item, what, value string) {
	if value = strings.TrimSpace(value); value != "" && value != "0" && value != "-1" {
		b.notef(item.ResourceType.String(), "the %s of %s is not taken over", what, value)
	}
}

// controller adds a storage controller.
func (b *builder) controller(item *ovf.Item, channels *int, parents map[string]bool) {
	switch item.ResourceType {
	case ovf.IDEController:
		name := b.Controller(api.IDE)
		b.controllers[item.InstanceID] = place{name, api.IDE, *channels % 2 * 2}
		*channels++
	case ovf.USBController: // only one with drives on it is a storage controller
		if parents[item.InstanceID] {
			b.controllers[item.InstanceID] = place{b.Controller(api.USB), api.USB, 0}
		}
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
		b.serial(item)
	case ovf.USBController:
		if sub := strings.ToLower(item.ResourceSubType); !strings.Contains(sub, "xhci") {
			b.notef(b.label(item), "an xHCI controller (USB 3) is there instead, for which old systems have no driver")
		}
	case ovf.GraphicsController:
		if b.screens++; b.screens > 1 {
			b.notef(b.label(item), "a machine has one graphics card; it is left out")
		}
	case ovf.Other:
		b.other(item)
	case ovf.Processor, ovf.Memory, ovf.IDEController, ovf.ParallelSCSI, ovf.OtherStorageDevice, ovf.ISCSIHBA, ovf.FCHBA:
	case ovf.SoundCard, ovf.ParallelPort:
		b.notef(b.label(item), "machines have no %s here", item.ResourceType)
	default:
		b.notef(b.label(item), "a %s cannot be had here; it is left out", item.ResourceType)
	}
	return nil
}

// other reads items of the type "other", which VMware has many of.
func (b *builder) other(item *ovf.Item) {
	switch subtype := strings.ToLower(item.ResourceSubType); {
	case subtype == "vmware.vtpm":
		b.TPM("")
	case subtype == "vmware.vmci":
		b.notef(b.label(item), "VMware's way between guest and host, which its tools in the guest use, cannot be had; it is left out")
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
		if disk := b.disks[backing.ID]; disk != nil {
			content = b.file(disk.FileRef)
		}
	case ovf.BackedByOther:
		b.notef(b.label(item), "it was the host's %s; it is empty", backing.ID)
	}
	if content != nil {
		content.Format = "raw"
	}
	b.named[item.InstanceID] = b.Drive(kind, controller, port, content)
	if content != nil && strings.EqualFold(strings.TrimSpace(item.AutomaticAllocation), "false") {
		b.notef(b.label(item), "it was not connected at the start; here %s is in it", content.File)
	}
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
	name := b.Builder.Adapter(model, strings.TrimSpace(item.Address), network, !strings.EqualFold(strings.TrimSpace(item.AutomaticAllocation), "false"))
	b.named[item.InstanceID] = name
	if more := len(item.Connections) - 1; more > 0 {
		b.notef("network adapter "+name, "it is connected to one network, not to %d more", more)
	}
	if why != "" && name != "" {
		b.notef("network adapter "+name, "%s", why)
	}
}
