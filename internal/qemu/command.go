package qemu

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/cpumodel"
	"github.com/panalvm/panal/internal/machine"
)

// maxSocketPath is what Linux takes for a Unix socket's path, without its
// closing zero.
const maxSocketPath = 107

// Command returns how to start a machine. It is pure: the same Launch gives
// the same Invocation, and nothing is looked up or opened.
//
// What the spec asks for and this QEMU does not have is an *UnsupportedError.
func Command(launch Launch) (Invocation, error) {
	b := &builder{Launch: launch}
	b.process()
	b.board()
	b.processors()
	b.memory()
	b.firmware()
	b.monitor()
	b.base()
	b.memoryDevices()
	b.storage()
	b.adapters()
	b.serials()
	b.agent()
	b.display()
	b.security()
	b.boot()
	if b.err != nil {
		return Invocation{}, fmt.Errorf("build QEMU's arguments for machine %q: %w", launch.Spec.Name, b.err)
	}
	return Invocation{Binary: launch.Caps.Binary, Args: b.args, Files: b.files, Lines: b.lines, Served: b.fromServer, LinksDown: b.down, Locks: b.Spec.Memory.Locked}, nil
}

// process appends what is about the process, not the machine.
func (b *builder) process() {
	b.add("-name", options("guest", b.Spec.Name, "debug-threads", "on"))
	b.add("-uuid", b.Spec.UUID)
	b.add("-nodefaults")
	b.add("-no-user-config")
	b.add("-msg", "timestamp=on")
	b.add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
	b.add("-pidfile", b.runtime(PIDFile))
	// QEMU stays, paused, when the guest has ended: a daemon that was away at that moment can still ask why.
	b.add("-action", "shutdown=pause,panic=pause,reboot=reset")
	if b.Incoming {
		b.add("-incoming", "defer")
	}
	if b.Incoming || b.Paused {
		b.add("-S")
	}
}

// runtime returns the path of a file in the runtime directory.
func (b *builder) runtime(name string) string {
	return path.Join(b.RuntimeDir, name)
}

// socket returns the path of a socket in the runtime directory.
func (b *builder) socket(name string) string { return b.checked(b.runtime(name)) }

// checked returns the path of a socket.
func (b *builder) checked(full string) string {
	if len(full) > maxSocketPath {
		b.fail(fmt.Errorf("the socket's path %s has %d bytes, and %d are the most; use a runtime directory with a shorter path",
			full, len(full), maxSocketPath))
	}
	return full
}

// board appends the machine type and the accelerator.
func (b *builder) board() {
	wanted := b.MachineType
	if wanted == "" {
		wanted = b.Spec.MachineType
	}
	resolved, err := b.Caps.ResolveMachine(wanted)
	if err != nil {
		b.fail(err)
	}
	if resolved.MaxCPUs > 0 && b.Spec.CPU.Maximum > resolved.MaxCPUs {
		b.unsupported("cpu.maximum", fmt.Sprintf("machine type %s takes at most %d CPUs", resolved.Name, resolved.MaxCPUs), "")
	}
	b.add("-machine", resolved.Name+b.boardOptions())
	if !slices.Contains(b.Caps.Accelerators, b.Accelerator) {
		b.unsupported("architecture", fmt.Sprintf("%s was built without %s", b.Caps.Binary, b.Accelerator), "")
	}
	if b.Accelerator == "tcg" {
		b.add("-accel", "tcg,thread=multi")
	} else {
		b.add("-accel", b.Accelerator)
	}
}

// boardOptions returns the machine type's options, a comma before each.
func (b *builder) boardOptions() string {
	text := ",dump-guest-core=off,mem-merge=off"
	if b.ownBackend() {
		text += ",memory-backend=" + ramName(b.Spec.Architecture)
	}
	if b.isX86() {
		text += ",usb=off,vmport=off"
	}
	if b.usesFlash() && b.Firmware.SMM && b.isX86() {
		text += ",smm=on"
	}
	if b.usesFlash() {
		text += ",pflash0=" + codeNode + ",pflash1=" + varsNode
	}
	return text
}

func (b *builder) isX86() bool { return b.Spec.Architecture == api.X8664 }

// family returns the board of the machine.
func (b *builder) family() machine.Board {
	return machine.BoardOf(b.Spec.Architecture, b.Spec.MachineType)
}

// processors appends the CPUs.
func (b *builder) processors() {
	cpu := b.Spec.CPU
	b.add("-cpu", b.cpuModel())
	b.add("-smp", fmt.Sprintf("cpus=%d,maxcpus=%d,sockets=%d,cores=%d,threads=%d",
		cpu.Count, cpu.Maximum, cpu.Sockets, cpu.Cores, cpu.Threads))
}

