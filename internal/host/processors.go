package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/cpumodel"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/resource"
)

// sysCPU and sysNode are where Linux tells of processors and memory nodes (Documentation/ABI/stable/sysfs-devices-system-cpu and …-node).
const (
	sysCPU  = "/sys/devices/system/cpu"
	sysNode = "/sys/devices/system/node"
)

// CPU is how much CPU time the host has.
func (h *Host) CPU() resource.CPUHost {
	threads := len(OnlineCPUs())
	if threads == 0 {
		threads = runtime.NumCPU()
	}
	return resource.CPUHost{Threads: threads, MHz: megahertz()}
}

// OnlineCPUs are the numbers of the host's CPUs that run.
func OnlineCPUs() []int { return listIn(filepath.Join(sysCPU, "online")) }

// Nodes are the host's NUMA nodes with their CPUs.
func Nodes() []api.HostNode {
	var nodes []api.HostNode
	for _, id := range listIn(filepath.Join(sysNode, "online")) {
		cpus := listIn(filepath.Join(sysNode, "node"+strconv.Itoa(id), "cpulist"))
		nodes = append(nodes, api.HostNode{ID: id, CPUs: machine.FormatCPUList(cpus)})
	}
	return nodes
}

func listIn(file string) []int {
	list, err := machine.ParseCPUList(content(file))
	if err != nil {
		return nil
	}
	return list
}

func content(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// megahertz is the clock of one CPU at its fastest; 0 where the kernel does not tell.
func megahertz() float64 {
	if khz, err := strconv.ParseFloat(content(sysCPU+"/cpu0/cpufreq/cpuinfo_max_freq"), 64); err == nil {
		return khz / 1000
	}
	mhz, _ := strconv.ParseFloat(cpuinfo("cpu MHz"), 64)
	return mhz
}

// cpuinfo is the first value of a name in /proc/cpuinfo.
func cpuinfo(wanted string) string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == wanted {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Processors describes the host's processors; what machines have of them is the caller's to fill in.
func (h *Host) Processors(ctx context.Context) api.HostCPU {
	host := h.CPU()
	described := api.HostCPU{Threads: host.Threads, MHz: host.MHz, Nodes: Nodes(), Vendor: cpuinfo("vendor_id"), Steal: steal()}
	sockets, cores := map[string]bool{}, map[string]bool{}
	for _, cpu := range OnlineCPUs() {
		at := filepath.Join(sysCPU, "cpu"+strconv.Itoa(cpu), "topology")
		socket, core := content(filepath.Join(at, "physical_package_id")), content(filepath.Join(at, "core_id"))
		sockets[socket], cores[socket+"/"+core] = true, true
	}
	described.Sockets, described.Cores = len(sockets), len(cores)
	if engine, err := h.Engine(ctx, Native()); err == nil {
		described.Flags = CPUFlags(engine)
		described.Level = cpumodel.Level(described.Flags)
	}
	return described
}

// CPUFlags are the features that machines of x86_64 can have with an engine, by QEMU's names, sorted: the host's own that QEMU knows with KVM, else those that
// QEMU translates.
func CPUFlags(engine Engine) []string {
	if engine.Accelerator != "kvm" {
		return engine.Capabilities.Emulated
	}
	var flags []string
	for flag := range strings.FieldsSeq(cpuinfo("flags")) {
		if flag = cpumodel.Canonical(flag); slices.Contains(engine.Capabilities.CPUFlags, flag) {
			flags = append(flags, flag)
		}
	}
	slices.Sort(flags)
	return slices.Compact(flags)
}

// Nested is the feature by which guests of an engine can run machines of their own with hardware's help; empty where they cannot, with the reason.
func Nested(engine Engine) (flag, why string) {
	if engine.Accelerator != "kvm" {
		if slices.Contains(engine.Capabilities.Emulated, "svm") {
			return "svm", ""
		}
		return "", "QEMU does not translate it"
	}
	for module, flag := range map[string]string{"kvm_intel": "vmx", "kvm_amd": "svm"} {
		switch value := content("/sys/module/" + module + "/parameters/nested"); value {
		case "Y", "1":
			return flag, ""
		case "":
		default:
			return "", fmt.Sprintf("the module %s was loaded with nested=%s", module, value)
		}
	}
	return "", "the host's KVM does not offer it"
}

// steal is how much of the host's own CPU time went to whoever it shares its computer with, in percent since its boot (proc_stat(5)).
func steal() float64 {
	fields := strings.Fields(strings.SplitN(content("/proc/stat"), "\n", 2)[0])
	sum, stolen := 0.0, 0.0
	for i, field := range fields {
		if i == 0 || i > 8 {
			continue // the word cpu; guests' time is in user's already
		}
		ticks, _ := strconv.ParseFloat(field, 64)
		sum += ticks
		if i == 8 {
			stolen = ticks
		}
	}
	if sum == 0 {
		return 0
	}
	return 100 * stolen / sum
}
