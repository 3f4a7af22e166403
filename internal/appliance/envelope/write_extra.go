package envelope

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/ovf"
)

// processors describes the CPUs.
func (h *hardwareWriter) processors() ovf.Item {
	cpu := h.machine.Spec.CPU
	item := ovf.Item{
		ResourceType: ovf.Processor, ElementName: ovf.Plain(fmt.Sprintf("%d virtual CPUs", cpu.Count)), AllocationUnits: "hertz * 10^6",
		VirtualQuantity: strconv.Itoa(cpu.Count),
	}
	// VirtualBox refuses elements in an item that it does not know.
	if socket := cpu.Cores * max(cpu.Threads, 1); h.dialect == ForVMware && socket > 0 && cpu.Count%socket == 0 {
		item.Extra = append(item.Extra, ovf.Element{
			Name: xml.Name{Space: ovf.NSVMware, Local: "CoresPerSocket"}, Attrs: []xml.Attr{{Name: xml.Name{Space: ovf.NSEnvelope, Local: "required"}, Value: "false"}},
			Children: []ovf.Element{{Text: strconv.Itoa(socket)}},
		})
	}
	return item
}

// forVMware adds VMware's own settings of the machine.
func (h *hardwareWriter) forVMware() {
	s := h.machine.Spec
	if s.CPU.Threads > 1 {
		h.section.Extra = append(h.section.Extra, ovf.NewConfig("simultaneousThreads", strconv.Itoa(s.CPU.Threads)))
	}
	layouts := map[machine.Board]string{machine.BoardPC: "i440bxHostBridge", machine.BoardQ35: "acpiHostBridges"}
	if layout := layouts[machine.BoardOf(s.Architecture, s.MachineType)]; layout != "" {
		h.section.Extra = append(h.section.Extra, ovf.NewConfig("motherboardLayout", layout))
	}
}

// bootOrder writes what is tried first, in VMware's words: a section for each device.
func (h *hardwareWriter) bootOrder() []ovf.Section {
	var list []ovf.Section
	s := h.machine.Spec
	for _, name := range s.Boot.Order {
		item, kind := h.items[name], "net"
		if item == "" {
			continue
		}
		if i := slices.IndexFunc(s.Drives, func(d api.Drive) bool { return d.Name == name }); i >= 0 {
			kind = map[api.DriveKind]string{api.Disk: "disk", api.Optical: "cdrom", api.FloppyDiskette: "floppy"}[s.Drives[i].Kind]
		}
		info := "What is tried first when the machine starts"
		list = append(list, &ovf.UnknownSection{Base: ovf.Head{Info: ovf.Plain(info), Optional: true}, Raw: ovf.Element{
			Name: xml.Name{Space: ovf.NSVMware, Local: "BootOrderSection"},
			Attrs: []xml.Attr{
				{Name: xml.Name{Space: ovf.NSEnvelope, Local: "required"}, Value: "false"},
				{Name: xml.Name{Space: ovf.NSVMware, Local: "instanceId"}, Value: item},
				{Name: xml.Name{Space: ovf.NSVMware, Local: "type"}, Value: kind},
			},
			Children: []ovf.Element{{Name: xml.Name{Space: ovf.NSEnvelope, Local: "Info"}, Children: []ovf.Element{{Text: info}}}},
		}})
	}
	return list
}
