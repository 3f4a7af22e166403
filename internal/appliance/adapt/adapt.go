// Package adapt chooses hardware that a guest is faster with here, where it is
// known to start with it.
//
// By default an imported machine keeps the controllers and adapters that it had.
// On request they become paravirtual (virtio) ones. What decides is the guest's
// system, as far as the description names it: which drivers its kernel has, and
// which of them it has at hand before it reads its disk. Nobody looks into the
// guest. Where it is not known, the device stays as it was, or becomes what most
// systems start with. Firmware, secure boot and MAC addresses are never touched.
package adapt

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/machine"
)

// Facts are what decides.
type Facts struct {
	// System is the guest's system in the name that any program has for it, such
	// as "debian10_64Guest", "Windows2019_64" or "CentOS 7 (64-bit)"; empty if the
	// description does not say.
	System string
}

// Machine returns a machine with the hardware that suits its guest, and for each
// disk and adapter what was decided and why. The machine has a board.
func Machine(spec api.Spec, facts Facts) (api.Spec, []appliance.Note) {
	a := &adapter{spec: machine.Clone(spec), board: machine.BoardOf(spec.Architecture, spec.MachineType)}
	a.system = systemOf(facts.System)
	if a.system.name == "" {
		a.system.name = "a system that the description does not name"
	}
	a.disks()
	a.adapters()
	return a.spec, a.notes
}

// adapter changes its machine.
type adapter struct {
	spec   api.Spec
	board  machine.Board
	system system
	notes  []appliance.Note
}

func (a *adapter) notef(subject, format string, args ...any) {
	a.notes = append(a.notes, appliance.Notef(subject, format, args...))
}

// disks moves disks. The first is the one that the guest starts from.
func (a *adapter) disks() {
	first := true
	for i := range a.spec.Drives {
		d := &a.spec.Drives[i]
		if d.Kind != api.Disk && d.Kind != "" {
			continue
		}
		now := a.typeOf(d.Controller)
		to, why := a.disk(now, first)
		first = false
		if to == now || to == "" || machine.PortsOf(a.board, to) == 0 {
			a.notef("drive "+d.Name, "it stays on %s: %s", shown(now), why)
			continue
		}
		d.Controller, d.Port = a.controller(to), nil
		a.notef("drive "+d.Name, "it is on %s instead of %s: %s", to, shown(now), why)
	}
	a.dropUnused()
}

func shown(kind api.ControllerType) string {
	if kind == "" {
		return "what Panal chooses"
	}
	return string(kind)
}

// disk decides where a disk goes, and says why; where it is for the same type.
func (a *adapter) disk(now api.ControllerType, starts bool) (api.ControllerType, string) {
	s := a.system
	paravirtual := now == api.VirtioSCSI || now == api.VirtioBlk
	switch {
	case paravirtual:
		return now, "it is paravirtual already"
	case s.family == windows && a.has(isVirtio):
		return api.VirtioSCSI, "another disk of the machine is on virtio, so Windows has its driver"
	case s.family == windows && now == api.LSILogic && s.modern:
		return api.SATA, "Windows has no driver for that any more, and one for SATA; it has none for virtio unless somebody installed it"
	case s.family == windows:
		return now, "Windows has no driver for virtio unless somebody installed it"
	case s.family == linux && (s.modern && s.wholeInitramfs || s.modern && !starts):
		if starts {
			return api.VirtioSCSI, s.name + " has its driver, also while it starts"
		}
		return api.VirtioSCSI, s.name + " has its driver, and starts from another disk"
	case s.family == linux && s.modern && now == api.LSILogic:
		return api.SATA, s.name + " may have only the drivers of its old hardware while it starts; if it does not start, import it without this"
	case s.family == linux && s.modern:
		return now, s.name + " may have only the drivers of its old hardware while it starts"
	case s.family == bsd:
		return now, s.name + " names disks by their controllers, and would not find its own"
	}
	return now, "it is not known that " + s.name + " has the driver of virtio"
}

func isVirtio(kind api.ControllerType) bool { return kind == api.VirtioSCSI || kind == api.VirtioBlk }

// has tells whether the machine came with a disk on such a controller.
func (a *adapter) has(such func(api.ControllerType) bool) bool {
	return slices.ContainsFunc(a.spec.Drives, func(d api.Drive) bool { return d.Kind == api.Disk && such(a.typeOf(d.Controller)) })
}

func (a *adapter) typeOf(controller string) api.ControllerType {
	for _, c := range a.spec.Controllers {
		if c.Name == controller {
			return c.Type
		}
	}
	return ""
}

// controller finds a controller of a type with a free port, or adds one.
func (a *adapter) controller(kind api.ControllerType) string {
	n := 0
	for _, c := range a.spec.Controllers {
		if c.Type != kind {
			continue
		}
		n++
		if a.drivesOn(c.Name) < machine.PortsOf(a.board, kind) {
			return c.Name
		}
	}
	name := ""
	for taken := true; taken; n++ {
		name = machine.ControllerPrefix(kind) + strconv.Itoa(n)
		taken = slices.ContainsFunc(a.spec.Controllers, func(c api.Controller) bool { return c.Name == name })
	}
	a.spec.Controllers = append(a.spec.Controllers, api.Controller{Name: name, Type: kind})
	return name
}

func (a *adapter) drivesOn(controller string) int {
	n := 0
	for _, d := range a.spec.Drives {
		if d.Controller == controller {
			n++
		}
	}
	return n
}

// dropUnused removes the controllers of disks that have no drive any more.
func (a *adapter) dropUnused() {
	a.spec.Controllers = slices.DeleteFunc(a.spec.Controllers, func(c api.Controller) bool {
		return c.Type != api.USB && c.Type != api.Floppy && a.drivesOn(c.Name) == 0
	})
}

// adapters changes the models of network adapters.
func (a *adapter) adapters() {
	had := slices.ContainsFunc(a.spec.Adapters, func(n api.Adapter) bool { return n.Model == api.AdapterVirtio })
	for i := range a.spec.Adapters {
		n := &a.spec.Adapters[i]
		to, why := a.model(n.Model, had)
		if to == n.Model {
			a.notef("network adapter "+n.Name, "it stays %s: %s", n.Model, why)
			continue
		}
		a.notef("network adapter "+n.Name, "it is %s instead of %s: %s", to, n.Model, why)
		n.Model = to
	}
}

// model decides what an adapter becomes, and says why.
func (a *adapter) model(now api.AdapterModel, had bool) (api.AdapterModel, string) {
	s := a.system
	switch {
	case now == api.AdapterVirtio:
		return now, "it is paravirtual already"
	case s.family == linux && s.modern:
		return api.AdapterVirtio, s.name + " has its driver; the guest may call it by another name"
	case s.family == windows && had:
		return api.AdapterVirtio, "another adapter of the machine is virtio, so Windows has its driver"
	case s.family == windows && s.modern && (now == api.AdapterPCnet || now == api.AdapterRTL8139):
		return a.intel(), "Windows has a driver for this one; it has none for virtio unless somebody installed it"
	case s.family == windows:
		return now, "Windows has no driver for virtio unless somebody installed it"
	case s.family == bsd:
		return now, s.name + " names adapters by their drivers, and its settings would be another one's"
	}
	return now, fmt.Sprintf("it is not known that %s has the driver of virtio", s.name)
}

// intel is the adapter of Intel's that suits the board.
func (a *adapter) intel() api.AdapterModel {
	if a.board == machine.BoardPC {
		return api.AdapterE1000
	}
	return api.AdapterE1000E
}
