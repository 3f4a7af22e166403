package imageserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/panalvm/panal/internal/process"
)

// Machine is what is to be known of the machine whose images are served.
type Machine struct {
	UUID string
	Name string
	Dir  Dir
	User *process.Identity // whom the server runs as; nil for the daemon's own user
	Log  *slog.Logger
	// OpenLog opens the file that the server's messages go to.
	OpenLog func() (*os.File, error)
	// Images tells which images are to be served. It is called whenever a
	// server is started.
	Images func() ([]Image, error)
	// Restarted is told, from a goroutine of the keeper, when a server had to be
	// started in the place of one that ended. It may be nil.
	Restarted func()
}

// Keeper keeps the image server of a machine running for as long as its QEMU runs.
type Keeper struct {
	machine  Machine
	listener *os.File // nil when another daemon has made it
	qemu     *process.Process
	server   *process.Process // the watching goroutine's, once that runs
	began    time.Time        // when the server was started
	first    <-chan struct{}  // closed when the first server has ended
	done     chan struct{}    // closed when nobody watches any more; nil before anybody does
	renewals chan renewal     // what is asked of the watching goroutine
}

// renewal asks for another server in the place of the one that serves, or for none any more.
type renewal struct {
	last bool
	done chan error
}

// Prepare makes the socket. Who connects has to wait until Start.
func Prepare(m Machine) (*Keeper, error) {
	if err := m.Dir.make(m.User); err != nil {
		return nil, fmt.Errorf("make the directory of the image server: %w", err)
	}
	k := &Keeper{machine: m, renewals: make(chan renewal)}
	var err error
	if k.listener, err = m.Dir.listen(m.User); err != nil {
		return nil, errors.Join(fmt.Errorf("make the image server's socket: %w", err), m.Dir.Remove())
	}
	return k, nil
}

// Discard undoes Prepare. Of nil it does nothing.
func (k *Keeper) Discard() error {
	if k == nil {
		return nil
	}
	return errors.Join(k.listener.Close(), k.machine.Dir.Remove())
}

// Start starts the server of a QEMU that was started, and begins to watch it.
func (k *Keeper) Start(qemu *process.Process) error {
	k.qemu = qemu
	if err := k.spawn(); err != nil {
		return fmt.Errorf("start the image server: %w", err)
	}
	k.first, k.done = k.server.Done(), make(chan struct{})
	go k.watch()
	return nil
}

// FirstEnded is closed when the server that Start has started has ended. While
// QEMU is coming up that means that none can serve. Of nil it is never.
func (k *Keeper) FirstEnded() <-chan struct{} {
	if k == nil {
		return nil
	}
	return k.first
}

// Attach finds the server of a QEMU that runs already, or starts one in its
// place. It is nil when the machine has none.
func Attach(m Machine, qemu *process.Process) (*Keeper, error) {
	if !m.Dir.exists() {
		return nil, nil
	}
	k := &Keeper{machine: m, qemu: qemu, done: make(chan struct{}), renewals: make(chan renewal)}
	server, err := m.Dir.Find(m.UUID)
	switch {
	case err == nil:
		k.server, k.began = server, time.Now()
	case !errors.Is(err, process.ErrGone):
		return nil, fmt.Errorf("find the image server: %w", err)
	}
	go k.watch()
	return k, nil
}

// EndStray waits until a server whose QEMU is gone has ended, and removes what
// it left.
func EndStray(ctx context.Context, dir Dir, machine string) error {
	if !dir.exists() {
		return nil
	}
	server, err := dir.Find(machine)
	if err != nil && !errors.Is(err, process.ErrGone) {
		return fmt.Errorf("find the image server: %w", err)
	}
	if err == nil {
		if err := server.Wait(ctx); err != nil {
			return errors.Join(err, server.Kill(context.WithoutCancel(ctx)))
		}
	}
	return dir.Remove()
}

// endWithin is how long a server may take to end once QEMU has. It writes what
// the guest has written and not flushed, which on a slow disk takes a while.
const endWithin = time.Minute

// AwaitEnd waits until the server of a QEMU that has ended has ended too, if it
// was started, and removes its directory. Of nil it does nothing.
func (k *Keeper) AwaitEnd() error {
	if k == nil {
		return nil
	}
	if k.done != nil {
		<-k.done
	}
	if k.listener != nil {
		_ = k.listener.Close() // nobody waits on it any more
	}
	return k.machine.Dir.Remove()
}

