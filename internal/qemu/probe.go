package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/cpumodel"
	"github.com/panalvm/panal/internal/qmp"
	"golang.org/x/sys/unix"
)

// probeLimit bounds the time that QEMU has to say what it can do.
const probeLimit = 20 * time.Second

// Probe asks a QEMU program what it can do, by running it without a machine.
// It takes a tenth of a second or two; [Cache] spares it.
func Probe(ctx context.Context, binary string) (Capabilities, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	caps, err := probe(ctx, binary)
	if err != nil {
		return Capabilities{}, fmt.Errorf("ask %s what it can do: %w", binary, err)
	}
	return caps, nil
}

func probe(ctx context.Context, binary string) (Capabilities, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return Capabilities{}, err
	}
	cmd := exec.CommandContext(ctx, binary, "-machine", "none", "-nodefaults", "-no-user-config", "-display", "none", "-S",
		"-chardev", "socket,id=qmp,fd=3", "-mon", "chardev=qmp,mode=control")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stderr = &said
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		_ = ours.Close()
		return Capabilities{}, err
	}
	caps, err := ask(ctx, ours)
	_ = cmd.Process.Kill() // there is nothing in it to lose
	_ = cmd.Wait()
	if err != nil {
		return Capabilities{}, withWords(err, said.String())
	}
	caps.Binary = binary
	return caps, nil
}

// withWords adds what a program said to an error.
func withWords(err error, said string) error {
	if said = strings.TrimSpace(said); said != "" {
		return fmt.Errorf("%w: it said %q", err, said)
	}
	return err
}

// socketPair makes a connection of which the other end is for a child.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "qmp"), os.NewFile(uintptr(fds[1]), "qmp")
	conn, err := net.FileConn(ours)
	_ = ours.Close()
	if err != nil {
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("use a socket: %w", err)
	}
	return conn, theirs, nil
}

// ask reads the capabilities over QMP.
func ask(ctx context.Context, conn net.Conn) (Capabilities, error) {
	client, err := qmp.New(ctx, conn)
	if err != nil {
		return Capabilities{}, err
	}
	defer client.Close()
	var caps Capabilities
	version := client.Greeting()
	caps.Version = fmt.Sprintf("%d.%d.%d", version.Major, version.Minor, version.Micro)
	arch, err := client.QueryTarget(ctx)
	caps.Architecture = api.Architecture(arch)
	return caps, errors.Join(err, askMachines(ctx, client, &caps), askTypes(ctx, client, &caps), askCPUFlags(ctx, client, &caps))
}

func askMachines(ctx context.Context, client *qmp.Client, caps *Capabilities) error {
	machines, err := client.QueryMachines(ctx)
	for _, m := range machines {
		caps.MachineTypes = append(caps.MachineTypes, MachineType{Name: m.Name, Alias: m.Alias, MaxCPUs: m.MaxCPUs})
	}
	slices.SortFunc(caps.MachineTypes, func(a, b MachineType) int { return strings.Compare(a.Name, b.Name) })
	return err
}

// askTypes reads which devices, CPU models and accelerators there are: all of
// them are types of QEMU's objects.
func askTypes(ctx context.Context, client *qmp.Client, caps *Capabilities) error {
	var failed error
	names := func(kind, suffix string) []string {
		types, err := client.QOMListTypes(ctx, kind, false)
		failed = errors.Join(failed, err)
		var names []string
		for _, t := range types {
			name := strings.TrimSuffix(t.Name, suffix)
			if suffix == "" || name != t.Name {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	caps.Devices = names("device", "")
	caps.Accelerators = names("accel", "-accel")
	caps.CPUModels = names("cpu", cpuSuffix(caps.Architecture))
	return failed
}

// askCPUFlags reads which features of processors QEMU knows, and which it can translate: what its model max has without KVM, which is how a QEMU without
// a machine runs. Other architectures have no such list.
func askCPUFlags(ctx context.Context, client *qmp.Client, caps *Capabilities) error {
	if caps.Architecture != api.X8664 || !caps.HasCPUModel("max") {
		return nil
	}
	properties, err := client.ExpandCPUModel(ctx, "max")
	for name, value := range properties {
		on, isFlag := value.(bool)
		if !isFlag || !isFeature(name) {
			continue
		}
		caps.CPUFlags = append(caps.CPUFlags, name)
		if on {
			caps.Emulated = append(caps.Emulated, name)
		}
	}
	slices.Sort(caps.CPUFlags)
	slices.Sort(caps.Emulated)
	return err
}

// isFeature tells the features of a processor from the other switches of QEMU's processors, and from its second names for features.
func isFeature(name string) bool {
	if cpumodel.Canonical(name) != name || strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "hv-") || strings.HasPrefix(name, "kvm") {
		return false
	}
	return !slices.Contains([]string{
		"acpi", "check", "enforce", "cpuid-0xb", "fill-mtrr-mask", "full-cpuid-auto-level", "host-cache-info", "host-phys-bits", "l3-cache",
		"legacy-cache", "lmce", "migratable", "pmu", "realized", "start-powered-off", "tcg-cpuid", "vmware-cpuid-freq", "xen-vapic", "hotplugged", "hotpluggable",
	}, name)
}

// cpuSuffix is what QEMU appends to a CPU model to make it a type.
func cpuSuffix(arch api.Architecture) string {
	switch arch {
	case api.AArch64:
		return "-arm-cpu"
	case api.RISCV64:
		return "-riscv-cpu"
	}
	return "-" + string(arch) + "-cpu"
}
