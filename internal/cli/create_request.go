package cli

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
)

// request makes the request of the flags. A spec from a file comes first, and
// the other flags change it.
func (f *createFlags) request(a *app, name string) (api.CreateRequest, error) {
	var request api.CreateRequest
	if f.file != "" {
		read, err := a.readSpec(f.file)
		if err != nil {
			return request, err
		}
		request.Spec = read.spec
	}
	if err := f.refuseContradictions(); err != nil {
		return request, err
	}
	request.Set, request.Pool = f.set, f.pool
	spec := &request.Spec
	steps := []func(*api.Spec) error{f.names(name), f.processors, f.boot, f.network, f.media}
	for _, step := range steps {
		if err := step(spec); err != nil {
			return request, err
		}
	}
	disks, err := f.diskSources()
	request.Disks = disks
	return request, err
}

// refuseContradictions finds flags that cannot be meant together.
func (f *createFlags) refuseContradictions() error {
	switch {
	case f.detach && (f.start || f.wait):
		return usageError{"--detach and --start contradict each other"}
	case f.noNetwork && len(f.forwards) > 0:
		return usageError{"--no-network and --forward contradict each other"}
	case f.kernel == "" && (f.initrd != "" || f.commandLine != ""):
		return usageError{"--initrd and --append need --kernel"}
	}
	return nil
}

// names sets what the machine is called and described by.
func (f *createFlags) names(name string) func(*api.Spec) error {
	return func(spec *api.Spec) error {
		if name != "" {
			spec.Name = name
		}
		if f.description != "" {
			spec.Description = f.description
		}
		if f.autorun {
			spec.Autostart.Enabled = true
		}
		for _, label := range f.labels {
			key, value, found := strings.Cut(label, "=")
			if !found || key == "" {
				return usageError{fmt.Sprintf("--label takes NAME=VALUE, not %q", label)}
			}
			if spec.Labels == nil {
				spec.Labels = map[string]string{}
			}
			spec.Labels[key] = value
		}
		return nil
	}
}

// processors sets architecture, CPUs and memory.
func (f *createFlags) processors(spec *api.Spec) error {
	switch {
	case f.isSet("cpus") && f.cpus < 1:
		return usageError{"--cpus is 1 or more: CPU 0 is always there"}
	case f.isSet("max-cpus") && f.maxCPUs < max(f.cpus, 1):
		return usageError{"--max-cpus is 1 or more, and no less than --cpus"}
	case f.cpus > 0:
		spec.CPU = api.CPU{Count: f.cpus, Model: spec.CPU.Model}
	}
	if f.maxCPUs > 0 {
		if spec.CPU.Count == 0 {
			spec.CPU.Count = min(machine.DefaultCPUs, f.maxCPUs)
		}
		spec.CPU.Maximum, spec.CPU.Sockets, spec.CPU.Cores, spec.CPU.Threads = f.maxCPUs, 0, 0, 0
	}
	if f.memory != "" {
		memory, err := api.ParseMemory(f.memory)
		if err != nil {
			return usageError{"--memory: " + err.Error()}
		}
		spec.Memory.Size, spec.Memory.Minimum, spec.Memory.Maximum, spec.Memory.Start = memory.Size, memory.Minimum, memory.Maximum, 0
	}
	if f.arch != "" {
		spec.Architecture = api.Architecture(f.arch)
	}
	if f.machine != "" {
		spec.MachineType = f.machine
	}
	return nil
}

// boot sets firmware, TPM and direct kernel boot.
func (f *createFlags) boot(spec *api.Spec) error {
	switch f.firmware {
	case "":
	case "bios", "uefi":
		spec.Firmware = api.Firmware{Type: api.FirmwareType(f.firmware)}
	case "uefi-secure":
		spec.Firmware = api.Firmware{Type: api.UEFI, SecureBoot: true}
	default:
		return usageError{fmt.Sprintf("--firmware takes bios, uefi or uefi-secure, not %q", f.firmware)}
	}
	if f.tpm != "" {
		spec.TPM = &api.TPM{Version: f.tpm}
	}
	if f.kernel == "" {
		return nil
	}
	kernel := &api.Kernel{CommandLine: f.commandLine}
	var err error
	if kernel.Image, err = absolute(f.kernel); err == nil && f.initrd != "" {
		kernel.Initrd, err = absolute(f.initrd)
	}
	spec.Kernel = kernel
	return err
}