// spawn starts a server.
func (k *Keeper) spawn() error {
	images, err := k.machine.Images()
	if err != nil {
		return err
	}
	if k.listener == nil {
		if k.listener, err = k.machine.Dir.listen(k.machine.User); err != nil {
			return err
		}
	}
	h, err := prepare(k.machine.UUID, k.machine.Dir, images)
	if err != nil {
		return err
	}
	defer h.close()
	qemu, err := k.qemu.Handle()
	if err != nil {
		return err
	}
	defer qemu.Close()
	files, written, err := h.descriptors(k.listener, qemu)
	if err != nil {
		return err
	}
	defer written.Close()
	log, err := k.machine.OpenLog()
	if err != nil {
		return err
	}
	defer log.Close()
	k.began = time.Now()
	k.server, err = process.Start(process.Spec{
		Path: "/proc/self/exe", Name: "panal", Args: []string{Command, string(k.machine.Dir)},
		Files: files, Log: log, Dir: "/", User: k.machine.User,
	})
	return err
}

// watch starts the server again whenever it ends before QEMU does.
func (k *Keeper) watch() {
	defer close(k.done)
	wait := time.Duration(-1)
	for {
		if asked := k.awaitServer(); asked != nil {
			err := k.renew(asked.last)
			asked.done <- err
			if asked.last && err == nil {
				return
			}
			wait = -1
			continue
		}
		if k.qemu.HasEnded() {
			return
		}
		wait = nextWait(wait, time.Since(k.began))
		if !k.pause(wait) {
			return
		}
		k.again()
	}
}

// awaitServer waits until the server has ended, and ends it if it does not
// when QEMU has. It returns early, and not nil, when another one is asked for, or none any more.
func (k *Keeper) awaitServer() *renewal {
	if k.server == nil {
		return nil
	}
	select {
	case <-k.server.Done():
		return nil
	case asked := <-k.renewals:
		return &asked
	case <-k.qemu.Done():
	}
	waiting, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	if k.server.Wait(waiting) == nil {
		return nil
	}
	k.machine.Log.Error("the image server does not end and is killed; what the guest had not flushed may be lost",
		"machine", k.machine.Name, "pid", k.server.PID)
	if err := k.server.Kill(context.Background()); err != nil {
		k.machine.Log.Error("the image server cannot be killed", "machine", k.machine.Name, "error", err)
	}
	return nil
}

// Renew puts a server in the place of the one that serves, so that the images are
// served that Machine.Images tells now. QEMU's requests wait meanwhile.
func (k *Keeper) Renew(ctx context.Context) error { return k.ask(ctx, false) }

// End ends the server of a QEMU that runs on and has none of its images open any more, and removes what
// it leaves. The keeper is of no use then. A server that has ended with its QEMU is no error.
func (k *Keeper) End(ctx context.Context) error {
	if err := k.ask(ctx, true); err != nil && !errors.Is(err, process.ErrGone) {
		return err
	}
	return k.AwaitEnd()
}

func (k *Keeper) ask(ctx context.Context, last bool) error {
	asked := renewal{last, make(chan error, 1)}
	select {
	case k.renewals <- asked:
	case <-k.done:
		return process.ErrGone
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-asked.done
}

// renew ends the server and starts another one, unless it was the last. When that fails, the next turn
// of the watch tries again.
func (k *Keeper) renew(last bool) error {
	if err := k.server.Kill(context.Background()); err != nil {
		return err
	}
	k.server, k.began = nil, time.Now()
	if last {
		return nil
	}
	return k.spawn()
}

// again starts a server in the place of one that ended.
func (k *Keeper) again() {
	log := k.machine.Log.With("machine", k.machine.Name)
	k.server, k.began = nil, time.Now()
	switch err := k.spawn(); {
	case errors.Is(err, process.ErrGone): // QEMU has ended meanwhile
	case err != nil:
		log.Error("the image server ended and cannot be started again; the guest waits for its disks", "error", err)
	default:
		log.Warn("the image server ended and was started again", "pid", k.server.PID)
		if k.machine.Restarted != nil {
			k.machine.Restarted()
		}
	}
}

// Bounds of the pause before a server is started again.
const (
	leastWait = 500 * time.Millisecond
	mostWait  = 10 * time.Second
	livedLong = 10 * time.Second
)

// nextWait is how long to wait until a server is started again: not at all the
// first time and after one that ran for some time, and ever longer after those that did not.
// It was last before; negative when there was no time before.
func nextWait(last, lived time.Duration) time.Duration {
	if last < 0 || lived >= livedLong {
		return 0
	}
	return min(max(2*last, leastWait), mostWait)
}

// pause waits; it is false when QEMU has ended meanwhile.
func (k *Keeper) pause(wait time.Duration) bool {
	if wait == 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-k.qemu.Done():
		return false
	}
}
