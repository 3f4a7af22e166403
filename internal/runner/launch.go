package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/panalvm/panal/internal/console"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/imageserver"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/qemu"
	"github.com/panalvm/panal/internal/qmp"
)

// ErrNoProcess says that no QEMU runs for a machine.
var ErrNoProcess = errors.New("no QEMU process runs for it")

// maxLog bounds QEMU's own log of all runs, and the image server's.
const maxLog = 1 << 20

// Machine is what the runner needs to know of a machine.
type Machine struct {
	UUID    string
	Name    string
	Dir     Dir
	Folder  folder.Folder
	User    *process.Identity // whom QEMU runs as; nil for the daemon's own user
	Serials []Serial
	// Images tells which images QEMU is served and does not open itself. It is
	// asked when an image server is started.
	Images  func() ([]imageserver.Image, error)
	Watcher *console.Watcher // tells of what serial lines print; must outlive the session
	Log     *slog.Logger
	// Notify is called with everything that happens, one at a time, from a
	// goroutine of the session, and never after Done is closed. It may be nil.
	Notify func(Event)
}

// Serial is a serial line and the bound of its log.
type Serial struct {
	Name  string
	Bound int64
}

// LogPath is the file that a serial line's output is kept in.
func (m Machine) LogPath(serial string) string {
	return m.Folder.Path(folder.Log, serial+".log")
}

// QEMULog is the file that QEMU's own messages go to.
func (m Machine) QEMULog() string { return m.Folder.Path(folder.Log, "qemu.log") }

// ImageLog is the file that the image server's messages go to.
func (m Machine) ImageLog() string { return m.Folder.Path(folder.Log, "images.log") }

// imageServer is what the image server's keeper needs to know of the machine.
func (m Machine) imageServer() imageserver.Machine {
	return imageserver.Machine{
		UUID: m.UUID, Name: m.Name, Dir: m.Dir.Images(), User: m.User, Log: m.Log, Images: m.Images,
		OpenLog: func() (*os.File, error) {
			log, _, err := openLog(m.ImageLog())
			return log, err
		},
		Restarted: func() {
			if m.Notify != nil {
				m.Notify(Event{Kind: ImagesRestarted})
			}
		},
	}
}

// Launch starts QEMU and returns when it answers on its monitor. When it fails
// nothing is left running. The TPM emulator, if there is one, is started first;
// so is the socket of the image server, which QEMU waits on until that serves.
func Launch(ctx context.Context, m Machine, invocation qemu.Invocation, tpm *TPM) (*Session, error) {
	if err := m.Dir.make(m.User); err != nil {
		return nil, fmt.Errorf("make the runtime directory: %w", err)
	}
	s, err := launch(ctx, m, invocation, tpm)
	if err != nil {
		return nil, errors.Join(err, m.Dir.Remove())
	}
	return s, nil
}

func launch(ctx context.Context, m Machine, invocation qemu.Invocation, tpm *TPM) (s *Session, err error) {
	emulator, err := tpm.start(ctx, m)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && emulator != nil {
			err = errors.Join(err, emulator.Kill(context.WithoutCancel(ctx)))
		}
	}()
	if err := fault.At(ctx, "launch.tpm-started"); err != nil {
		return nil, err
	}
	images, err := m.prepareImages(invocation)
	if err != nil {
		return nil, err
	}
	log, begin, err := openLog(m.QEMULog())
	if err != nil {
		return nil, errors.Join(err, images.Discard())
	}
	defer log.Close()
	program, err := spawn(m, invocation, log)
	if err != nil {
		return nil, errors.Join(err, images.Discard())
	}
	s, err = m.bringUp(ctx, program, images, invocation.Files, begin)
	if err != nil {
		return nil, err
	}
	s.emulator = emulator
	return s, nil
}

// prepareImages makes the image server's socket, if QEMU is to use one.
func (m Machine) prepareImages(invocation qemu.Invocation) (*imageserver.Keeper, error) {
	if !invocation.Served {
		return nil, nil
	}
	return imageserver.Prepare(m.imageServer())
}

// bringUp serves a QEMU that was just started its images and talks to it. When
// that fails both are ended.
func (m Machine) bringUp(ctx context.Context, program *process.Process, images *imageserver.Keeper, files []qemu.File, begin int64) (*Session, error) {
	s, err := m.serveAndConnect(ctx, program, images)
	if err == nil {
		return s, nil
	}
	err = explain(ctx, err, m, program, files, begin)
	return nil, errors.Join(err, program.Kill(context.WithoutCancel(ctx)), images.AwaitEnd())
}

