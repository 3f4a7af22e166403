package harness

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/client"
)

// Home is where one daemon lives.
type Home struct {
	Dir     string // holds everything else; its path is short enough for sockets
	Data    string
	Runtime string
	Socket  string
}

// stopWithin is how long a daemon may take to stop.
const stopWithin = 30 * time.Second

// NewHome makes a home. When the test ends its daemon is stopped, the home is
// removed, and whatever still runs there is killed and fails the test.
func NewHome(t testing.TB) *Home {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ph")
	if err != nil {
		t.Fatal(err)
	}
	// QEMU's user passes through to its sockets.
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	h := &Home{Dir: dir, Data: filepath.Join(dir, "data"), Runtime: filepath.Join(dir, "run"), Socket: filepath.Join(dir, "socket")}
	t.Cleanup(func() { h.leave(t) })
	return h
}

// Env is the environment that makes panal live here.
func (h *Home) Env() []string {
	return []string{"PANAL_DATA=" + h.Data, "PANAL_RUNTIME=" + h.Runtime, "PANAL_SOCKET=" + h.Socket}
}

// Client is a new client of the home's daemon.
func (h *Home) Client() *client.Client { return client.New(h.Socket, client.Options{}) }

// Processes are those that live here: the daemon, QEMU, and what else they have
// started.
func (h *Home) Processes() ([]Process, error) { return processesOf(h.Dir) }

// StopDaemon stops the daemon that answers here, whoever has started it, and
// waits until it has ended. There need not be one.
func (h *Home) StopDaemon() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	c := h.Client()
	info, err := c.Info(ctx)
	c.Close()
	if err != nil {
		return nil // nobody answers
	}
	if err := unix.Kill(info.PID, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return AwaitEnd(info.PID, stopWithin)
}

// leave stops what lives here and complains about what should not have. After
// a failure it is no wonder that something was left.
func (h *Home) leave(t testing.TB) {
	if err := h.StopDaemon(); err != nil {
		t.Errorf("stop the daemon: %v", err)
	}
	left, err := h.Processes()
	if err != nil {
		t.Error(err)
	}
	for _, p := range left {
		if !t.Failed() && !t.Skipped() {
			t.Errorf("left running: %s", p)
		}
		if err := Kill(p.PID); err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		h.tellLog(t)
	}
	if err := os.RemoveAll(h.Dir); err != nil {
		t.Error(err)
	}
}

// tellLog prints the end of the daemon's log.
func (h *Home) tellLog(t testing.TB) {
	const most = 6 << 10
	for _, path := range []string{filepath.Join(h.Data, "daemon.log"), h.Log()} {
		text, err := os.ReadFile(path)
		if err != nil || len(text) == 0 {
			continue
		}
		t.Logf("%s ends:\n%s", path, text[max(0, len(text)-most):])
	}
}
