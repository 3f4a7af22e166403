package manager

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/console"
	"github.com/panalvm/panal/internal/guest"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/service"
)

// viewable finds a machine that has a process, for an operation that looks at it.
func (m *Manager) viewable(ctx context.Context, ref string, op machine.Operation) (inventory.Object, *run, error) {
	object, err := m.inv.Find(ctx, ref)
	if err != nil {
		return object, nil, err
	}
	if err := machine.Allowed(op, object.Value.Status.State); err != nil {
		return object, nil, fmt.Errorf("%s %s: %w", op, object.Value.Spec.Name, err)
	}
	run := m.running(object.Key)
	if run == nil {
		return object, nil, problem.New(api.KindWrongState, "try again in a moment", "%s %s: it has no process yet", op, object.Value.Spec.Name)
	}
	return object, run, nil
}

// Console attaches to a serial line.
func (m *Manager) Console(ctx context.Context, ref, serial string, scrollback int) (service.Console, error) {
	object, run, err := m.viewable(ctx, ref, machine.OpConsole)
	if err != nil {
		return nil, err
	}
	spec := object.Value.Spec
	if serial == "" && len(spec.Serials) > 0 {
		serial = spec.Serials[0].Name
	}
	hub := run.Console(serial)
	if hub == nil {
		return nil, problem.New(api.KindNotFound, "`panal show` lists them", "console %s: it has no serial line %q", spec.Name, serial)
	}
	c := &viewer{Viewer: hub.Attach(scrollback), manager: m, uuid: object.Key, index: serialIndex(spec, serial)}
	context.AfterFunc(ctx, func() { _ = c.Close() })
	return c, nil
}

func serialIndex(spec api.Spec, name string) int {
	return slices.IndexFunc(spec.Serials, func(s api.Serial) bool { return s.Name == name })
}

// viewer is a console viewer that can tell the guest of its window.
type viewer struct {
	*console.Viewer
	manager *Manager
	uuid    string
	index   int // of the serial line

	mu      sync.Mutex // guards telling and wanted
	telling bool
	wanted  [2]int // rows and columns not told yet
}

// Resize tells the guest's terminal the size of the window, through the guest
// agent when it runs. Only the newest size counts: while one is being told,
// the ones in between are skipped.
func (v *viewer) Resize(rows, columns int) {
	if rows <= 0 || columns <= 0 || rows > 9999 || columns > 9999 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wanted = [2]int{rows, columns}
	if !v.telling {
		v.telling = true
		go v.tell()
	}
}

func (v *viewer) tell() {
	for {
		v.mu.Lock()
		size := v.wanted
		v.mu.Unlock()
		v.manager.tellSize(v.uuid, v.index, size[0], size[1])
		v.mu.Lock()
		if v.wanted == size {
			v.telling = false
			v.mu.Unlock()
			return
		}
		v.mu.Unlock()
	}
}

// tellSize sets the size of the guest's terminal. It is a courtesy: a guest
// without an agent, or without stty, keeps the size it has.
func (m *Manager) tellSize(uuid string, index, rows, columns int) {
	ctx, cancel := context.WithTimeout(m.base, 5*time.Second)
	defer cancel()
	object, err := m.inv.Get(ctx, uuid)
	if err != nil || !object.Value.Status.Agent {
		return
	}
	tty := fmt.Sprintf("/dev/ttyS%d", index)
	if object.Value.Spec.Architecture == api.AArch64 {
		tty = fmt.Sprintf("/dev/ttyAMA%d", index)
	}
	agent, err := guest.Dial(ctx, m.runtimeDir(uuid).Agent())
	if err != nil {
		m.log.Debug("the guest agent could not be reached", "machine", uuid, "error", err)
		return
	}
	defer agent.Close()
	_, err = agent.Exec(ctx, guest.Command{
		Path: "stty", Args: []string{"-F", tty, "rows", fmt.Sprint(rows), "columns", fmt.Sprint(columns)},
	})
	if err != nil {
		m.log.Debug("the guest could not be told the size of a window", "machine", uuid, "error", err)
	}
}

// Display connects to the VNC server of a running machine.
func (m *Manager) Display(ctx context.Context, ref string) (net.Conn, error) {
	object, _, err := m.viewable(ctx, ref, machine.OpDisplay)
	if err != nil {
		return nil, err
	}
	if object.Value.Spec.Display.Type != "vnc" {
		return nil, problem.New(api.KindUnsupported, "`panal set NAME display.type=vnc` gives it one, when it is off",
			"display of %s: it has none", object.Value.Spec.Name)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", m.runtimeDir(object.Key).Display())
}

// Screenshot is the display's content as PNG.
func (m *Manager) Screenshot(ctx context.Context, ref string) ([]byte, error) {
	object, run, err := m.viewable(ctx, ref, machine.OpScreenshot)
	if err != nil {
		return nil, err
	}
	if object.Value.Spec.Display.Video == "none" {
		return nil, problem.New(api.KindUnsupported, "`panal set NAME display.video=std` gives it one, when it is off",
			"screenshot of %s: it has no graphics adapter", object.Value.Spec.Name)
	}
	image, err := run.Screenshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("screenshot of %s: %w", object.Value.Spec.Name, err)
	}
	return image, nil
}

// Log is a log of a machine, "qemu", "images" or a serial line's name.
func (m *Manager) Log(ctx context.Context, ref, name string, tail int64) (io.ReadCloser, error) {
	object, err := m.inv.Find(ctx, ref)
	if err != nil {
		return nil, err
	}
	spec, files := object.Value.Spec, m.runnerMachine(object)
	path := files.QEMULog()
	if name == "images" && serialIndex(spec, name) < 0 {
		path = files.ImageLog()
	} else if name != "" && name != "qemu" {
		if serialIndex(spec, name) < 0 {
			return nil, problem.New(api.KindNotFound, "qemu, images, or a serial line's name", "log of %s: there is none named %q", spec.Name, name)
		}
		path = files.LogPath(name)
	}
	file, err := os.Open(path)
	if isNotExist(err) {
		return nil, problem.New(api.KindNotFound, "", "log of %s: nothing has been printed yet", spec.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", spec.Name, err)
	}
	if info, err := file.Stat(); err == nil && tail > 0 && info.Size() > tail {
		if _, err := file.Seek(info.Size()-tail, io.SeekStart); err != nil {
			return nil, fmt.Errorf("log of %s: %w", spec.Name, err)
		}
	}
	return file, nil
}
