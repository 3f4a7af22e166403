package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/cgroup"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/resource/history"
	"github.com/panalvm/panal/internal/resource/usage"
	"github.com/panalvm/panal/internal/runner"
)

const (
	// sampleEvery and samplesBack are how much of their past is kept of machines.
	sampleEvery = 10 * time.Second
	samplesBack = 24 * time.Hour
	// ratesOver is the least time that rates are of.
	ratesOver = time.Second
)

// Statistics tell what machines use. They are kept in memory, and begin anew with the
// daemon.
type Statistics struct {
	*Manager

	mu    sync.Mutex // guards what follows
	looks map[string]look
	rings map[string]*history.Ring[sample]
}

// look is what was seen of a run, for rates.
type look struct {
	pid          int
	at           time.Time
	process      usage.Process
	used, waited float64 // percent of one CPU

	weighed time.Time     // when the pages of its process were looked at last
	then    usage.Process // what was seen then
}

// sample is a StatsSample in few bytes: sizes are in KiB.
type sample struct {
	at                                                                int64
	cpu, ready                                                        float32
	assigned, used, ballooned, shared, compressed, swapped, available uint32
}

// scale is how exactly it is looked what a process has of the host's memory.
type scale int

const (
	exactly scale = iota
	// roughly is good for a history: what the kernel has to look at every page of a machine for is
	// looked at once in a while, and when something has changed.
	roughly
)

// Statistics tell what machines use.
func (m *Manager) Statistics() *Statistics { return m.statistics }

// Stats is what a running machine uses now.
func (s *Statistics) Stats(ctx context.Context, ref string) (api.Stats, error) {
	object, err := s.inv.Find(ctx, ref)
	if err != nil {
		return api.Stats{}, err
	}
	run := s.running(object.Key)
	if run == nil {
		return api.Stats{}, problem.New(api.KindWrongState, "`panal start` starts it", "stats of %s: it is %s", object.Value.Spec.Name, object.Value.Status.State)
	}
	return s.statsOf(ctx, run, object, exactly)
}

// History is what a machine has used since a time, as far back as it is kept.
func (s *Statistics) History(ctx context.Context, ref string, since time.Time) (api.StatsHistory, error) {
	object, err := s.inv.Find(ctx, ref)
	if err != nil {
		return api.StatsHistory{}, err
	}
	past := api.StatsHistory{Interval: int(sampleEvery / time.Second), Samples: []api.StatsSample{}}
	s.mu.Lock()
	ring := s.rings[object.Key]
	s.mu.Unlock()
	if ring != nil {
		for _, one := range ring.Since(since) {
			past.Samples = append(past.Samples, one.expand())
		}
	}
	return past, nil
}

// All is what all running machines use now, and how the host stands.
func (s *Statistics) All(ctx context.Context) (api.StatsList, error) { return s.all(ctx, exactly) }

