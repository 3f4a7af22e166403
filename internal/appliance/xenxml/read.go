package xenxml

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
)

// Read reads an ova.xml. The content of disks is named by their id, such as
// "Ref:12", as disk/xva finds it.
func Read(data []byte) (*appliance.Appliance, error) {
	var doc value
	if err := appliance.DecodeXML(data, &doc); err != nil {
		return nil, fmt.Errorf("ova.xml: %w", err)
	}
	x := export{byID: map[string]object{}}
	for _, v := range doc.field("objects").Array {
		o := object{v.field("class").text(), v.field("id").text(), v.field("snapshot")}
		if _, twice := x.byID[o.id]; twice || o.id == "" {
			return nil, fmt.Errorf("ova.xml: the id %q is another object's, or none", o.id)
		}
		x.byID[o.id] = o
		x.objects = append(x.objects, o)
	}
	if len(x.objects) == 0 {
		return nil, errors.New("ova.xml: it holds no objects: it is of XenServer before version 4, or no export")
	}
	a := &appliance.Appliance{Kind: appliance.KindXVA, Producer: producer(doc.field("version"))}
	for _, vm := range x.of("VM") {
		if vm.flag("is_a_snapshot") {
			a.Notes = append(a.Notes, appliance.Notef("snapshot "+vm.text("name_label"), "it is not taken along"))
			continue
		}
		m, err := x.machine(vm)
		if err != nil {
			return nil, fmt.Errorf("ova.xml: %w", err)
		}
		a.Machines = append(a.Machines, m)
	}
	if len(a.Machines) == 0 {
		return nil, errors.New("ova.xml: it describes no machine")
	}
	a.Name = a.Machines[0].Spec.Name
	return a, nil
}

// producer names the product.
func producer(version value) string {
	brand, number := version.field("product_brand").text(), version.field("product_version").text()
	return strings.TrimSpace(cmp.Or(brand, "XenServer") + " " + number)
}

// export is the objects of an export.
type export struct {
	objects []object
	byID    map[string]object
}

// of lists the objects of a class.
func (x export) of(class string) []object {
	var list []object
	for _, o := range x.objects {
		if strings.EqualFold(o.class, class) {
			list = append(list, o)
		}
	}
	return list
}

// belonging lists the objects of a class that refer to a machine, by their
// place.
func (x export) belonging(class string, vm object, place string) []object {
	list := slices.DeleteFunc(x.of(class), func(o object) bool { return o.text("VM") != vm.id })
	slices.SortStableFunc(list, func(a, b object) int {
		m, _ := strconv.Atoi(a.text(place))
		n, _ := strconv.Atoi(b.text(place))
		return cmp.Compare(m, n)
	})
	return list
}

// machine reads one machine.
func (x export) machine(vm object) (appliance.Machine, error) {
	b := appliance.NewBuilder(vm.id)
	b.Name(cmp.Or(vm.text("name_label"), vm.id))
	s := b.Spec()
	s.UUID = vm.text("uuid")
	s.Description = appliance.CleanText(vm.text("name_description"))
	cpus, err := vm.number("VCPUs_at_startup")
	if err != nil {
		return appliance.Machine{}, err
	}
	memory, err := vm.number("memory_static_max")
	if err != nil {
		return appliance.Machine{}, err
	}
	if dynamic, err := vm.number("memory_dynamic_max"); err == nil && dynamic > 0 {
		memory = dynamic
	}
	if cpus > 4096 || memory > 64<<40 {
		return appliance.Machine{}, fmt.Errorf("%d CPUs and %d bytes of memory are no hardware", cpus, memory)
	}
	cores, _ := strconv.Atoi(vm.fields.field("platform").field("cores-per-socket").text())
	b.CPUs(int(max(cpus, 1)), cores)
	cpuTime(b, vm)
	s.Memory.Size = api.Size(memory+1<<20-1) &^ (1<<20 - 1)
	if memory <= 0 {
		s.Memory.Size = 0
		b.Notef("memory", "how much it has is not said; it gets what a new machine gets")
	}
	firmware(b, vm)
	if err := x.disks(b, vm); err != nil {
		return appliance.Machine{}, err
	}
	x.adapters(b, vm)
	bootOrder(b, vm)
	x.rest(b, vm)
	b.Serial() // every machine of Xen's has a console
	return b.Finish(), nil
}

// usualWeight is the weight of a machine to which none was given (Xen's credit scheduler), and usualShares ours.
const usualWeight, usualShares = 256, 100

