package manager

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/plan/memory"
	"github.com/panalvm/panal/internal/resource"
	"github.com/panalvm/panal/internal/resource/usage"
	"github.com/panalvm/panal/internal/runner"
)

const (
	// controlEvery is how often memory that moves by itself is looked after, and beat how often that of guests that are about
	// to run short, or from whom an answer is waited for.
	controlEvery = time.Second
	beat         = controlEvery / 4
	// movesWithin is how long a guest may be no nearer to what it was asked for.
	movesWithin = 8 * time.Second
	// lookAgain is how often it is looked whether one that is not moving still has what
	// it had: a guest may take memory from its balloon by itself. Where the balloon is
	// empty it is looked lookSeldom.
	lookAgain  = 10 * time.Second
	lookSeldom = time.Minute
)

// followed is a machine whose memory follows its guest's demand.
type followed struct {
	name         string
	memory       api.Memory
	keepsPlugged bool // its guest gives back nothing that was plugged in
}

// follow has a run's memory follow its guest's demand, or not any more.
func (r *run) follow(spec api.Spec) {
	r.reserve.Store(int64(spec.Memory.Reserve))
	said := &followed{spec.Name, spec.Memory, machine.KeepsPlugged(spec)}
	r.holds.Store(said)
	if !machine.IsAutomatic(spec.Memory) {
		said = nil
	}
	r.followed.Store(said)
}

// most is what the guest may have: its maximum, or less where its process is limited.
func (f *followed) most() int64 {
	if f.memory.Limit == 0 {
		return int64(f.memory.Maximum)
	}
	least := max(f.memory.Minimum, f.memory.Limit-resource.Overhead(f.memory.Maximum))
	return int64(min(f.memory.Maximum, least))
}

// memoryController moves the memory of machines that follow their guests' demand. It
// belongs to one goroutine.
type memoryController struct {
	*Manager
	state  memory.State
	last   time.Time // when it was decided last
	whole  time.Time // when all guests were looked at last
	lacks  bool      // the host ran short then
	guests map[string]*controlled
	cellar cellar
}

// guestProcess is what is asked of a guest, and of it: a [runner.Session].
type guestProcess interface {
	speaker
	// PID is its process.
	PID() int
	// Memory is how its memory stands.
	Memory(ctx context.Context) (runner.Memory, error)
	// AskMemory asks for so many bytes to be plugged in, and so many in the balloon. It does not wait.
	AskMemory(ctx context.Context, plugged, ballooned int64) error
}

// controlled is what is known of a guest.
type controlled struct {
	guestProcess
	run     *run
	uuid    string
	follows *followed
	ran     func() (time.Duration, error) // how long its process has run
	ended   bool                          // it did not answer when it was looked at last

	asked   int64         // bytes that it was asked to have
	now     runner.Memory // how it stood at looked
	looked  time.Time
	moving  bool
	nearer  time.Time // when it last came nearer to what it was asked for
	far     int64     // how far it was then
	pressed bool      // what it could not unplug was asked of the balloon
	settled time.Time // when it had last got there

	word  word
	takes int64         // how many bytes its processor takes in a second at most; 0 for as many as any
	calm  time.Duration // how long it may run before it could be short
	still bool          // it has run for less since it was asked: what it said then holds
	near  bool          // it is about to run short
	had   time.Duration // how long its process had run when it was asked
	holds int64         // bytes that the host had given its process by then
}

// controlMemory moves memory until the manager is closed.
func (m *Manager) controlMemory() {
	c := &memoryController{Manager: m, guests: map[string]*controlled{}, last: time.Now()}
	tick := time.NewTimer(controlEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			c.control(m.base, now)
			tick.Reset(c.next(time.Now()))
		case <-m.base.Done():
			return
		}
	}
}

// next is how long nothing needs to be looked at: to wake up for nothing costs more than the look.
func (c *memoryController) next(now time.Time) time.Duration {
	for _, g := range c.guests {
		if g.isAwake() {
			return beat
		}
	}
	return max(0, controlEvery-now.Sub(c.whole))
}

// control looks at guests, decides, and acts: at all of them each second, and at those that call for it with each beat.
func (c *memoryController) control(ctx context.Context, now time.Time) {
	since := now.Sub(c.whole)
	whole := since >= controlEvery-beat/2
	if whole {
		c.whole = now
		c.meet(ctx, c.followedRuns())
	}
	guests, news := c.lookAtAll(ctx, now, whole)
	if !whole && !news {
		return
	}
	actual, settings, err := c.readHost(ctx)
	if err != nil {
		c.log.Debug("the host's memory could not be read", "error", err)
		return
	}
	c.lacks = actual.Free < 0 || actual.Pressure >= memory.Defaults.Pressure
	if guests = c.decide(ctx, now, actual, guests); whole {
		c.moveOut(now, since, actual, settings, memory.Room(memory.Defaults, now, guests, c.state))
	}
}