func (s *Statistics) all(ctx context.Context, how scale) (api.StatsList, error) {
	list := api.StatsList{Time: time.Now().UTC()}
	host, err := usage.ReadHost()
	if err != nil {
		return list, err
	}
	list.Host = api.HostStats{
		CPUs: runtime.NumCPU(), Memory: api.Size(host.Total), Available: api.Size(host.Available), Swap: api.Size(host.SwapTotal), SwapFree: api.Size(host.SwapFree),
	}
	list.Host.Sharing, list.Host.Reclaim = s.sharing.describe(), s.reclaiming.describe()
	if host.Pressure >= 0 {
		list.Host.Pressure = &host.Pressure
	}
	list.Machines = s.statsOfAll(ctx, s.allRuns(), how)
	slices.SortFunc(list.Machines, func(a, b api.Stats) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// atOnce is how many machines are looked at together: their processes each take a moment to answer.
const atOnce = 16

// statsOfAll looks at machines that run; those that have ended meanwhile are left out.
func (s *Statistics) statsOfAll(ctx context.Context, runs map[string]*run, how scale) []api.Stats {
	var mu sync.Mutex
	all := []api.Stats{} // guarded by mu
	var group errgroup.Group
	group.SetLimit(atOnce)
	for uuid, run := range runs {
		group.Go(func() error {
			object, err := s.inv.Get(ctx, uuid)
			if err != nil {
				return nil //nolint:nilerr // it was deleted meanwhile
			}
			if stats, err := s.statsOf(ctx, run, object, how); err == nil {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, stats)
			}
			return nil
		})
	}
	_ = group.Wait()
	return all
}

// allRuns are the machines that have a process, by their UUIDs.
func (m *Manager) allRuns() map[string]*run {
	m.mu.Lock()
	defer m.mu.Unlock()
	runs := make(map[string]*run, len(m.runs))
	for uuid, r := range m.runs {
		runs[uuid] = r
	}
	return runs
}

// statsOf looks at a machine that runs.
func (s *Statistics) statsOf(ctx context.Context, run *run, object inventory.Object, how scale) (api.Stats, error) {
	spec, status := object.Value.Spec, object.Value.Status
	process := promptGuest{run, s.Manager}
	now, err := process.Memory(ctx)
	silent := errors.Is(err, errSilent)
	switch {
	case silent:
		now = lastKnown(status)
	case err != nil:
		return api.Stats{}, fmt.Errorf("stats of %s: %w", spec.Name, err)
	}
	seen, err := s.seen(object.Key, run.PID(), how)
	if err != nil {
		return api.Stats{}, fmt.Errorf("stats of %s: %w", spec.Name, err)
	}
	p := seen.process
	stats := api.Stats{
		UUID: object.Key, Name: spec.Name, State: status.State, Silent: silent, Time: seen.at.UTC(),
		CPU: api.CPUStats{
			Count: status.CPUs, Cap: cmp.Or(spec.CPU.Cap, 100), LimitPercent: s.limitPercent(spec.CPU.Limit),
			UsedPercent: seen.used, ReadyPercent: seen.waited, Used: p.Ran.Seconds(), Ready: p.Waited.Seconds(),
		},
		Memory: api.MemoryStats{
			Assigned: api.Size(now.Assigned()), Minimum: machine.LowestMemory(spec.Memory), Maximum: spec.Memory.Maximum,
			Plugged: api.Size(now.Plugged), Ballooned: api.Size(now.Ballooned),
			Resident: api.Size(p.Resident), Used: api.Size(cmp.Or(p.Proportional, p.Resident)), Shared: api.Size(p.Merged),
		},
	}
	stats.Memory.Swapped, stats.Memory.Compressed = s.movedOut(object.Key, run.PID(), p.Swapped)
	said, err := process.GuestMemory(ctx)
	if err == nil && !said.Updated.IsZero() {
		stats.Memory.Guest = &api.GuestMemory{
			Updated: said.Updated.UTC(), Total: api.Size(said.Total), Free: api.Size(said.Free), Available: api.Size(said.Available), Caches: api.Size(said.Caches),
			MajorFaults: said.MajorFaults, MinorFaults: said.MinorFaults, SwappedIn: api.Size(said.SwappedIn), SwappedOut: api.Size(said.SwappedOut),
		}
	}
	return stats, nil
}

// lastKnown is how a machine's memory stood when that was last written down.
func lastKnown(status api.Status) runner.Memory {
	known := cmp.Or(status.Memory, &api.MemoryStatus{})
	return runner.Memory{Base: int64(known.Assigned + known.Ballooned - known.Plugged), Plugged: int64(known.Plugged), Ballooned: int64(known.Ballooned)}
}

// limitPercent is a limit of CPU time in percent of one of the host's CPUs; 0 for none.
func (s *Statistics) limitPercent(limit api.CPUTime) float64 {
	if limit == "" {
		return 0 // most have none, and how fast the host is takes reading
	}
	return limit.Of(s.Host.CPU().MHz)
}

// movedOut is how much of a machine's memory is swapped out, and how much of that is in
// compressed memory. Where its control group does not count that, it is the part that is compressed of
// all that is swapped on the host.
func (s *Statistics) movedOut(uuid string, pid int, swapped int64) (out, compressed api.Size) {
	if s.controls.Version(cgroup.Memory) == 2 {
		s.grouping.Lock()
		group, err := s.controls.Hold(uuid, pid)
		s.grouping.Unlock()
		if err == nil {
			if counted, err := group.MemoryUsage(); err == nil && counted.Compressed > 0 {
				return api.Size(max(swapped, counted.Swap)), api.Size(counted.Zswapped)
			}
		}
	}
	if swapped == 0 {
		return 0, 0
	}
	return api.Size(swapped), api.Size(usage.ReadSwap().CompressedPart() * float64(swapped))
}

// seen looks at a process, and at what it has used since the look before that is far
// enough back.
func (s *Statistics) seen(uuid string, pid int, how scale) (look, error) {
	s.mu.Lock()
	before := s.looks[uuid]
	s.mu.Unlock()
	now, err := before.next(pid, time.Now(), how)
	if err != nil {
		return now, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if before = s.looks[uuid]; before.pid != pid {
		s.looks[uuid] = now
		return now, nil
	}
	passed := now.at.Sub(before.at)
	if passed < ratesOver {
		now.used, now.waited = before.used, before.waited
		return now, nil // the look before stays: rates over moments are noise
	}
	now.used = percent(now.process.Ran-before.process.Ran, passed)
	now.waited = percent(now.process.Waited-before.process.Waited, passed)
	s.looks[uuid] = now
	return now, nil
}

// weighAgain is how often the pages of a process are looked at for its history, though nothing seems to have changed.
const weighAgain = 2 * time.Minute

// next looks at a process after a look, without rates.
func (l look) next(pid int, at time.Time, how scale) (now look, err error) {
	now = look{pid: pid, at: at, weighed: at}
	exact := true
	if how == exactly || l.pid != pid || at.Sub(l.weighed) >= weighAgain {
		now.process, err = usage.ReadProcess(pid)
	} else {
		now.process, exact, err = usage.ReadProcessSince(pid, l.then)
	}
	if now.then = now.process; !exact {
		now.weighed, now.then = l.weighed, l.then
	}
	return now, err
}

// percent is a part of a time; a thread that has ended counts no more, which must
// not show as less than nothing.
func percent(part, whole time.Duration) float64 {
	return 100 * max(0, part.Seconds()) / whole.Seconds()
}

// keep samples all machines until the manager is closed.
func (s *Statistics) keep() {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.sampleAll(s.base)
		case <-s.base.Done():
			return
		}
	}
}