// cpuTime reads what a machine may use of the host's CPUs: a cap in percent of one of them, with all its own together, and a
// weight against other machines.
func cpuTime(b *appliance.Builder, vm object) {
	params, s := vm.fields.field("VCPUs_params"), b.Spec()
	if text := params.field("cap").text(); !slices.Contains(off, strings.ToLower(text)) {
		if limit := api.CPUTime(text + "%"); validCPUTime(limit) {
			s.CPU.Limit = limit
		} else {
			b.Notef("CPU", "the cap %q is not taken over: it is no amount of CPU time", text)
		}
	}
	if text := params.field("weight").text(); text != "" {
		switch weight, err := strconv.Atoi(text); {
		case err != nil || weight < 1:
			b.Notef("CPU", "the weight %q is not taken over: it is no weight", text)
		case weight != usualWeight:
			s.CPU.Shares = min(max((weight*usualShares+usualWeight/2)/usualWeight, 1), 10000)
		}
	}
}

func validCPUTime(t api.CPUTime) bool {
	_, _, err := t.Parse()
	return err == nil
}

// bootOrder reads what is tried, a letter each: c disks, d CDs, n the network.
func bootOrder(b *appliance.Builder, vm object) {
	kinds := map[rune]string{'c': appliance.BootDisks, 'd': appliance.BootOptical, 'n': appliance.BootNetwork, 'a': appliance.BootFloppies}
	var order []string
	for _, letter := range vm.fields.field("HVM_boot_params").field("order").text() {
		order = append(order, kinds[letter])
	}
	if len(order) > 0 {
		b.BootOrder(order, true)
	}
}

// firmware reads how the machine boots.
func firmware(b *appliance.Builder, vm object) {
	s := b.Spec()
	s.Firmware.Type = api.BIOS
	if strings.EqualFold(vm.fields.field("HVM_boot_params").field("firmware").text(), "uefi") {
		b.UEFI(strings.EqualFold(vm.fields.field("platform").field("secureboot").text(), "true"))
	}
	if vm.text("HVM_boot_policy") == "" && vm.text("domain_type") != "hvm" {
		b.Notef("paravirtualization", "the guest was started by Xen without firmware; here it starts only if its disk has a boot loader, and has drivers for ordinary hardware")
	}
	if !vm.fields.field("VTPMs").empty() {
		b.TPM("")
	}
	if vm.fields.field("platform").field("timeoffset").text() != "" && strings.Contains(strings.ToLower(vm.text("name_label")+vm.text("reference_label")), "windows") {
		s.RTC.Base = "localtime"
	}
}

// empty tells whether a value has nothing in it.
func (v value) empty() bool { return len(v.Array) == 0 && len(v.Struct) == 0 && v.text() == "" }

// disks reads the block devices. XenServer shows the first four as IDE disks
// until the guest's own drivers take over; so they are here, and the others on SATA.
func (x export) disks(b *appliance.Builder, vm object) error {
	for _, vbd := range x.belonging("VBD", vm, "userdevice") {
		kind := api.Disk
		if strings.EqualFold(vbd.text("type"), "CD") {
			kind = api.Optical
		}
		vdi, found := x.byID[vbd.text("VDI")]
		if kind == api.Optical && (vbd.flag("empty") || !found) {
			controller, port := seat(b, vbd)
			b.Drive(kind, controller, port, nil)
			continue
		}
		if !found {
			b.Notef("disk "+vbd.text("userdevice"), "its content is not in the export; it is left out")
			continue
		}
		size, err := vdi.number("virtual_size")
		if err != nil {
			return err
		}
		controller, port := seat(b, vbd)
		b.Drive(kind, controller, port, &appliance.Disk{File: vdi.id, Format: "xva", Size: size})
	}
	return nil
}

// seat is where a block device is attached.
func seat(b *appliance.Builder, vbd object) (controller string, port int) {
	n, err := strconv.Atoi(vbd.text("userdevice"))
	switch {
	case err != nil || n < 0 || n > 255:
		return b.Controller(api.IDE), -1
	case n < 4:
		return b.Controller(api.IDE), n
	}
	return b.Controller(api.SATA), -1
}

// adapters reads the network interfaces.
func (x export) adapters(b *appliance.Builder, vm object) {
	for _, vif := range x.belonging("VIF", vm, "device") {
		model, why, _ := appliance.AdapterModel("xen")
		network := x.byID[vif.text("network")].text("name_label")
		if name := b.Adapter(model, vif.text("MAC"), network, true); name != "" {
			b.Notef("network adapter "+name, "%s", why)
		}
	}
}
