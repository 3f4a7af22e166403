package manager

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/cgroup"
	"github.com/panalvm/panal/internal/host"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/resource"
	"github.com/panalvm/panal/internal/runner"
)

// controlsName is the name of this daemon's place among the host's control groups: daemons of other data directories have others.
func controlsName(data string) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(data))
	return fmt.Sprintf("panal-%08x", sum.Sum32())
}

// cpuWarning begins what a machine's status says of CPU time that it cannot be given.
const cpuWarning = "CPU time: "

// schedule gives a running machine the CPU time and the places that its spec says, and holds its memory to what that says. What the host lacks
// for that comes back in plain words.
func (m *Manager) schedule(ctx context.Context, run *run, spec api.Spec) ([]string, error) {
	threads, err := run.Threads(ctx)
	if err != nil {
		return nil, err
	}
	claim := resource.ClaimOf(spec.Name, spec.CPU, m.Host.CPU())
	m.grouping.Lock()
	defer m.grouping.Unlock()
	group, err := m.controls.Hold(spec.UUID, run.PID())
	if err != nil {
		return []string{cpuWarning + err.Error()}, m.pinThreads(spec, threads, 0)
	}
	warnings, err := m.limitMemory(group, spec.Memory)
	if err != nil {
		return nil, err
	}
	if lacks := m.controls.Lacks(cgroup.CPU); lacks != nil {
		more, err := m.makeDo(spec, threads, claim, lacks)
		return append(warnings, more...), err
	}
	if err := limitThreads(group, threads, claim); err != nil {
		return nil, err
	}
	return warnings, m.pinThreads(spec, threads, 0)
}

// vcpuPart is the name of the group of a thread that runs CPUs of the machine.
func vcpuPart(cpus []int) string { return fmt.Sprintf("vcpu%d", slices.Min(cpus)) }

// limitThreads sets the limit of the machine and, below it, that of each thread that runs CPUs. Version 1 refuses a part that has more than the
// whole, at every step on the way.
func limitThreads(group *cgroup.Group, threads runner.Threads, claim resource.CPUClaim) error {
	parts := map[*cgroup.Part]float64{}
	for tid, cpus := range threads.CPUs {
		part, err := group.Part(vcpuPart(cpus))
		if err != nil {
			return err
		}
		percent := claim.ThreadPercent(len(cpus))
		if claim.Limit > 0 && percent > claim.Limit {
			percent = 0 // the machine's own limit is narrower
		}
		parts[part] = percent
		if err := errors.Join(part.Add(tid), part.SetBandwidth(cgroup.BandwidthOf(0))); err != nil {
			return err
		}
	}
	if err := group.SetBandwidth(cgroup.BandwidthOf(claim.Limit)); err != nil {
		return err
	}
	for part, percent := range parts {
		if err := part.SetBandwidth(cgroup.BandwidthOf(percent)); err != nil {
			return err
		}
	}
	return nil
}

// makeDo does what is left without control groups: a limit becomes a number of whole CPUs that the machine may run on, fewer shares a higher niceness.
func (m *Manager) makeDo(spec api.Spec, threads runner.Threads, claim resource.CPUClaim, lacks *cgroup.LackingError) ([]string, error) {
	var warnings []string
	whole := 0
	if claim.IsLimited() {
		whole = resource.WholeCPUs(claim.Most(), m.Host.CPU().Threads)
		instead := "it is not held at all"
		if whole > 0 && spec.CPU.Pin == "" && spec.CPU.Nodes == "" {
			instead = fmt.Sprintf("instead of to %.4g%% of a CPU it is held to whole CPUs, %d of them", claim.Most(), whole)
		}
		warnings = append(warnings, cpuWarning+"its cap or limit cannot be set as it is: "+lacks.Error()+"; "+instead)
	}
	nice, kept := resource.NiceOf(claim.Shares), false
	for _, tid := range everyThread(threads) {
		if err := unlessEnded(process.SetNice(tid, nice)); err != nil && !kept {
			kept = true
			warnings = append(warnings, cpuWarning+"its shares cannot be raised again before its next start: "+lacks.Error())
		}
	}
	if claim.Shares > resource.DefaultShares {
		warnings = append(warnings, cpuWarning+"more than the usual shares cannot be given: "+lacks.Error())
	}
	return warnings, m.pinThreads(spec, threads, whole)
}

func everyThread(threads runner.Threads) []int {
	all := slices.Concat(threads.IO, threads.Emulator)
	for tid := range threads.CPUs {
		all = append(all, tid)
	}
	return all
}

