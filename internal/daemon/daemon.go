// Package daemon puts the parts together into one that runs: the store, the
// host, the manager of machines and the HTTP server, brought up in this order
// and down in the reverse one.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/events"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/host"
	"github.com/panalvm/panal/internal/manager"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/server"
	"github.com/panalvm/panal/internal/service"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/etcdstate"
)

// stopWithin is how long tasks get to undo what they had begun when the daemon
// stops; what is left then is undone by the next one.
const stopWithin = 20 * time.Second

// Options is how a daemon runs.
type Options struct {
	Data     string // the data directory
	Runtime  string // the runtime directory
	Socket   string // the Unix socket to answer on
	Version  string
	LogLevel slog.Level
	Fault    string // a plan for package fault, for tests; usually empty
	// Ready is called once: with nil when requests are answered, or with why
	// that will never be so.
	Ready func(error)
}

// Run runs a daemon until ctx ends. Machines go on when it has ended.
func Run(ctx context.Context, o Options) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: o.LogLevel}))
	err := run(ctx, o, log)
	if err != nil {
		o.Ready(err)
	}
	return err
}

func run(ctx context.Context, o Options, log *slog.Logger) error {
	if o.Fault != "" {
		plan, err := fault.Parse(o.Fault)
		if err != nil {
			return err
		}
		log.Warn("faults were asked for", "plan", o.Fault)
		ctx = fault.With(ctx, plan)
	}
	d := &daemon{Options: o, log: log}
	if err := d.prepare(); err != nil {
		return err
	}
	return d.serve(ctx)
}

// daemon is what Run brings up.
type daemon struct {
	Options
	log   *slog.Logger
	user  *process.Identity
	group int // that may use the socket; -1 for the daemon's user alone
}

// prepare makes the directories and finds the users.
func (d *daemon) prepare() error {
	d.group = -1
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		var err error
		if d.user, err = host.EnsureQEMUUser(); err != nil {
			return err
		}
		if d.group, err = host.EnsureUserGroup(); err != nil {
			return err
		}
		mode = 0o711 // QEMU's user passes through to what is its own
	}
	for _, dir := range []string{d.Data, d.Runtime, filepath.Dir(d.Socket)} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("make the directory %s: %w", dir, err)
		}
	}
	return nil
}

// serve brings the parts up, answers requests until ctx ends, and brings them
// down.
func (d *daemon) serve(ctx context.Context) error {
	began := time.Now()
	store, err := etcdstate.Open(ctx, etcdstate.Config{Dir: filepath.Join(d.Data, "state"), Logger: d.log})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	computer := host.New(filepath.Join(d.Data, "cache"), d.user, d.log)
	machines, err := manager.Open(ctx, manager.Options{
		Store: store, Host: computer, Data: d.Data, Runtime: d.Runtime, User: d.user,
		BootID: strings.TrimSpace(string(bootID)), Logger: d.log,
	})
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		machines.Close(stopping)
	}()
	listener, err := listen(d.Socket, d.group)
	if err != nil {
		return err
	}
	stream, err := events.Open(ctx, store)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer stream.Close()
	handler := server.New(service.Services{
		Machines: machines, Power: machines, Drives: machines, Snapshots: machines.Snapshots(), Media: machines.Media(), Pools: machines.Pools(), Views: machines, Stats: machines.Statistics(), Tasks: machines.Tasks(),
		Events: stream, Host: &self{d, store, computer, machines},
	}, server.Options{Logger: d.log, Version: d.Version})
	if err := machines.StartUp(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	d.log.Info("ready", "version", d.Version, "socket", d.Socket, "after", time.Since(began).Round(time.Millisecond))
	d.Ready(nil)
	notify(d.log, sd.SdNotifyReady)
	defer notify(d.log, sd.SdNotifyStopping)
	return serveUntilFailed(ctx, store, listener, handler)
}

// serveUntilFailed answers requests until ctx ends or the store has failed: a
// daemon that can store nothing is of no use, the next one may be.
func serveUntilFailed(ctx context.Context, store *etcdstate.Store, listener net.Listener, handler http.Handler) error {
	serving, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-store.Failed():
			cancel(etcdstate.ErrFailed)
		case <-serving.Done():
		}
	}()
	err := server.Serve(serving, listener, handler)
	if errors.Is(context.Cause(serving), etcdstate.ErrFailed) {
		return etcdstate.ErrFailed
	}
	return err
}

// notify tells systemd, if that has started the daemon and waits for a word.
func notify(log *slog.Logger, state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		log.Warn("systemd could not be told", "state", state, "error", err)
	}
}

// self answers what is asked about the daemon and its host.
type self struct {
	daemon   *daemon
	store    state.Store
	computer *host.Host
	machines *manager.Manager
}

// Info is who answers.
func (s *self) Info(ctx context.Context) (api.Info, error) {
	revision, err := s.store.Revision(ctx)
	return api.Info{
		Version: s.daemon.Version, PID: os.Getpid(), Data: s.daemon.Data, Runtime: s.daemon.Runtime,
		Revision: int64(revision),
	}, err
}

// Host is what the host offers.
func (s *self) Host(ctx context.Context) (api.Host, error) {
	described, err := s.computer.Describe(ctx)
	if err != nil {
		return described, err
	}
	if described.Machines, described.Running, err = s.machines.Count(ctx); err != nil {
		return described, err
	}
	return s.machines.DescribeHost(ctx, described)
}

// ChangeHost changes the host's settings.
func (s *self) ChangeHost(ctx context.Context, request api.ChangeHostRequest) (api.Host, error) {
	if err := s.machines.ChangeSettings(ctx, request); err != nil {
		return api.Host{}, err
	}
	return s.Host(ctx)
}
