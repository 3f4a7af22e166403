package libvirt

import (
	"cmp"
	"fmt"
	"io/fs"
	"math/bits"
	"path"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/machine"
)

// Read reads a domain's XML.
func Read(files fs.FS, name string) (*appliance.Appliance, error) {
	data, err := appliance.ReadDescription(files, name)
	if err != nil {
		return nil, err
	}
	var d domain
	if err := appliance.DecodeXML(data, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r := &reader{domain: &d, files: files, dir: path.Dir(name), Builder: appliance.NewBuilder(d.Name)}
	if err := r.read(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := r.rest(data); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m := r.Finish()
	return &appliance.Appliance{
		Kind: appliance.KindLibvirt, Producer: "libvirt, " + cmp.Or(d.Type, "no type"), Name: m.Spec.Name, Machines: []appliance.Machine{m},
	}, nil
}

// reader turns a domain into a machine.
type reader struct {
	*appliance.Builder
	domain *domain
	files  fs.FS
	dir    string
	buses  map[string]string // "scsi0" to the name of the controller that it became
	order  map[string]string // a drive or adapter to its place in the boot order
}

func (r *reader) read() error {
	r.buses, r.order = map[string]string{}, map[string]string{}
	s := r.Spec()
	r.Name(r.domain.Name)
	s.UUID = strings.TrimSpace(r.domain.UUID)
	r.System(r.domain.System.ID)
	s.Description = appliance.CleanText(strings.TrimSpace(r.domain.Title + "\n" + r.domain.Description))
	if err := r.platform(); err != nil {
		return err
	}
	if err := r.processors(); err != nil {
		return err
	}
	if err := r.memory(); err != nil {
		return err
	}
	r.controllers()
	for _, disk := range r.domain.Devices.Disks {
		if err := r.disk(disk); err != nil {
			return err
		}
	}
	for _, i := range r.domain.Devices.Interfaces {
		r.adapter(i)
	}
	r.ports()
	r.others()
	r.bootOrder()
	return nil
}

// architectures are those that machines can have here, as libvirt calls them.
var architectures = map[string]api.Architecture{
	"": api.X8664, "x86_64": api.X8664, "i686": api.X8664, "aarch64": api.AArch64, "riscv64": api.RISCV64,
}

// platform reads architecture, board, firmware, clock and TPM.
func (r *reader) platform() error {
	os, s := r.domain.OS, r.Spec()
	arch, known := architectures[os.Type.Arch]
	if !known {
		return fmt.Errorf("its architecture is %s; machines here are x86_64, aarch64 or riscv64", os.Type.Arch)
	}
	if os.Type.Text == "exe" || r.domain.Type == "lxc" || r.domain.Type == "openvz" {
		return fmt.Errorf("it is a container (%s), not a machine", r.domain.Type)
	}
	s.Architecture = arch
	if board := machine.BoardOf(arch, os.Type.Machine); board != machine.BoardOther {
		r.Board(board)
	} else if os.Type.Machine != "" && arch == api.X8664 && !strings.HasPrefix(os.Type.Machine, "xenfv") {
		r.Notef("machine type", "%s is unknown; it gets the nearest that there is", os.Type.Machine)
	}
	s.Firmware.Type = api.BIOS
	if os.Firmware == "efi" || os.Loader != nil && (os.Loader.Type == "pflash" || strings.Contains(strings.ToLower(os.Loader.Path), "ovmf")) || arch == api.AArch64 {
		r.UEFI(arch == api.X8664 && r.secure())
	}
	if os.Kernel != "" {
		r.Notef("kernel", "it was started from the host's file %s; name it with --set kernel.image=…", os.Kernel)
	}
	if r.domain.Clock.Offset == "localtime" {
		s.RTC.Base = "localtime"
	}
	if tpm := r.domain.Devices.TPM; tpm != nil {
		r.TPM(map[string]string{"1.2": "1.2"}[tpm.Backend.Version])
	}
	return nil
}

// secure tells whether secure boot is asked for.
func (r *reader) secure() bool {
	for _, f := range r.domain.OS.Features {
		if f.Name == "secure-boot" {
			return f.Enabled == "yes"
		}
	}
	return r.domain.OS.Loader != nil && r.domain.OS.Loader.Secure == "yes"
}

func (r *reader) processors() error {
	count := 1
	for _, text := range []string{r.domain.VCPU.Count, r.domain.VCPU.Current} {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 4096 {
			return fmt.Errorf("%q is no number of CPUs", text)
		}
		count = n
	}
	cores := 0
	threads := 1
	if t := r.domain.CPU.Topology; t != nil {
		threads = min(max(t.Threads, 1), 4096)
		cores = min(max(t.Cores, 0), 4096) * min(max(t.Dies, 1), 4096) * threads
	}
	r.CPUs(count, min(cores, count))
	r.Threads(threads)
	if model := strings.TrimSpace(r.domain.CPU.Model); model != "" {
		r.Notef("CPU", "the model %s is not taken over; --set cpu.model=… chooses one", model)
	}
	if strings.TrimSpace(r.domain.Tune.Quota+r.domain.Tune.Shares) != "" {
		r.Notef("CPU", "limits and shares are not taken over")
	}
	return nil
}

// units are those of memory; libvirt's own default is KiB.
var units = map[string]int64{
	"": 1 << 10, "b": 1, "bytes": 1, "k": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mib": 1 << 20, "g": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tib": 1 << 40,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
}

func (r *reader) memory() error {
	size, err := r.domain.Memory.bytes()
	if err != nil {
		return err
	}
	if size == 0 {
		if size, err = r.domain.Current.bytes(); err != nil {
			return err
		}
	}
	if size == 0 {
		size = 512 << 20
		r.Notef("memory", "it is not said; it has %d MiB", size>>20)
	}
	r.Spec().Memory.Size = api.Size((size + 1<<20 - 1) &^ (1<<20 - 1))
	if r.domain.MaxMemory != nil {
		r.Notef("memory", "what can be added while it runs is not taken over; memory.maximum says it")
	}
	return nil
}

// bytes is an amount in bytes.
func (a amount) bytes() (int64, error) {
	text := strings.TrimSpace(a.Text)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	unit, known := units[strings.ToLower(a.Unit)]
	if err != nil || n < 0 || !known {
		return 0, fmt.Errorf("%q %s is no amount of memory", text, a.Unit)
	}
	if high, low := bits.Mul64(uint64(n), uint64(unit)); high == 0 && low <= 64<<40 {
		return int64(low), nil
	}
	return 0, fmt.Errorf("%s %s of memory are no hardware", text, a.Unit)
}