// cpuModel returns the CPU model with its flags: the spec's or, where it has
// none, all that the accelerator can do.
func (b *builder) cpuModel() string {
	name, flags, _ := strings.Cut(b.Spec.CPU.Model, ",")
	model := b.namedCPU(name)
	if flags != "" {
		b.checkFlags(flags)
		model += "," + flags
	}
	switch b.Spec.CPU.Nested {
	case "off":
		model += ",-vmx,-svm"
	case "on":
		if b.NestedFlag == "" {
			b.unsupported("cpu.nested", "guests cannot run machines of their own here: "+b.NestedWhy, "set it off, or leave it out")
		}
		model += ",+" + b.NestedFlag
	}
	return model
}

// checkFlags refuses features to be added that machines here cannot have: QEMU would
// leave them out, and say so in its log alone.
func (b *builder) checkFlags(flags string) {
	if !b.isX86() || len(b.CPUFlags) == 0 {
		return // nobody knows what there is
	}
	var unknown, lacking []string
	for flag := range strings.SplitSeq(flags, ",") {
		name, added := strings.CutPrefix(flag, "+")
		name = strings.ReplaceAll(cpumodel.Canonical(name), "_", "-")
		switch {
		case !added || !isFeature(name) || slices.Contains(b.CPUFlags, name):
		case slices.Contains(b.Caps.CPUFlags, name) && b.Accelerator == "kvm":
			// The kernel's names are not all QEMU's: what it could not add is told once it runs.
		case slices.Contains(b.Caps.CPUFlags, name):
			lacking = append(lacking, name)
		default:
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		b.unsupported("cpu.model", fmt.Sprintf("%s %s knows no CPU feature %s", b.Caps.Binary, b.Caps.Version, strings.Join(unknown, ", ")), "leave it out")
	}
	if len(lacking) > 0 {
		b.unsupported("cpu.model", "machines here cannot have the CPU feature "+strings.Join(lacking, ", "), "leave it out, or run the machine on a host that has it")
	}
}

// namedCPU is a model without flags of the spec's.
func (b *builder) namedCPU(name string) string {
	if name == "" {
		return b.bestCPU()
	}
	if level, ok := cpumodel.Arguments(name); ok && b.isX86() {
		if missing := cpumodel.Missing(name, b.CPUFlags); len(b.CPUFlags) > 0 && len(missing) > 0 {
			b.unsupported("cpu.model", fmt.Sprintf("machines here cannot be of the level %s: there is no %s", name, strings.Join(missing, ", ")),
				"the highest level here is "+cpumodel.Level(b.CPUFlags))
		}
		return level
	}
	if name == "host" && b.Accelerator != "kvm" {
		b.unsupported("cpu.model", "host is only to be had with KVM, and this machine runs without", "use max, or leave it out")
	}
	if !b.Caps.HasCPUModel(name) {
		b.unsupported("cpu.model", fmt.Sprintf("%s %s has no CPU model %s", b.Caps.Binary, b.Caps.Version, name), "")
	}
	return name
}

// bestCPU returns the model with all that the accelerator can do. QEMU has no
// max for riscv64 before version 8.2.
func (b *builder) bestCPU() string {
	for _, name := range []string{"host", "max", "rv64"} {
		if b.Caps.HasCPUModel(name) && (name != "host" || b.Accelerator == "kvm") {
			return name
		}
	}
	b.unsupported("cpu.model", b.Caps.Binary+" has no general CPU model", "name one")
	return ""
}

// boot appends what is started, and in which order.
func (b *builder) boot() {
	b.add("-boot", "strict=on,menu="+onOff(b.Spec.Boot.Menu))
	b.add("-rtc", "base="+b.Spec.RTC.Base)
	switch k := b.Spec.Kernel; {
	case k != nil:
		b.add("-kernel", b.copied(k.Image))
		if k.Initrd != "" {
			b.add("-initrd", b.copied(k.Initrd))
		}
		if k.CommandLine != "" {
			b.add("-append", k.CommandLine)
		}
	case b.Firmware.Loader != "":
		b.add("-kernel", b.copied(b.Firmware.Loader))
	}
}

// copied appends a file that QEMU opens by a path, without descriptor sets.
func (b *builder) copied(name string) string {
	return "/proc/self/fd/" + strconv.Itoa(b.open(name, Copy))
}

// secret appends a file with a secret, and returns the path that QEMU has it at.
func (b *builder) secret(name string) string {
	return "/proc/self/fd/" + strconv.Itoa(b.open(name, Secret))
}

// inline appends a file that has a content and no name, and returns its descriptor.
func (b *builder) inline(what string, content []byte) int {
	b.files = append(b.files, File{Path: what, Access: Inline, Content: content})
	return FirstFD + len(b.files) - 1
}

// bootIndex gives a device its place in the boot order, counted from 1.
func (b *builder) bootIndex(o object, name string) {
	if at := slices.Index(machine.BootOrder(b.Spec), name); at >= 0 {
		o["bootindex"] = at + 1
	}
}
