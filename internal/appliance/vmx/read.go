package vmx

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
)

// Read reads the machine of a .vmx file, and of the .vmsd file beside it.
func Read(files fs.FS, name string) (*appliance.Appliance, error) {
	c, err := readConfig(files, name)
	if err != nil {
		return nil, err
	}
	if c.text("config.version") == "" && c.text("virtualHW.version") == "" && c.text("displayName") == "" {
		return nil, fmt.Errorf("%s has neither a config.version nor a displayName: it is no configuration of VMware's", name)
	}
	r := &reader{config: c, files: files, dir: path.Dir(name), Builder: appliance.NewBuilder("")}
	if err := r.hardware(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if r.Spec().Name == "" {
		r.Name(strings.TrimSuffix(path.Base(name), path.Ext(name)))
	}
	m := r.Finish()
	if err := r.snapshots(&m, strings.TrimSuffix(name, path.Ext(name))+".vmsd"); err != nil {
		return nil, err
	}
	return &appliance.Appliance{
		Kind: appliance.KindVMware, Producer: producer(c), Name: m.Spec.Name, Machines: []appliance.Machine{m},
	}, nil
}

// producer is what wrote the file, as far as that can be told.
func producer(c config) string {
	if version := c.text("virtualHW.version"); version != "" {
		return "VMware, hardware version " + version
	}
	return "VMware"
}

// reader turns a configuration into a machine.
type reader struct {
	*appliance.Builder
	config config
	files  fs.FS
	dir    string            // of the .vmx in files
	nodes  map[string]string // "scsi0:0" to the drive that it became
}

func (r *reader) hardware() error {
	r.nodes = map[string]string{}
	c, s := r.config, r.Spec()
	if name := c.text("displayName"); name != "" {
		r.Name(name)
	}
	s.Description = appliance.CleanText(c.text("annotation"))
	if uuid, ok := cleanUUID(c.text("uuid.bios")); ok {
		s.UUID = uuid
	}
	if err := r.processors(); err != nil {
		return err
	}
	r.platform()
	for _, step := range []func() error{r.disks, r.floppies, r.adapters} {
		if err := step(); err != nil {
			return err
		}
	}
	r.ports()
	r.others()
	r.bootOrder()
	r.rest()
	return nil
}

// bootOrder reads what VMware's BIOS tries, such as "cdrom,hdd,ethernet0".
func (r *reader) bootOrder() {
	words := r.config.text("bios.bootOrder")
	if words == "" {
		return
	}
	kinds := []struct{ prefix, kind string }{
		{"hdd", appliance.BootDisks}, {"disk", appliance.BootDisks}, {"cdrom", appliance.BootOptical}, {"ethernet", appliance.BootNetwork}, {"floppy", appliance.BootFloppies},
	}
	var order []string
	for word := range strings.FieldsFuncSeq(strings.ToLower(words), func(c rune) bool { return c == ',' || c == ' ' }) {
		for _, k := range kinds {
			if strings.HasPrefix(word, k.prefix) {
				order = append(order, k.kind)
			}
		}
	}
	r.BootOrder(order, true)
}

// processors reads CPUs and memory.
func (r *reader) processors() error {
	count, err := r.config.number("numvcpus", 1)
	if err != nil {
		return err
	}
	cores, err := r.config.number("cpuid.coresPerSocket", 0)
	if err != nil {
		return err
	}
	memory, err := r.config.number("memsize", 32) // MiB; what VMware takes when it is left out
	if err != nil {
		return err
	}
	if count < 1 || count > 4096 || memory < 1 || memory > 64<<20 {
		return fmt.Errorf("%d CPUs and %d MiB of memory are no hardware", count, memory)
	}
	r.CPUs(int(count), int(min(cores, 4096)))
	if threads, err := r.config.number("cpuid.numSMT", 1); err == nil {
		r.Threads(int(min(threads, 4096)))
	}
	r.Spec().Memory.Size = api.Size(memory) * api.MiB
	return nil
}

// platform reads the firmware, the clock and the processor's architecture.
func (r *reader) platform() {
	c, s := r.config, r.Spec()
	s.Firmware.Type = api.BIOS
	if strings.EqualFold(c.text("firmware"), "efi") {
		r.UEFI(c.flag("uefi.secureBoot.enabled"))
	}
	guest := strings.ToLower(c.text("guestOS"))
	if strings.HasPrefix(guest, "arm") {
		s.Architecture = api.AArch64
		s.Firmware.Type = api.UEFI
	}
	r.System(guest)
	if s.OS == "windows" {
		s.RTC.Base = "localtime" // as VMware sets the clock of these
	}
	if c.flag("vtpm.present") || c.text("managedvm.autoAddVTPM") != "" {
		r.TPM("")
	}
	s.Display.Video = "vmware"
	if s.Architecture != api.X8664 {
		s.Display.Video = "virtio"
	}
}

// adapters reads network adapters.
func (r *reader) adapters() error {
	for _, n := range r.devices("ethernet") {
		key := fmt.Sprintf("ethernet%d.", n)
		name := r.config.text(key + "virtualDev")
		model, why, known := appliance.AdapterModel(name)
		switch {
		case name == "" || strings.EqualFold(name, "flexible"):
			model, why = api.AdapterPCnet, ""
		case !known:
			model, why = api.AdapterE1000, fmt.Sprintf("the model %q is unknown; Intel's 82540EM is there instead", name)
		}
		mac := r.config.text(key + "generatedAddress")
		if strings.EqualFold(r.config.text(key+"addressType"), "static") || mac == "" {
			mac = r.config.text(key + "address")
		}
		adapter := r.Adapter(model, mac, r.network(key), !strings.EqualFold(r.config.text(key+"startConnected"), "false"))
		if why != "" {
			r.Notef("network adapter "+adapter, "%s", why)
		}
	}
	return nil
}

// network is the name of what an adapter is connected to.
func (r *reader) network(key string) string {
	for _, name := range []string{"networkName", "vnet", "dvs.portgroupId", "connectionType"} {
		if value := r.config.text(key + name); value != "" {
			return value
		}
	}
	return "bridged"
}

// ports reads serial and parallel lines.
func (r *reader) ports() {
	for _, n := range r.devices("serial") {
		r.Serial()
		if kind := r.config.text(fmt.Sprintf("serial%d.fileType", n)); kind != "" {
			r.Notef(fmt.Sprintf("serial line %d", n), "it was connected to a %s of its host; here it is for `panal console`", kind)
		}
	}
	for _, n := range r.devices("parallel") {
		r.Notef(fmt.Sprintf("parallel port %d", n), "machines have none here")
	}
}

// others notes what machines do not have here.
func (r *reader) others() {
	c := r.config
	if c.flag("sound.present") {
		r.Notef("sound card", "machines have none here")
	}
	for _, folder := range r.devices("sharedFolder") {
		r.Notef("shared folder "+c.text(fmt.Sprintf("sharedFolder%d.guestName", folder)), "folders are not shared with guests here")
	}
	for _, n := range r.devices("pciPassthru") {
		r.Notef(fmt.Sprintf("PCI device %d of the host", n), "devices of the host are not given to guests here")
	}
	for _, key := range []string{"sched.cpu.min", "sched.cpu.max", "sched.mem.min", "sched.mem.max", "sched.mem.minsize"} {
		value := c.text(key)
		if n, err := strconv.ParseInt(value, 10, 64); key == "sched.cpu.max" && err == nil && n > 0 && r.LimitCPU(n) {
			continue
		}
		if value != "" && value != "0" && value != "-1" && !strings.EqualFold(value, "unlimited") {
			r.Notef(key, "the reservation or limit of %s is not taken over", value)
		}
	}
	if c.flag("RemoteDisplay.vnc.enabled") {
		r.Notef("VNC server", "the screen is reached by `panal console --vnc`, not at a port of the host")
	}
	if c.text("encryption.keySafe") != "" || c.text("encryption.data") != "" {
		r.Notef("encryption", "the machine is encrypted; what its disks hold cannot be read without VMware")
	}
}

// cleanUUID writes "56 4d … -ae 86" as UUIDs are written.
func cleanUUID(value string) (string, bool) {
	digits := strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(value))
	if len(digits) != 32 || strings.Trim(digits, "0123456789abcdef") != "" || strings.Trim(digits, "0") == "" {
		return "", false
	}
	return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:], true
}