func (s *Statistics) sampleAll(ctx context.Context) {
	list, err := s.all(ctx, roughly)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stats := range list.Machines {
		ring := s.rings[stats.UUID]
		if ring == nil {
			ring = history.New[sample](sampleEvery, samplesBack)
			s.rings[stats.UUID] = ring
		}
		ring.Add(stats.Time, shorten(stats))
	}
	for uuid, ring := range s.rings {
		if list.Time.Sub(ring.Newest()) > samplesBack {
			delete(s.rings, uuid)
			delete(s.looks, uuid)
		}
	}
}

func shorten(stats api.Stats) sample {
	kib := func(size api.Size) uint32 { return uint32(size / api.KiB) }
	m := stats.Memory
	short := sample{
		at: stats.Time.UnixMilli(), cpu: float32(stats.CPU.UsedPercent), ready: float32(stats.CPU.ReadyPercent),
		assigned: kib(m.Assigned), used: kib(m.Used), ballooned: kib(m.Ballooned), shared: kib(m.Shared), compressed: kib(m.Compressed), swapped: kib(m.Swapped),
	}
	if m.Guest != nil {
		short.available = kib(m.Guest.Available)
	}
	return short
}

func (s sample) expand() api.StatsSample {
	size := func(kib uint32) api.Size { return api.Size(kib) * api.KiB }
	return api.StatsSample{
		Time: time.UnixMilli(s.at).UTC(), CPUPercent: float64(s.cpu), ReadyPercent: float64(s.ready), Assigned: size(s.assigned), Used: size(s.used),
		Ballooned: size(s.ballooned), Shared: size(s.shared), Compressed: size(s.compressed), Swapped: size(s.swapped), Available: size(s.available),
	}
}