// decide moves memory, and returns what is known of the guests by then.
func (c *memoryController) decide(ctx context.Context, now time.Time, actual memory.Host, guests []memory.Guest) []memory.Guest {
	elapsed := now.Sub(c.last)
	c.last = now
	if len(guests) == 0 {
		return guests
	}
	steps, state := memory.Decide(memory.Defaults, now, elapsed, c.promised(actual), guests, c.state)
	if len(steps) > 0 && c.hearAll(ctx, now) {
		// What is done is done by what guests say now.
		guests = c.known(now)
		steps, state = memory.Decide(memory.Defaults, now, elapsed, c.promised(actual), guests, c.state)
	}
	c.state = state
	for _, step := range steps {
		c.take(ctx, step, now)
	}
	return guests
}

// meet has guests known that are followed since, and forgets those that are not any more.
func (c *memoryController) meet(ctx context.Context, runs map[string]*run) {
	for uuid, g := range c.guests {
		if runs[uuid] != g.run {
			delete(c.guests, uuid)
			delete(c.state, uuid)
		}
	}
	for uuid, r := range runs {
		follows := r.followed.Load()
		if follows == nil {
			continue // not any more
		}
		if c.guests[uuid] == nil {
			c.guests[uuid] = c.newGuest(ctx, uuid, r)
		}
		c.guests[uuid].follows = follows
	}
}

func (c *memoryController) newGuest(ctx context.Context, uuid string, r *run) *controlled {
	process := promptGuest{r, c.Manager}
	g := &controlled{guestProcess: process, run: r, uuid: uuid, takes: touched, ran: func() (time.Duration, error) { return usage.Ran(r.PID()) }}
	if _, accelerator, err := process.Describe(ctx); err == nil && accelerator == "tcg" {
		g.takes = translated
	}
	return g
}

// lookAtAll brings what is known of guests up to date, of all or of those that call for it, and tells whether there is
// anything new.
func (c *memoryController) lookAtAll(ctx context.Context, now time.Time, whole bool) (guests []memory.Guest, news bool) {
	var due []*controlled
	for _, g := range c.guests {
		if (whole || g.isAwake()) && (g.isToSee(now, whole) || g.needs(now, c.listenAgain()) != nothing) {
			due = append(due, g)
		}
	}
	news = together(due, func(g *controlled) bool { return c.look(ctx, g, now, whole) })
	news = c.hear(ctx, now) || news
	return c.known(now), news
}

// together does something with guests that each take a while to answer, with all at once: to wait for one after another would
// wake this process as often. It tells whether any was worth it.
func together(guests []*controlled, do func(*controlled) bool) bool {
	var worth atomic.Bool
	var all sync.WaitGroup
	for _, g := range guests {
		all.Go(func() {
			if do(g) {
				worth.Store(true)
			}
		})
	}
	all.Wait()
	return worth.Load()
}

// known are the guests that answer, for the decision.
func (c *memoryController) known(now time.Time) []memory.Guest {
	var guests []memory.Guest
	for _, g := range c.guests {
		if !g.ended {
			guests = append(guests, g.guest(now))
		}
	}
	return guests
}

// followedRuns are the machines whose memory follows their guests' demand.
func (m *Manager) followedRuns() map[string]*run {
	m.mu.Lock()
	defer m.mu.Unlock()
	runs := map[string]*run{}
	for uuid, r := range m.runs {
		if r.followed.Load() != nil {
			runs[uuid] = r
		}
	}
	return runs
}

// look sees how a guest stands, and what it says where that may be something new. It tells whether it has come to where
// it was asked to.
func (c *memoryController) look(ctx context.Context, g *controlled, now time.Time, whole bool) (settled bool) {
	if g.isToSee(now, whole) {
		standing, err := g.Memory(ctx)
		if g.ended = err != nil; g.ended {
			return false
		}
		first := g.looked.IsZero()
		g.now, g.looked = standing, now
		if !g.moving {
			g.asked = standing.Assigned()
		}
		if g.moving || first {
			c.watch(ctx, g.uuid, g, now)
			settled = !g.moving
		}
	}
	switch g.needs(now, c.listenAgain()) {
	case toAsk:
		g.ask(ctx, now)
	case toListen:
		g.listen(ctx, now)
	}
	return settled
}

// isToSee tells whether a guest may have another size than is known.
func (g *controlled) isToSee(now time.Time, whole bool) bool {
	return g.moving || whole && now.Sub(g.looked) > g.lookAfter()
}

// listenAgain is how often it is looked what a guest has said that lies still.
func (c *memoryController) listenAgain() time.Duration {
	if c.lacks {
		return listenShort
	}
	return listenStill
}

// lookAfter is for how long it is believed what a guest has.
func (g *controlled) lookAfter() time.Duration {
	if g.now.Ballooned == 0 {
		return lookSeldom
	}
	return lookAgain
}

// isAwake tells whether a guest is looked at more often than once a second.
func (g *controlled) isAwake() bool {
	growing := g.moving && g.asked > g.now.Assigned()
	return !g.ended && (g.near || growing || g.word.isAwaited() || g.isUnheard())
}