// network sets the adapters: the forwarded ports are the first one's.
func (f *createFlags) network(spec *api.Spec) error {
	if f.noNetwork {
		spec.Adapters = []api.Adapter{}
		return nil
	}
	for _, text := range f.forwards {
		forward, err := parseForward(text)
		if err != nil {
			return err
		}
		if len(spec.Adapters) == 0 {
			spec.Adapters = []api.Adapter{{Name: "net0"}}
		}
		spec.Adapters[0].Forwards = append(spec.Adapters[0].Forwards, forward)
	}
	return nil
}

// parseForward reads [tcp:|udp:][ADDRESS:]HOSTPORT:GUESTPORT. An IPv6 address
// stands in brackets.
func parseForward(text string) (api.Forward, error) {
	wrong := usageError{fmt.Sprintf("--forward takes [tcp:|udp:][ADDRESS:]HOSTPORT:GUESTPORT, such as 2222:22, not %q", text)}
	var forward api.Forward
	rest := text
	for _, protocol := range []string{"tcp", "udp"} {
		if after, found := strings.CutPrefix(rest, protocol+":"); found {
			forward.Protocol, rest = protocol, after
			break
		}
	}
	last := strings.LastIndexByte(rest, ':')
	if last < 0 {
		return forward, wrong
	}
	guest, rest := rest[last+1:], rest[:last]
	host := rest
	if last := strings.LastIndexByte(rest, ':'); last >= 0 {
		address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(rest[:last], "["), "]"))
		if err != nil {
			return forward, wrong
		}
		forward.HostAddress, host = address.String(), rest[last+1:]
	}
	hostPort, err := strconv.ParseUint(host, 10, 16)
	guestPort, err2 := strconv.ParseUint(guest, 10, 16)
	if err != nil || err2 != nil || hostPort == 0 || guestPort == 0 {
		return forward, wrong
	}
	forward.HostPort, forward.GuestPort = int(hostPort), int(guestPort)
	return forward, nil
}

// media sets the new disks and the optical drives.
func (f *createFlags) media(spec *api.Spec) error {
	for i, text := range f.newDisks {
		size, err := api.ParseSize(text)
		if err != nil {
			return usageError{"--new-disk: " + err.Error()}
		}
		spec.Drives = append(spec.Drives, api.Drive{Name: fmt.Sprintf("new%d", i), Kind: api.Disk, Size: size})
	}
	for i, file := range f.cdroms {
		path, err := absolute(file)
		if err != nil {
			return err
		}
		spec.Drives = append(spec.Drives, api.Drive{Name: fmt.Sprintf("cdrom%d", i), Kind: api.Optical, Mode: api.ReadOnly, Source: path})
	}
	return nil
}

// diskSources are the images to make drives of.
func (f *createFlags) diskSources() ([]api.DiskSource, error) {
	var sources []api.DiskSource
	for _, text := range f.disks {
		source, err := parseDisk(text)
		if err != nil {
			return nil, err
		}
		if source.Mode == "" {
			source.Mode = api.DriveMode(f.diskMode)
		}
		if err := checkMode(source.Mode); err != nil {
			return nil, err
		}
		sources = append(sources, source)
	}
	return sources, nil
}

// parseDisk reads FILE[,mode=MODE][,format=FORMAT][,snapshot=ID][,writemode=MODE][,autoreset=off]. The options are looked for
// from the end, so that a file's name can hold commas.
func parseDisk(text string) (api.DiskSource, error) {
	var source api.DiskSource
	options := map[string]func(string){
		"mode":     func(value string) { source.Mode = api.DriveMode(value) },
		"format":   func(value string) { source.Format = value },
		"snapshot": func(value string) { source.Snapshot = value },

		"writemode": func(value string) { source.WriteMode = api.WriteMode(value) },
		"autoreset": func(value string) { source.AutoReset = parseSwitch(value) },
	}
	for {
		comma := strings.LastIndexByte(text, ',')
		if comma < 0 {
			break
		}
		key, value, _ := strings.Cut(text[comma+1:], "=")
		set, known := options[key]
		if !known {
			break
		}
		set(value)
		text = text[:comma]
	}
	if strings.Contains(text, "://") { // served over the network
		source.Path = text
		return source, nil
	}
	var err error
	source.Path, err = absolute(text)
	return source, err
}

// checkMode refuses modes that do not exist.
func checkMode(mode api.DriveMode) error {
	switch mode {
	case "", api.Overlay, api.Own, api.ReadOnly, api.Attach:
		return nil
	}
	return usageError{fmt.Sprintf("a disk's mode is overlay, own, readonly or attach, not %q", mode)}
}

// parseSwitch reads on or off; anything but off is on.
func parseSwitch(text string) *bool {
	on := text != "off" && text != "no" && text != "false" && text != "0"
	return &on
}
