package manager

import (
	"fmt"
	"maps"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/cgroup"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/plan/memory"
	"github.com/panalvm/panal/internal/resource"
	"github.com/panalvm/panal/internal/resource/usage"
)

const (
	// lookAtSwap is how often it is looked what there is to move memory out into, while
	// nothing is moved.
	lookAtSwap = 5 * time.Second
	// sayAgain is how often the same is said of a machine whose memory goes on being moved out.
	sayAgain = 10 * time.Second
)

// cellar is what the controller knows of memory that is moved out. It belongs to the
// controller's goroutine.
type cellar struct {
	state   memory.Reclaimed
	swap    usage.Swap
	looked  time.Time
	fetched map[string]int64 // bytes that each process had waited for
	saved   int64            // by sharing, when it was looked last
	finds   time.Time        // when sharing had found something last
	said    map[string]saidStep
	told    memory.Told
	now     *api.HostMemory // as it was told; nil while it never was
	read    bool            // what an earlier daemon has told was read
}

// saidStep is what was said of a machine last.
type saidStep struct {
	action memory.Action
	at     time.Time
}

// moveOut moves cold memory out where the host runs short, or machines are above their limits.
func (c *memoryController) moveOut(now time.Time, elapsed time.Duration, host memory.Host, settings api.HostSettings, ballooning int64) {
	runs := c.allRuns()
	pressed := host.Free < 0 || host.Pressure >= memory.ReclaimDefaults.Pressure || anyLimited(runs)
	if pressed || now.Sub(c.cellar.looked) >= lookAtSwap {
		c.cellar.swap, c.cellar.looked = usage.ReadSwap(), now
		c.reclaiming.note(c.describeReclaim(settings))
	}
	if !pressed {
		c.cellar.state, c.cellar.fetched = memory.Reclaimed{Processes: c.cellar.state.Processes}, nil
		c.tellStage(now, settings)
		return
	}
	maps.DeleteFunc(c.cellar.said, func(uuid string, _ saidStep) bool { return runs[uuid] == nil })
	means := memory.Means{
		Ballooning: ballooning, Sharing: c.sharingFinds(now), CompressRoom: c.cellar.swap.Room, SwapRoom: c.cellar.swap.DiskRoom,
		Compressor: c.cellar.swap.Compressor, HasSwap: c.cellar.swap.HasDisk,
	}
	var processes []memory.Process
	if lacks := c.controls.Lacks(cgroup.Memory); lacks != nil {
		means.Barred = kernelChooses(lacks) // nobody can be asked
	} else {
		processes = c.processes(runs, settings, elapsed)
	}
	var steps []memory.Reclamation
	steps, c.cellar.state = memory.Reclaim(memory.ReclaimDefaults, now, elapsed, host, means, processes, c.cellar.state)
	c.tellStage(now, settings)
	for _, step := range steps {
		c.reclaim(runs[step.ID], step, now)
	}
}

// processes are the processes of all machines that are not ending, and whose memory is not being moved out now.
func (c *memoryController) processes(runs map[string]*run, settings api.HostSettings, elapsed time.Duration) []memory.Process {
	var processes []memory.Process
	fetched := map[string]int64{}
	for uuid, r := range runs {
		if p, ok := c.process(uuid, r, settings, elapsed, fetched); ok {
			processes = append(processes, p)
		}
	}
	c.cellar.fetched = fetched
	return processes
}

func anyLimited(runs map[string]*run) bool {
	for _, r := range runs {
		if held := r.holds.Load(); held != nil && held.memory.Limit > 0 {
			return true
		}
	}
	return false
}

