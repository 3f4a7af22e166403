package vmx

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
)

// devices lists the numbers of the devices of a kind that are present.
func (r *reader) devices(kind string) []int {
	var numbers []int
	prefix := strings.ToLower(kind)
	for key := range r.config {
		rest, found := strings.CutPrefix(key, prefix)
		if !found {
			continue
		}
		digits, found := strings.CutSuffix(rest, ".present")
		n, err := strconv.Atoi(digits)
		if found && err == nil && n >= 0 && n < 1000 && r.config.flag(key) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// node is a place on a controller: "scsi0:3".
type node struct {
	bus          string // "scsi"
	number, unit int
}

func (n node) String() string { return fmt.Sprintf("%s%d:%d", n.bus, n.number, n.unit) }

// nodes lists the places of a bus where a device is present, in order.
func (r *reader) nodesOf(bus string) []node {
	var nodes []node
	for key := range maps.Keys(r.config) {
		rest, found := strings.CutPrefix(key, bus)
		if !found {
			continue
		}
		rest, found = strings.CutSuffix(rest, ".present")
		controller, unit, isNode := strings.Cut(rest, ":")
		n, err := strconv.Atoi(controller)
		u, unitErr := strconv.Atoi(unit)
		if found && isNode && err == nil && unitErr == nil && n >= 0 && n < 100 && u >= 0 && u < 1000 && r.config.flag(key) {
			nodes = append(nodes, node{bus, n, u})
		}
	}
	slices.SortFunc(nodes, func(a, b node) int { return (a.number-b.number)*1000 + a.unit - b.unit })
	return nodes
}

// disks reads the controllers, and the disks and optical drives on them.
func (r *reader) disks() error {
	for _, bus := range []string{"ide", "scsi", "sata", "nvme"} {
		controllers := map[int]string{}
		if bus != "ide" {
			for _, n := range r.devices(bus) {
				controllers[n] = r.controller(bus, n)
			}
		}
		for _, node := range r.nodesOf(bus) {
			if controllers[node.number] == "" {
				controllers[node.number] = r.controller(bus, node.number)
			}
			r.drive(node, controllers[node.number])
		}
	}
	return nil
}

// controller adds a bus's controller.
func (r *reader) controller(bus string, n int) string {
	key := fmt.Sprintf("%s%d.", bus, n)
	kinds := map[string]api.ControllerType{"ide": api.IDE, "sata": api.SATA, "nvme": api.NVMe}
	kind := kinds[bus]
	if bus == "scsi" {
		model := r.config.text(key + "virtualDev")
		if model == "" {
			model = "lsilogic"
		}
		known, why, ok := appliance.ControllerModel(model)
		if !ok {
			known, why = api.LSILogic, fmt.Sprintf("the model %q is unknown; LSI's 53C895A is there instead", model)
		}
		kind = known
		if why != "" {
			r.Notef(fmt.Sprintf("SCSI controller %d", n), "%s", why)
		}
		if shared := r.config.text(key + "sharedBus"); shared != "" && !strings.EqualFold(shared, "none") {
			r.Notef(fmt.Sprintf("SCSI controller %d", n), "its bus was shared with other machines (%s); it is the machine's own here", shared)
		}
	}
	return r.Controller(kind)
}

// drive adds what is at a place.
func (r *reader) drive(at node, controller string) {
	key := at.String() + "."
	port := at.unit
	switch at.bus {
	case "ide":
		port = at.number*2 + at.unit
	case "scsi":
		if at.unit > 7 {
			port-- // 7 is the controller's own
		}
	}
	file := r.config.text(key + "fileName")
	kind := strings.ToLower(r.config.text(key + "deviceType"))
	if strings.Contains(kind, "cdrom") || kind == "" && strings.HasSuffix(strings.ToLower(file), ".iso") {
		r.optical(at, controller, port, kind, file)
		return
	}
	if kind == "rawdisk" || kind == "scsi-passthru" {
		r.Notef("disk "+at.String(), "it is a device of its host (%s), which cannot be taken over", file)
		return
	}
	if file == "" {
		r.Notef("disk "+at.String(), "it names no file and is left out")
		return
	}
	r.nodes[at.String()] = r.Drive(api.Disk, controller, port, r.content(at.String(), file))
	if ssd := r.config.text(key + "virtualSSD"); ssd == "1" || strings.EqualFold(ssd, "true") {
		r.SSD(r.nodes[at.String()])
	}
	switch mode := strings.ToLower(r.config.text(key + "mode")); {
	case mode == "independent-nonpersistent", mode == "nonpersistent":
		r.Writes(r.nodes[at.String()], api.Immutable)
	case strings.HasPrefix(mode, "independent"):
		r.Writes(r.nodes[at.String()], api.Writethrough)
	}
}

// content is what a disk's file holds.
func (r *reader) content(what, file string) *appliance.Disk {
	name, found := appliance.Locate(r.files, r.dir, file)
	if !found {
		r.Notef("disk "+what, "its file %s is not here", file)
	}
	format := "vmdk"
	if ext := strings.ToLower(path.Ext(name)); ext != ".vmdk" {
		format = ""
	}
	return &appliance.Disk{File: name, Format: format}
}

// optical adds an optical drive, with the image that was in it if that is here.
func (r *reader) optical(at node, controller string, port int, kind, file string) {
	var content *appliance.Disk
	if strings.EqualFold(file, "emptyBackingString") { // ESX writes it so
		file = ""
	}
	image := strings.Contains(kind, "image") || strings.HasSuffix(strings.ToLower(file), ".iso")
	switch name, found := appliance.Locate(r.files, r.dir, file); {
	case image && found:
		content = &appliance.Disk{File: name, Format: "raw"}
	case image && file != "":
		r.Notef("optical drive "+at.String(), "the image %s that was in it is not here; it is empty", file)
	case file != "" && !strings.EqualFold(file, "auto detect"):
		r.Notef("optical drive "+at.String(), "it was the host's drive %s; it is empty", file)
	}
	r.nodes[at.String()] = r.Drive(api.Optical, controller, port, content)
}

// floppies reads the floppy drives. There is one unless the file says there is not.
func (r *reader) floppies() error {
	for n := range 2 {
		key := fmt.Sprintf("floppy%d.", n)
		if !r.config.flag(key + "present") {
			continue
		}
		var content *appliance.Disk
		file := r.config.text(key + "fileName")
		if strings.EqualFold(r.config.text(key+"fileType"), "file") && file != "" {
			if name, found := appliance.Locate(r.files, r.dir, file); found {
				content = &appliance.Disk{File: name, Format: "raw"}
			} else {
				r.Notef(fmt.Sprintf("floppy drive %d", n), "the image %s that was in it is not here; it is empty", file)
			}
		}
		if strings.EqualFold(r.config.text(key+"fileType"), "device") && file != "" {
			r.Notef(fmt.Sprintf("floppy drive %d", n), "it was the host's drive %s; it is empty", file)
		}
		r.Drive(api.FloppyDiskette, r.Controller(api.Floppy), n, content)
	}
	return nil
}