// pinThreads lets each thread run where the spec says: on its pins, else on the CPUs of its nodes, else on so many whole CPUs, else anywhere.
func (m *Manager) pinThreads(spec api.Spec, threads runner.Threads, whole int) error {
	cpu := spec.CPU
	anywhere := m.anywhere
	if whole > 0 && whole < len(anywhere) {
		sum := fnv.New32a()
		_, _ = sum.Write([]byte(spec.UUID)) // machines begin at different ones
		var some []int
		for i := range whole {
			some = append(some, anywhere[(int(sum.Sum32()%uint32(len(anywhere)))+i)%len(anywhere)])
		}
		anywhere = some
	}
	if cpu.Nodes != "" {
		anywhere = onNodes(cpu.Nodes)
	}
	pins, err := machine.ParsePins(cpu.Pin)
	if err != nil {
		return err
	}
	var failed []error
	pin := func(tid int, cpus []int) {
		if len(cpus) == 0 {
			cpus = anywhere
		}
		failed = append(failed, unlessEnded(process.SetAffinity(tid, cpus)))
	}
	for tid, guest := range threads.CPUs {
		var cpus []int
		for _, one := range guest {
			cpus = append(cpus, pins.For(one)...)
		}
		pin(tid, cpus)
	}
	for _, tid := range threads.IO {
		pin(tid, listOf(cpu.PinIOThreads))
	}
	for _, tid := range threads.Emulator {
		pin(tid, listOf(cpu.PinEmulator))
	}
	return errors.Join(failed...)
}

// listOf reads a list that was checked before.
func listOf(text string) []int {
	list, err := machine.ParseCPUList(text)
	if err != nil {
		return nil
	}
	return list
}

// onNodes are the CPUs of some of the host's nodes.
func onNodes(nodes string) []int {
	var cpus []int
	for _, node := range host.Nodes() {
		if slices.Contains(listOf(nodes), node.ID) {
			cpus = append(cpus, listOf(node.CPUs)...)
		}
	}
	return cpus
}

// placeable checks that the host has the CPUs and nodes that a spec names.
func placeable(cpu api.CPU) []api.FieldError {
	var wrong []api.FieldError
	online := host.OnlineCPUs()
	pins, _ := machine.ParsePins(cpu.Pin)
	var nodes []int
	for _, node := range host.Nodes() {
		nodes = append(nodes, node.ID)
	}
	for _, place := range []struct {
		field, what string
		wanted, has []int
	}{
		{"cpu.pin", "CPUs", pins.Hosts(), online},
		{"cpu.pinEmulator", "CPUs", listOf(cpu.PinEmulator), online},
		{"cpu.pinIOThreads", "CPUs", listOf(cpu.PinIOThreads), online},
		{"cpu.nodes", "NUMA nodes", listOf(cpu.Nodes), nodes},
	} {
		lacking := slices.DeleteFunc(place.wanted, func(n int) bool { return slices.Contains(place.has, n) })
		if len(lacking) > 0 {
			wrong = append(wrong, api.FieldError{Field: place.field, Message: fmt.Sprintf("names %s, and the %s that run on this host are %s",
				machine.FormatCPUList(lacking), place.what, machine.FormatCPUList(place.has))})
		}
	}
	return wrong
}

// kernelHolds is what of a memory the kernel holds a machine to.
func kernelHolds(m api.Memory) api.Memory {
	return api.Memory{Limit: m.Limit, Reserve: m.Reserve, Swap: m.Swap, Reclaim: m.Reclaim, Nodes: m.Nodes, Sharing: m.Sharing}
}

// turnScheduling brings about what has changed of a running machine's CPU time and places, and of what its memory is held to.
func (m *Manager) turnScheduling(ctx context.Context, run *run, record *inventory.Record, before api.Spec) error {
	spec := record.Spec
	if spec.CPU == before.CPU && kernelHolds(spec.Memory) == kernelHolds(before.Memory) {
		return nil
	}
	warnings, err := m.schedule(ctx, run, spec)
	if err != nil {
		_, back := m.schedule(context.WithoutCancel(ctx), run, before)
		return errors.Join(err, back)
	}
	noteLacks(record, warnings)
	return nil
}

// noteLacks puts into a machine's status what it cannot be given, in the place of what was there before.
func noteLacks(record *inventory.Record, warnings []string) {
	record.Status.Warnings = append(without(without(record.Status.Warnings, cpuWarning), memoryWarning), warnings...)
}

// released removes the control groups of machines that have ended, and gives the others their weights.
func (m *Manager) released() {
	m.grouping.Lock()
	err := m.controls.Sweep(func(uuid string) bool { return m.running(uuid) != nil })
	m.grouping.Unlock()
	if err != nil {
		m.log.Debug("a control group could not be removed; it is when the next machine ends", "error", err)
	}
	m.reweigh(m.base)
}

