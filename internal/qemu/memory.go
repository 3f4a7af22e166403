package qemu

import (
	"strconv"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
)

// memory appends what the guest boots with, and how much there is room for.
func (b *builder) memory() {
	boot := machine.BootMemory(b.Spec.Memory)
	size := "size=" + kibibytes(boot)
	if room := machine.PluggableMemory(b.Spec.Memory); room > 0 {
		size += ",maxmem=" + kibibytes(boot+room)
	}
	b.add("-m", size)
	if b.Spec.Memory.Locked {
		b.add("-overcommit", "mem-lock=on")
	}
	if b.ownBackend() {
		b.object(b.backend(object{"id": ramName(b.Spec.Architecture), "size": int64(boot)}))
	}
}

// ownBackend tells whether what the guest boots with is more than the memory that QEMU
// makes by itself.
func (b *builder) ownBackend() bool {
	return b.Spec.Memory.PageSize > 0 || b.Spec.Memory.Nodes != ""
}

// ramName is how the machine types of an architecture name what the guest boots with. States
// that were saved without an object of our own have it by this name, too.
func ramName(arch api.Architecture) string {
	switch arch {
	case api.AArch64:
		return "mach-virt.ram"
	case api.RISCV64:
		return "riscv_virt_board.ram"
	default:
		return "pc.ram"
	}
}

// backend completes the object that memory comes from.
func (b *builder) backend(o object) object {
	memory := b.Spec.Memory
	o["qom-type"] = "memory-backend-ram"
	if memory.PageSize > 0 {
		// All of it at once: a huge page that is lacking later would end the machine.
		o["qom-type"], o["hugetlb"], o["hugetlbsize"], o["prealloc"], o["share"] = "memory-backend-memfd", true, int64(memory.PageSize), true, true
	} else {
		o["merge"] = false
	}
	if nodes, err := machine.ParseCPUList(memory.Nodes); err == nil && len(nodes) > 0 {
		o["host-nodes"], o["policy"] = nodes, string(machine.PlacementOf(memory))
	}
	return o
}

func kibibytes(size api.Size) string { return strconv.FormatInt(int64(size/api.KiB), 10) + "k" }

// memoryDevices appends what memory comes and goes by while the guest runs: the
// balloon, and the device that more is plugged into.
func (b *builder) memoryDevices() {
	balloon := object{"driver": "virtio-balloon-pci", "id": BalloonDevice, "deflate-on-oom": true, "free-page-reporting": true}
	b.place(balloon, ownPlaces, balloonPlace)
	b.device("memory.balloon", balloon)
	room := machine.PluggableMemory(b.Spec.Memory)
	if room == 0 {
		return
	}
	// Not reserved: it is the host's until it is plugged in and touched.
	b.object(b.backend(object{"id": moreMemory, "size": int64(room), "reserve": false}))
	asked := machine.MemoryOf(b.Spec.Memory).Plugged
	if b.Incoming {
		asked = 0 // the state says how much is plugged in
	}
	more := object{"driver": "virtio-mem-pci", "id": MemoryDevice, "memdev": moreMemory, "requested-size": int64(asked)}
	b.place(more, ownPlaces, memoryPlace)
	b.device("memory.maximum", more)
}
