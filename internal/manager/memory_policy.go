package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/cgroup"
	"github.com/panalvm/panal/internal/host"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/resource"
	"github.com/panalvm/panal/internal/resource/usage"
)

// keptByHost is how many bytes of its memory the host keeps for itself: what its settings
// say, else a twentieth, and 256 MiB at least where that is not too much.
func keptByHost(settings api.HostSettings, total int64) int64 {
	return cmp.Or(int64(settings.Memory.Reserve), max(total/20, min(256<<20, total/4)))
}

// admitMemory checks that the host has the memory that a machine wants beside those that
// run. What goes beyond the host's ratio is refused or comes back as a warning, as the
// host's settings say; a reservation that does not fit is refused always.
func (m *Manager) admitMemory(ctx context.Context, spec api.Spec) (warning string, err error) {
	settings, err := m.Settings(ctx)
	if err != nil {
		return "", err
	}
	now, err := usage.ReadHost()
	if err != nil {
		return "", err
	}
	if err := admitFixed(spec.Memory); err != nil && m.running(spec.UUID) == nil {
		return "", err
	}
	objects, err := m.present(ctx, spec.UUID)
	if err != nil {
		return "", err
	}
	var others []resource.MemoryClaim
	for _, object := range objects {
		others = append(others, resource.MemoryClaimOf(object.Value.Spec.Name, object.Value.Spec.Memory))
	}
	there := api.Size(now.Total - now.Huge - keptByHost(settings, now.Total))
	err = resource.AdmitMemory(there, others, resource.MemoryClaimOf(spec.Name, spec.Memory), settings.Memory.Ratio)
	var reserved *resource.MemoryOverreserved
	var many *resource.MemoryOvercommitted
	switch {
	case errors.As(err, &reserved):
		return "", problem.New(api.KindRefused, "lower memory.reserve (locked memory is reserved as a whole), or stop machines that have one", "%s", err)
	case errors.As(err, &many) && settings.Memory.Policy == "refuse":
		return "", problem.New(api.KindRefused, "stop machines, lower memory.maximum, or raise the host's with `panal host set memory.ratio=N`", "%s", err)
	case errors.As(err, &many):
		return err.Error(), nil
	}
	return "", err
}

// admitFixed checks that the host has the huge pages that a machine is made of, and lets its memory be locked.
func admitFixed(memory api.Memory) error {
	if memory.PageSize > 0 {
		needs := int(memory.Size / memory.PageSize)
		free, err := usage.HugePages(int64(memory.PageSize), listOf(memory.Nodes))
		if errors.Is(err, usage.ErrNoHugePages) {
			return problem.New(api.KindUnsupported, "set memory.pageSize to a size that the host has (ls /sys/kernel/mm/hugepages), or to nothing",
				"memory.pageSize is %v, and %s", memory.PageSize, err)
		}
		if err != nil {
			return err
		}
		if free < needs {
			return problem.New(api.KindRefused, fmt.Sprintf("have the host keep %d more (as root: echo N > /sys/kernel/mm/hugepages/hugepages-%dkB/nr_hugepages, with N larger by that), or set memory.pageSize to nothing",
				needs-free, memory.PageSize/api.KiB), "memory.pageSize is %v: of such pages the machine needs %d, and the host has %d free", memory.PageSize, needs, free)
		}
	}
	if !memory.Locked {
		return nil
	}
	may, err := process.MayLock()
	if needs := memory.Maximum + resource.Overhead(memory.Maximum); err == nil && int64(needs) > may {
		return problem.New(api.KindRefused, "raise it (LimitMEMLOCK= of the daemon's unit, or memlock in /etc/security/limits.conf), start the daemon as root, or set memory.locked to nothing",
			"memory.locked is set: with what its process needs the machine locks %d MiB, and the daemon's user may lock %d KiB (RLIMIT_MEMLOCK)", needs/api.MiB, may>>10)
	}
	return err
}

// fitsMemory checks a change of a spec's memory against the host: nodes that the spec did not name
// before, and of a machine that runs a reservation that grows.
func (m *Manager) fitsMemory(ctx context.Context, record *inventory.Record, before api.Spec) error {
	after := record.Spec.Memory
	if after.Nodes != before.Memory.Nodes {
		if wrong := placeableMemory(after); len(wrong) > 0 {
			return problem.Invalid(wrong, "the host lacks them")
		}
		if err := m.nodesMayChange(record.Spec); err != nil {
			return err
		}
	}
	if m.running(record.Spec.UUID) == nil || after.Reserve <= before.Memory.Reserve {
		return nil
	}
	_, err := m.admitMemory(ctx, record.Spec)
	return err
}

// nodesMayChange checks that the memory of a machine that runs can be moved between nodes.
func (m *Manager) nodesMayChange(spec api.Spec) error {
	if m.running(spec.UUID) == nil {
		return nil
	}
	const help = "change it while the machine is off"
	if lacks := m.controls.Lacks(cgroup.CPUSet); lacks != nil {
		return problem.New(api.KindUnsupported, help, "memory.nodes of a running machine cannot change: %s", lacks)
	}
	if machine.PlacementOf(spec.Memory) == api.NodesPreferred {
		return problem.New(api.KindUnsupported, help, "memory.nodes of a running machine cannot change where memory.placement is preferred, which the kernel takes at the start alone")
	}
	return nil
}

// placeableMemory checks that the host has the nodes that a memory is to come from.
func placeableMemory(memory api.Memory) []api.FieldError {
	var nodes []int
	for _, node := range host.Nodes() {
		nodes = append(nodes, node.ID)
	}
	lacking := slices.DeleteFunc(listOf(memory.Nodes), func(n int) bool { return slices.Contains(nodes, n) })
	if len(lacking) == 0 {
		return nil
	}
	return []api.FieldError{{Field: "memory.nodes", Message: fmt.Sprintf("names %s, and the NUMA nodes of this host are %s", machine.FormatCPUList(lacking), machine.FormatCPUList(nodes))}}
}

// heldForOthers is how many bytes reservations still keep from others: what machines have
// reserved and do not have yet.
func (m *Manager) heldForOthers() int64 {
	var held int64
	for _, r := range m.allRuns() {
		reserve := r.reserve.Load()
		if reserve == 0 {
			continue
		}
		if resident, err := usage.Resident(r.PID()); err == nil {
			held += max(0, reserve-resident)
		}
	}
	return held
}