// reweigh tells the kernel what running machines get when CPUs are scarce: each its part by its shares, and no less than its reservation.
func (m *Manager) reweigh(ctx context.Context) {
	if m.controls.Lacks(cgroup.CPU) != nil {
		return
	}
	objects, err := m.present(ctx, "")
	if err != nil {
		return // it is ending
	}
	m.grouping.Lock()
	defer m.grouping.Unlock()
	cpus := m.Host.CPU()
	weights := resource.CPUWeights(cpus.Capacity(), claimsOf(objects, cpus))
	for i, object := range objects {
		run := m.running(object.Key)
		if run == nil {
			continue
		}
		group, err := m.controls.Hold(object.Key, run.PID())
		if err == nil {
			err = group.SetWeight(weights[i])
		}
		if err != nil {
			m.log.Debug("the weight of a machine could not be set", "machine", object.Value.Spec.Name, "error", err)
		}
	}
}

// present are the machines that have a process or are about to, without one of them, by name.
func (m *Manager) present(ctx context.Context, without string) ([]inventory.Object, error) {
	rows, _, err := m.inv.List(ctx, func(row *api.Summary) bool {
		return row.UUID != without && row.State != api.StateOff && row.State != api.StateSaved
	})
	if err != nil {
		return nil, err
	}
	var objects []inventory.Object
	for _, row := range rows {
		object, err := m.inv.Get(ctx, row.UUID)
		if err == nil {
			objects = append(objects, object)
		} else if err := unlessGone(err); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

func claimsOf(objects []inventory.Object, cpus resource.CPUHost) []resource.CPUClaim {
	claims := make([]resource.CPUClaim, len(objects))
	for i, object := range objects {
		claims[i] = resource.ClaimOf(object.Value.Spec.Name, object.Value.Spec.CPU, cpus)
	}
	return claims
}

// admit checks that the host has what a machine is to be started with, and tells what is to be said of it nevertheless. The caller holds starts.
func (m *Manager) admit(ctx context.Context, record inventory.Record) (warnings []string, err error) {
	if wrong := append(placeable(record.Spec.CPU), placeableMemory(record.Spec.Memory)...); len(wrong) > 0 {
		return nil, problem.Invalid(wrong, "the host has not what its spec names")
	}
	warning, err := m.admitCPU(ctx, record.Spec)
	if warning != "" {
		warnings = append(warnings, warning)
	}
	if err != nil {
		return warnings, err
	}
	if warning, err = m.admitMemory(ctx, record.Spec); warning != "" {
		warnings = append(warnings, warning)
	}
	return warnings, err
}

// fits checks a change of a spec against the host: of a machine that runs, and places that the spec did not name before.
func (m *Manager) fits(ctx context.Context, record *inventory.Record, before api.Spec) error {
	after := record.Spec.CPU
	if err := m.fitsMemory(ctx, record, before); err != nil || after == before.CPU {
		return err
	}
	if namedPlaces(after) != namedPlaces(before.CPU) {
		if wrong := placeable(after); len(wrong) > 0 {
			return problem.Invalid(wrong, "the host lacks them")
		}
	}
	if m.running(record.Spec.UUID) == nil || (after.Count <= before.CPU.Count && after.Reservation == before.CPU.Reservation) {
		return nil
	}
	warning, err := m.admitCPU(ctx, record.Spec)
	if warning != "" {
		record.Status.Warnings = addOnce(record.Status.Warnings, warning)
	}
	return err
}

// namedPlaces are the parts of a spec that name CPUs and nodes of the host.
func namedPlaces(cpu api.CPU) [4]string {
	return [4]string{cpu.Pin, cpu.PinEmulator, cpu.PinIOThreads, cpu.Nodes}
}

// admitCPU checks that the host has what a machine wants beside those that run. What goes beyond the host's ratio of CPUs is refused or comes back as a
// warning, as the host's settings say; a reservation that does not fit is refused always.
func (m *Manager) admitCPU(ctx context.Context, spec api.Spec) (warning string, err error) {
	settings, err := m.Settings(ctx)
	if err != nil {
		return "", err
	}
	objects, err := m.present(ctx, spec.UUID)
	if err != nil {
		return "", err
	}
	cpus := m.Host.CPU()
	if spec.CPU.Reservation != "" && spec.CPU.Reservation.Of(cpus.MHz) == 0 {
		return "", problem.New(api.KindUnsupported, "give it in percent of one CPU", "%s: cpu.reservation is in MHz, and this host does not tell how fast it is", spec.Name)
	}
	err = resource.AdmitCPU(cpus, claimsOf(objects, cpus), resource.ClaimOf(spec.Name, spec.CPU, cpus), settings.CPU.Ratio)
	var reserved *resource.Overreserved
	var many *resource.Overcommitted
	switch {
	case errors.As(err, &reserved):
		return "", problem.New(api.KindRefused, "lower cpu.reservation, or stop machines that have one (`panal host show`)", "%s", err)
	case errors.As(err, &many) && settings.CPU.Policy == "refuse":
		return "", problem.New(api.KindRefused, "stop machines, or raise it with `panal host set cpu.ratio=N`", "%s", err)
	case errors.As(err, &many):
		return err.Error(), nil
	}
	return "", err
}

// unlessEnded is an error of doing something with a thread, but for that it has ended.
func unlessEnded(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}