// process is what is known of a machine's process; ok is false of one that is ending, or whose
// memory is being moved out now.
func (c *memoryController) process(uuid string, r *run, settings api.HostSettings, elapsed time.Duration, fetched map[string]int64) (p memory.Process, ok bool) {
	held := r.holds.Load()
	has, err := usage.Resident(r.PID())
	if held == nil || err != nil {
		return p, false
	}
	waited, err := usage.Fetched(r.PID())
	if err != nil {
		return p, false
	}
	fetched[uuid] = waited
	p = memory.Process{
		ID: uuid, Has: has, Limit: int64(held.memory.Limit), Most: -1, Shares: machine.SharesOf(held.memory),
		Reach: reachOf(machine.ReclaimOf(held.memory, settings.Memory.Reclaim)),
	}
	if held.memory.Reserve > 0 {
		p.Keep = int64(held.memory.Reserve + resource.Overhead(held.memory.Maximum))
	}
	if before, known := c.cellar.fetched[uuid]; known && elapsed > 0 {
		p.Returned = float64(waited-before) / elapsed.Seconds()
	}
	if held.memory.Swap > 0 {
		p.Most = int64(held.memory.Swap)
		if now, err := usage.ReadProcess(r.PID()); err == nil {
			p.Out = now.Swapped
		}
	}
	return p, !r.moving.Load()
}

func reachOf(reclaim api.Reclaim) memory.Reach {
	switch reclaim {
	case api.ReclaimSwap:
		return memory.IntoSwap
	case api.ReclaimCompress:
		return memory.IntoCompressed
	default:
		return memory.Nowhere
	}
}

// sharingFinds tells whether the kernel is finding equal pages.
func (c *memoryController) sharingFinds(now time.Time) bool {
	sharing := c.sharing.describe()
	if int64(sharing.Saved) > c.cellar.saved+memory.ReclaimDefaults.Least {
		c.cellar.finds = now
	}
	c.cellar.saved = int64(sharing.Saved)
	return sharing.Running && now.Sub(c.cellar.finds) < 2*shareEvery
}

// reclaim has the kernel move memory of a machine out. That takes as long as swap is slow,
// so nobody waits for it.
func (c *memoryController) reclaim(r *run, step memory.Reclamation, now time.Time) {
	held := r.holds.Load()
	if held == nil || !r.moving.CompareAndSwap(false, true) {
		return
	}
	before := c.cellar.said[step.ID]
	say := before.action != step.Action || now.Sub(before.at) >= sayAgain
	if say {
		if c.cellar.said == nil {
			c.cellar.said = map[string]saidStep{}
		}
		c.cellar.said[step.ID] = saidStep{step.Action, now}
	}
	m := c.Manager
	m.aside(func() {
		defer r.moving.Store(false)
		from, _ := usage.Resident(r.PID())
		if err := m.reclaimFrom(step.ID, r, step.Bytes, held.memory); err != nil {
			m.log.Debug("memory of a machine could not be moved out", "machine", held.name, "error", err)
			return
		}
		to, err := usage.Resident(r.PID())
		m.log.Debug("moved memory of a machine out", "machine", held.name, "action", step.Action, "asked", step.Bytes, "from", from, "to", to, "reason", step.Reason)
		if !say || err != nil {
			return
		}
		m.modify(step.ID, func(record *inventory.Record) {
			noteStep(record, api.MemoryStep{Time: now.UTC(), Action: string(step.Action), From: api.Size(from), To: api.Size(to), Reason: step.Reason})
		})
	})
}

// noteStep puts a step into a record that may be shared.
func noteStep(record *inventory.Record, step api.MemoryStep) {
	status := api.MemoryStatus{}
	if record.Status.Memory != nil {
		status = *record.Status.Memory
	}
	status.Step = &step
	record.Status.Memory = &status
}

func (m *Manager) reclaimFrom(uuid string, r *run, bytes int64, spec api.Memory) error {
	m.grouping.Lock()
	group, err := m.controls.Hold(uuid, r.PID())
	m.grouping.Unlock()
	if err != nil {
		return err
	}
	_, err = group.Reclaim(bytes, limitOf(spec))
	return err
}

// limitOf is the limit of a machine's memory as a control group takes it.
func limitOf(spec api.Memory) int64 {
	if spec.Limit == 0 {
		return cgroup.NoLimit
	}
	return int64(spec.Limit)
}