func (m Machine) serveAndConnect(ctx context.Context, program *process.Process, images *imageserver.Keeper) (*Session, error) {
	if err := fault.At(ctx, "launch.qemu-started"); err != nil {
		return nil, notQEMU{err}
	}
	if images != nil {
		if err := images.Start(program); err != nil {
			return nil, notQEMU{err}
		}
		if err := fault.At(ctx, "launch.images-served"); err != nil {
			return nil, notQEMU{err}
		}
	}
	waiting, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	go func() {
		select {
		case <-images.FirstEnded():
			giveUp(errServerEnded)
		case <-waiting.Done():
		}
	}()
	s, err := m.connect(waiting, program, images)
	if err != nil && context.Cause(waiting) == errServerEnded {
		return nil, notQEMU{fmt.Errorf("%w: %s", errServerEnded, lastWords(m.ImageLog(), 0))}
	}
	return s, err
}

// errServerEnded is an image server that ends while QEMU waits for it.
var errServerEnded = errors.New("the image server ended")

// notQEMU is an error on the way up that QEMU has nothing to do with.
type notQEMU struct{ error }

// Unwrap is the error itself.
func (e notQEMU) Unwrap() error { return e.error }

// spawn opens what QEMU is given and starts it.
func spawn(m Machine, invocation qemu.Invocation, log *os.File) (*process.Process, error) {
	files := make([]*os.File, 0, len(invocation.Files))
	defer func() {
		for _, file := range files {
			_ = file.Close()
		}
	}()
	for _, wanted := range invocation.Files {
		file, err := open(wanted, m.User)
		if err != nil {
			return nil, fmt.Errorf("open what QEMU needs: %w", err)
		}
		files = append(files, file)
	}
	for _, line := range invocation.Lines {
		if err := makeLine(line, m.User); err != nil {
			return nil, fmt.Errorf("make what a serial line needs: %w", err)
		}
	}
	return process.Start(process.Spec{
		Path: invocation.Binary, Args: invocation.Args, Files: files,
		Log: log, Dir: "/", User: m.User, Lock: invocation.Locks,
	})
}

// openLog opens a program's log and says where this run's part begins.
func openLog(path string) (log *os.File, begin int64, err error) {
	if err := console.OpenLog(path, maxLog).Trim(); err != nil {
		return nil, 0, err
	}
	log, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := log.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, log.Close())
	}
	return log, info.Size(), nil
}

// Attach finds the run of a machine that was started earlier, by this daemon
// or another one. It is ErrNoProcess when there is none; then what such a run
// may have left behind is gone as well.
func Attach(ctx context.Context, m Machine) (*Session, error) {
	probe, err := net.Dial("unix", m.Dir.Monitor())
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, errors.Join(ErrNoProcess, m.clear(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the monitor of %s: %w", m.Name, err)
	}
	monitor, err := qmp.New(ctx, probe)
	if errors.Is(err, qmp.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		// It ended while it was being asked: look again. One that was just started ends
		// when the daemon that was to serve its images is gone.
		return Attach(ctx, m)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the monitor of %s: %w", m.Name, err)
	}
	// QEMU writes its pid file before it serves the monitor.
	program, err := m.find(m.Dir.PIDFile())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find the process of %s: %w", m.Name, err), monitor.Close())
	}
	images, err := imageserver.Attach(m.imageServer(), program)
	if err != nil {
		return nil, errors.Join(err, monitor.Close())
	}
	s, err := m.session(ctx, program, monitor, images)
	if err != nil {
		return nil, err
	}
	if s.emulator, err = m.find(m.Dir.TPMPIDFile()); err != nil && !errors.Is(err, process.ErrGone) {
		m.Log.Warn("the TPM emulator could not be found again", "machine", m.Name, "error", err)
	}
	s.clearLeft(ctx)
	return s, nil
}

// clear takes away what a run has left behind.
func (m Machine) clear(ctx context.Context) error {
	return errors.Join(m.endStrayTPM(ctx), imageserver.EndStray(ctx, m.Dir.Images(), m.UUID), m.Dir.Remove())
}

// Kill ends the run of a machine whose QEMU does not answer, as a power cut would, and
// takes away what it leaves behind. There need not be one.
func Kill(ctx context.Context, m Machine) error {
	program, err := m.find(m.Dir.PIDFile())
	switch {
	case errors.Is(err, process.ErrGone):
	case err != nil:
		return fmt.Errorf("find the process of %s: %w", m.Name, err)
	default:
		if err := program.Kill(ctx); err != nil {
			return fmt.Errorf("kill the process of %s: %w", m.Name, err)
		}
	}
	return m.clear(ctx)
}

// find holds the process that a pid file names, if it is this machine's.
func (m Machine) find(pidFile string) (*process.Process, error) {
	pid, err := readPID(pidFile)
	if err != nil {
		return nil, err
	}
	return process.Find(pid, m.UUID)
}

// connect talks to a QEMU that was just started.
func (m Machine) connect(ctx context.Context, program *process.Process, images *imageserver.Keeper) (*Session, error) {
	waiting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	monitor, err := qmp.Dial(waiting, m.Dir.Monitor())
	if err != nil {
		return nil, err
	}
	return m.session(ctx, program, monitor, images)
}
