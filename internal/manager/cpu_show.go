package manager

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/cgroup"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/resource"
)

// DescribeHost adds what machines have of the host to what it offers, and its settings.
func (m *Manager) DescribeHost(ctx context.Context, described api.Host) (api.Host, error) {
	var err error
	if described.Settings, err = m.Settings(ctx); err != nil {
		return described, err
	}
	described.Controls = m.describeControls()
	objects, err := m.present(ctx, "")
	if err != nil {
		return described, err
	}
	cpus, whole := m.Host.CPU(), &described.Processors
	for i, claim := range claimsOf(objects, cpus) {
		one := m.machineCPU(ctx, objects[i], claim)
		whole.Allocated += one.CPUs
		whole.IOThreads += one.IOThreads
		whole.Reserved += one.Reserved
		whole.MachineCPUs = append(whole.MachineCPUs, one)
	}
	whole.Ratio = float64(whole.Allocated) / float64(max(1, cpus.Threads))
	return described, nil
}

// lackingFeatures warns of the features of a machine's CPU model that its guest has to do without. A level is refused where it is not to be
// had as a whole; host and max are what there is.
func (m *Manager) lackingFeatures(ctx context.Context, run *run, spec api.Spec) []string {
	name, _, _ := strings.Cut(spec.CPU.Model, ",")
	if spec.Architecture != api.X8664 || name == "" || name == "host" || name == "max" {
		return nil
	}
	lacking, err := run.LackingFeatures(ctx)
	if err != nil || len(lacking) == 0 {
		return nil
	}
	slices.Sort(lacking)
	return []string{fmt.Sprintf("cpu.model: of %s the guest does without %s, which there is not here", spec.CPU.Model, strings.Join(slices.Compact(lacking), ", "))}
}

// machineCPU is what one machine has of the host's processors.
func (m *Manager) machineCPU(ctx context.Context, object inventory.Object, claim resource.CPUClaim) api.MachineCPU {
	spec := object.Value.Spec
	one := api.MachineCPU{
		UUID: spec.UUID, Name: spec.Name, CPUs: max(spec.CPU.Count, object.Value.Status.CPUs), Cap: spec.CPU.Cap,
		Limit: claim.Limit, Reserved: claim.Reserved, Shares: claim.Shares,
	}
	run := m.running(object.Key)
	if run == nil {
		return one // it is being started
	}
	threads, err := promptGuest{run, m}.Threads(ctx)
	if err != nil {
		return one // it is ending, or stuck
	}
	one.IOThreads = len(threads.IO)
	var sum process.Times
	for tid := range threads.CPUs {
		if times, err := process.ThreadTimes(run.PID(), tid); err == nil {
			sum.Ran += times.Ran
			sum.Ready += times.Ready
		}
	}
	one.Used, one.Ready = sum.Ran.Seconds(), sum.Ready.Seconds()
	if all := one.Used + one.Ready; all > 0 {
		one.ReadyPercent = 100 * one.Ready / all
	}
	one.Throttled = m.throttled(spec.UUID, run)
	return one
}

// throttled is how many seconds a machine had to wait because of its limits.
func (m *Manager) throttled(uuid string, run *run) float64 {
	m.grouping.Lock()
	defer m.grouping.Unlock()
	group, err := m.controls.Hold(uuid, run.PID())
	if err != nil {
		return 0
	}
	usage, err := group.CPUUsage()
	if err != nil {
		return 0
	}
	sum := usage.ThrottledTime
	for _, name := range group.Parts() {
		part, err := group.Part(name)
		if err != nil {
			continue
		}
		if usage, err := part.Usage(); err == nil {
			sum += usage.ThrottledTime
		}
	}
	return sum.Seconds()
}

// describeControls tells what the host lets Panal control, and what is done where it does not.
func (m *Manager) describeControls() []api.HostControl {
	instead := map[cgroup.Controller]string{
		cgroup.CPU:    "limits are held by whole CPUs, fewer shares by niceness; reservations are kept at admission alone",
		cgroup.CPUSet: "threads are placed by their affinity, which needs none; memory stays where it was first used",
		cgroup.Memory: "nothing limits what a machine takes of the host's memory but its own size",
	}
	var all []api.HostControl
	for _, c := range []cgroup.Controller{cgroup.CPU, cgroup.CPUSet, cgroup.Memory} {
		control := api.HostControl{Name: string(c), Available: true, Version: m.controls.Version(c)}
		if lacks := m.controls.Lacks(c); lacks != nil {
			control.Available, control.Why, control.Instead = false, lacks.Reason, instead[c]
		}
		all = append(all, control)
	}
	return slices.Clip(all)
}