// describeReclaim tells what the host has to move memory out into, and what it lacks.
func (c *memoryController) describeReclaim(settings api.HostSettings) api.ReclaimStats {
	swap := c.cellar.swap
	said := api.ReclaimStats{Compressor: swap.Compressor, Room: api.Size(swap.Room), SwapRoom: api.Size(swap.DiskRoom), Now: c.cellar.now}
	if swap.Compressor == "" {
		said.Lacks = append(said.Lacks, "compressed memory (zswap before swap, or swap in zram): cold memory goes to swap at once")
	}
	if swap.DiskRoom == 0 {
		said.Lacks = append(said.Lacks, "swap outside of memory that is not full: where compressed memory is full nothing more can be moved out")
	}
	lacks := c.controls.Lacks(cgroup.Memory)
	if lacks == nil {
		said.Means = c.controls.ReclaimMeans()
		if c.controls.Version(cgroup.Memory) == 1 {
			said.Lacks = append(said.Lacks, "control groups of version 2 (memory.high, memory.min, memory.swap.max): limits, reservations and memory.swap are kept by the daemon alone, not by the kernel")
		}
	}
	switch {
	case lacks != nil:
		said.Why = kernelChooses(lacks)
	case settings.Memory.Reclaim == api.ReclaimOff:
		said.Why = "the host's setting memory.reclaim is off"
	case swap.Room == 0 && swap.DiskRoom == 0:
		said.Why = "the host has neither swap nor compressed memory that is not full"
	}
	return said
}

func kernelChooses(lacks error) string {
	return fmt.Sprintf("the kernel chooses by itself what it swaps: %s", lacks)
}

// memoryWarning begins what a machine's status says of memory that cannot be held to what its spec says.
const memoryWarning = "memory: "

// limitMemory tells the kernel what a machine's spec says of its memory. What the host lacks for
// that comes back in plain words; it is kept by the daemon then, as far as that goes.
func (m *Manager) limitMemory(group *cgroup.Group, spec api.Memory) (warnings []string, err error) {
	if err := m.placeMemory(group, spec); err != nil {
		return nil, err
	}
	warnings = sharingLacks(spec)
	if lacks := m.controls.Lacks(cgroup.Memory); lacks != nil {
		return append(warnings, memoryLacks(spec, lacks)...), nil
	}
	reach := machine.ReclaimOf(spec, api.ReclaimSwap)
	swap := cgroup.NoLimit
	switch {
	case reach == api.ReclaimOff:
		swap = 0
	case spec.Swap > 0:
		swap = int64(spec.Swap)
	}
	var reserve int64
	if spec.Reserve > 0 {
		reserve = int64(spec.Reserve + resource.Overhead(spec.Maximum))
	}
	for _, err := range []error{
		group.Release(), group.SetMemoryHigh(limitOf(spec)), group.SetMemoryMin(reserve), group.SetSwapMax(swap), group.SetWriteback(reach == api.ReclaimSwap),
	} {
		if err != nil && !cgroup.IsLacking(err) {
			return nil, err
		}
	}
	return warnings, nil
}

// placeMemory has memory come from the nodes that a machine's spec says, and moves what is
// elsewhere. QEMU was told the same when it was started, where its host has no cpuset, too.
func (m *Manager) placeMemory(group *cgroup.Group, spec api.Memory) error {
	nodes := spec.Nodes
	if machine.PlacementOf(spec) == api.NodesPreferred {
		nodes = "" // others may be taken from, too
	}
	err := group.SetMemoryNodes(nodes)
	if cgroup.IsLacking(err) {
		return nil
	}
	return err
}

// memoryLacks says which settings of a machine cannot be kept without control groups.
func memoryLacks(spec api.Memory, lacks error) (warnings []string) {
	for _, one := range []struct {
		set  bool
		what string
	}{
		{spec.Limit > 0 && !machine.IsAutomatic(spec), "memory.limit is not held"},
		{spec.Limit > 0 && machine.IsAutomatic(spec), "memory.limit is held by what the guest is given alone"},
		{spec.Reserve > 0, "memory.reserve is held when machines are started and by what guests are given, and the kernel may swap it all the same"},
		{spec.Swap > 0 || spec.Reclaim != "" && spec.Reclaim != api.ReclaimSwap, "what is swapped is the kernel's choice, whatever memory.swap and memory.reclaim say"},
	} {
		if one.set {
			warnings = append(warnings, memoryWarning+one.what+": "+lacks.Error())
		}
	}
	return warnings
}
