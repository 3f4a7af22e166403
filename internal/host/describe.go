package host

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
)

// Describe says what the host offers. The counts of machines are the caller's
// to fill in.
func (h *Host) Describe(ctx context.Context) (api.Host, error) {
	total, free, err := memory()
	if err != nil {
		return api.Host{}, err
	}
	name, err := os.Hostname()
	if err != nil {
		return api.Host{}, err
	}
	described := api.Host{
		Name: name, CPUs: h.CPU().Threads, CPUModel: cpuinfo("model name"), Memory: total, MemoryFree: free,
		Kernel: kernel(), Privileged: os.Geteuid() == 0, Programs: programs(ctx),
		Architectures: h.architectures(ctx),
	}
	described.Processors = h.Processors(ctx)
	if h.user != nil {
		described.QEMUUser = h.user.Name
	}
	return described, nil
}

// architectures looks for all QEMUs at once.
func (h *Host) architectures(ctx context.Context) []api.ArchitectureState {
	all := []api.Architecture{api.X8664, api.AArch64, api.RISCV64}
	states := make([]api.ArchitectureState, len(all))
	var group sync.WaitGroup
	for i, arch := range all {
		group.Go(func() { states[i] = h.architecture(ctx, arch) })
	}
	group.Wait()
	return states
}

func (h *Host) architecture(ctx context.Context, arch api.Architecture) api.ArchitectureState {
	described := api.ArchitectureState{Architecture: arch}
	engine, err := h.Engine(ctx, arch)
	if err != nil {
		var p *api.Problem
		if errors.As(problem.Of(err), &p) {
			described.Why = p.Error()
		}
		return described
	}
	caps := engine.Capabilities
	described.Available, described.Why, described.Accelerator = true, engine.Why, engine.Accelerator
	described.QEMU, described.Version = caps.Binary, caps.Version
	for _, board := range machine.BoardsOf(arch) {
		if _, err := caps.ResolveMachine(string(board)); err == nil {
			described.MachineTypes = append(described.MachineTypes, string(board))
		}
	}
	described.Firmware = h.firmwares().Kinds(caps)
	return described
}

// memory is the host's memory in all, and what the kernel could give now.
func memory() (total, free api.Size, err error) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(words[1], 10, 64)
		switch words[0] {
		case "MemTotal:":
			total = api.Size(kib) * api.KiB
		case "MemAvailable:":
			free = api.Size(kib) * api.KiB
		}
	}
	return total, free, lines.Err()
}

func kernel() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
}

// programs looks for the other programs that machines need.
func programs(ctx context.Context) []api.Program {
	wanted := []api.Program{
		{Name: "swtpm", Purpose: "emulates a TPM"},
	}
	for i := range wanted {
		path, err := exec.LookPath(wanted[i].Name)
		if err != nil {
			continue
		}
		wanted[i].Path = path
		if out, err := exec.CommandContext(ctx, path, "--version").Output(); err == nil {
			wanted[i].Version = firstNumber(string(out))
		}
	}
	return wanted
}

// firstNumber is the first word of a program's version line that begins with a digit.
func firstNumber(text string) string {
	for word := range strings.FieldsSeq(text) {
		if word[0] >= '0' && word[0] <= '9' {
			return strings.TrimRight(word, ",;)")
		}
	}
	return ""
}