// isUnheard tells that a guest has said nothing since its memory was moved.
func (g *controlled) isUnheard() bool {
	return !g.moving && !g.word.spoken.IsZero() && !g.word.spoken.After(g.settled)
}

// guest is what is known of a guest, for the decision.
func (g *controlled) guest(now time.Time) memory.Guest {
	f := g.follows
	return memory.Guest{
		ID: g.uuid, Minimum: int64(f.memory.Minimum), Maximum: f.most(), Shares: machine.SharesOf(f.memory),
		Size: g.asked, Has: g.now.Assigned(), Available: g.available(now), MajorFaults: g.word.faults, SwapIns: g.word.swaps,
	}
}

// watch sees whether a guest has come to where it was asked to, or is stuck.
func (c *memoryController) watch(ctx context.Context, uuid string, g *controlled, now time.Time) {
	left := max(g.asked-g.now.Assigned(), g.now.Assigned()-g.asked)
	switch {
	case left == 0:
	case left < g.far || !g.moving:
		g.far, g.nearer = left, now
		return
	case now.Sub(g.nearer) < movesWithin:
		return
	case !g.pressed && g.asked < g.now.Assigned() && g.now.Ballooned+left <= g.now.Base-int64(machine.LeastGuest):
		// What it cannot let go of as a whole it may still give page by page.
		g.pressed, g.nearer = true, now
		_ = g.AskMemory(ctx, g.now.Plugged, g.now.Ballooned+left)
		return
	default:
		// It gives no more, or takes none: what it has is what it has.
		c.log.Debug("a guest does not move its memory", "machine", uuid, "asked", g.asked, "has", g.now.Assigned())
		g.asked = g.now.Assigned()
		_ = g.AskMemory(ctx, g.now.Plugged, g.now.Ballooned)
	}
	g.moving, g.settled = false, now
	standing := g.now
	c.modify(uuid, func(record *inventory.Record) { noteStanding(record, standing) })
}

// available is what a guest's programs could still have; negative while it has not said so
// since its memory was moved last, or may have taken more since.
func (g *controlled) available(now time.Time) int64 {
	holds := g.still || now.Sub(g.word.spoken) <= saidWithin
	if g.moving || g.word.spoken.IsZero() || g.isUnheard() || !holds {
		return -1
	}
	said := g.word.said
	if said.Available == 0 { // kernels before 3.14 do not know
		return said.Free + said.Caches
	}
	return said.Available
}

// readHost is what the host has available, but for what it keeps and what others have
// reserved, and its settings.
func (c *memoryController) readHost(ctx context.Context) (memory.Host, api.HostSettings, error) {
	now, err := usage.ReadHost()
	if err != nil {
		return memory.Host{}, api.HostSettings{}, err
	}
	settings, err := c.Settings(ctx)
	if err != nil {
		return memory.Host{}, settings, err
	}
	return memory.Host{Free: now.Available - keptByHost(settings, now.Total) - c.heldForOthers(), Pressure: max(0, now.Pressure)}, settings, nil
}

// promised is what the host can give: without what guests have been given and not touched
// yet, and with what is coming back.
func (c *memoryController) promised(host memory.Host) memory.Host {
	for _, g := range c.guests {
		host.Free -= max(0, g.asked-g.holds)
		host.Free += max(0, g.now.Assigned()-g.asked)
	}
	return host
}

// take asks a guest for what was decided.
func (c *memoryController) take(ctx context.Context, step memory.Step, now time.Time) {
	g := c.guests[step.ID]
	f := g.run.followed.Load()
	if f == nil || !g.run.memory.TryLock() {
		return // somebody else is moving it
	}
	defer g.run.memory.Unlock()
	parts := machine.PartsFor(f.memory, api.Size(step.To))
	if f.keepsPlugged {
		parts = machine.PartsAfter(f.memory, api.Size(step.To), api.Size(g.now.Plugged))
	}
	if err := g.AskMemory(ctx, int64(parts.Plugged), int64(parts.Ballooned)); err != nil {
		g.looked = time.Time{} // it may have been asked all the same
		c.log.Debug("a guest could not be asked to move its memory", "machine", f.name, "error", err)
		return
	}
	g.asked = g.now.Base + int64(parts.Plugged) - int64(parts.Ballooned)
	g.moving, g.pressed, g.far, g.nearer = true, false, max(g.asked-g.now.Assigned(), g.now.Assigned()-g.asked), now
	action := "grow"
	if step.To < step.From {
		action = "shrink"
	}
	c.log.Debug("moving a guest's memory", "machine", f.name, "from", step.From, "to", g.asked, "reason", step.Reason)
	c.modify(step.ID, func(record *inventory.Record) {
		noteStanding(record, g.now)
		record.Status.Memory.Step = &api.MemoryStep{Time: now.UTC(), Action: action, From: api.Size(step.From), To: api.Size(g.asked), Reason: step.Reason}
	})
}
