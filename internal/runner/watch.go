package runner

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/qemu"
	"github.com/panalvm/panal/internal/qmp"
)

// EventKind is what happened to a running machine.
type EventKind int

// The events.
const (
	Paused      EventKind = iota + 1 // the CPUs were stopped
	Resumed                          // the CPUs run again
	WasReset                         // the machine was reset, by its guest or by command
	AgentOpened                      // the guest agent has opened its channel
	AgentClosed
	DiskFailed      // a drive reported an error to the guest; Detail says which
	CPUGone         // the guest has let go of a CPU
	ImagesRestarted // the image server had ended, and another one serves now
)

// Event is something that happened to a running machine.
type Event struct {
	Kind   EventKind
	Detail string
}

// watch follows QEMU until it is gone.
func (s *Session) watch(status qmp.Status) {
	switch status.State {
	case qmp.StateShutdown:
		s.guestEnded(api.EndGuestShutdown, "")
	case qmp.StateGuestPanicked:
		s.guestEnded(api.EndGuestPanic, "")
	}
	for event := range s.monitor.Events() {
		s.take(event)
	}
	s.listeners.end()
	// The monitor closes when QEMU ends. It may also break while QEMU runs: a
	// machine that cannot be spoken to any more is ended rather than left to
	// run unwatched.
	ending, cancel := context.WithTimeout(context.Background(), quitWithin)
	defer cancel()
	if err := s.program.Wait(ending); err != nil {
		s.because(api.EndFailed, "its monitor broke: "+fmt.Sprint(s.monitor.Err()))
		_ = s.program.Signal(syscall.SIGKILL)
		<-s.program.Done()
	}
	s.finish()
}

// take acts on one event of QEMU's.
func (s *Session) take(event qmp.Event) {
	s.listeners.tell(event)
	switch event.Name {
	case qmp.EventShutdown:
		var shutdown qmp.Shutdown
		_ = event.Decode(&shutdown)
		s.shutDown(shutdown)
	case qmp.EventGuestPanicked:
		s.guestEnded(api.EndGuestPanic, "the guest's kernel panicked")
	case qmp.EventStop:
		s.notify(Event{Kind: Paused})
	case qmp.EventResume:
		s.notify(Event{Kind: Resumed})
	case qmp.EventReset:
		s.notify(Event{Kind: WasReset})
	case qmp.EventMigration:
		var migration qmp.Migration
		_ = event.Decode(&migration)
		select {
		case s.moved <- migration.Status:
		default: // nobody is waiting for so many
		}
	case qmp.EventVSerialPortChange:
		var port qmp.VSerialPortChange
		_ = event.Decode(&port)
		if port.ID == qemu.AgentPort {
			s.agentPort(port.Open)
		}
	case qmp.EventDeviceDeleted:
		var deleted qmp.DeviceDeleted
		_ = event.Decode(&deleted)
		if isCPU(deleted.Path) {
			s.notify(Event{Kind: CPUGone})
		}
	case qmp.EventBlockIOError:
		s.notify(Event{Kind: DiskFailed, Detail: string(event.Data)})
	}
}

// agentPort tells that the guest's agent has opened its channel, or closed it.
func (s *Session) agentPort(open bool) {
	if !open {
		s.notify(Event{Kind: AgentClosed})
		return
	}
	select {
	case s.agentCame <- struct{}{}:
	default: // nobody has taken the last one
	}
	s.notify(Event{Kind: AgentOpened})
}

func (s *Session) shutDown(shutdown qmp.Shutdown) {
	switch shutdown.Reason {
	case qmp.CauseGuestShutdown, qmp.CauseGuestReset, qmp.CauseSubsystemReset:
		s.guestEnded(api.EndGuestShutdown, "")
	case qmp.CauseGuestPanic:
		s.guestEnded(api.EndGuestPanic, "the guest's kernel panicked")
	case qmp.CauseHostSignal:
		s.because(api.EndKilled, "QEMU was asked to end by a signal from outside")
	case qmp.CauseHostError:
		s.because(api.EndFailed, "QEMU ended on an error of the host")
	}
}

// guestEnded lets a QEMU quit whose guest has ended.
func (s *Session) guestEnded(reason api.EndReason, detail string) {
	s.because(reason, detail)
	go func() { _ = s.PowerOff(context.Background(), reason) }()
}

func (s *Session) notify(event Event) {
	if s.machine.Notify != nil {
		s.machine.Notify(event)
	}
}

// finish clears up after QEMU and says how it ended.
func (s *Session) finish() {
	_ = s.monitor.Close()
	s.closeLines()
	if s.emulator != nil {
		// It ends with its connection; the signal is for one that does not.
		_ = s.emulator.Signal(syscall.SIGTERM)
		<-s.emulator.Done()
	}
	if err := s.keeper().AwaitEnd(); err != nil {
		s.machine.Log.Warn("the image server's directory could not be removed", "machine", s.machine.Name, "error", err)
	}
	if err := s.machine.Dir.Remove(); err != nil {
		s.machine.Log.Warn("a runtime directory could not be removed", "machine", s.machine.Name, "error", err)
	}
	s.mu.Lock()
	s.end = s.howItEnded()
	s.mu.Unlock()
	close(s.done)
}

// howItEnded weighs what was noted against how the process ended; s.mu is held.
func (s *Session) howItEnded() api.End {
	end := api.End{Reason: s.reason, Detail: s.detail, Time: time.Now().UTC()}
	var exit *exec.ExitError
	switch how := s.program.How(); {
	case end.Reason != "":
	case errors.As(how, &exit) && exit.Sys().(syscall.WaitStatus).Signaled():
		end.Reason = api.EndKilled
		end.Detail = "QEMU was ended by the signal " + exit.Sys().(syscall.WaitStatus).Signal().String()
	case how == nil && lastWords(s.machine.QEMULog(), s.begin) == "":
		end.Reason, end.Detail = api.EndKilled, "QEMU ended without a word"
	default:
		end.Reason, end.Detail = api.EndFailed, plain(lastWords(s.machine.QEMULog(), s.begin))
	}
	return end
}

// explain says why a QEMU that was just started did not come up.
func explain(ctx context.Context, err error, m Machine, program *process.Process, files []qemu.File, begin int64) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if other := (notQEMU{}); errors.As(err, &other) {
		return other.error
	}
	// Its connection closes a moment before it has ended.
	waiting, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if program.Wait(waiting) != nil {
		return fmt.Errorf("QEMU does not answer: %w", err)
	}
	words := plain(lastWords(m.QEMULog(), begin))
	if strings.Contains(words, "host forwarding rule") {
		return problem.New(api.KindExists, "choose another host port, or stop what listens on it", "QEMU did not start: %s", words)
	}
	if path := lockedImage(words, files); path != "" {
		return problem.New(api.KindBusy, "end what has it open (`lsof FILE` names it), or wait for it", "another program has the image %s open", path)
	}
	return problem.New(api.KindUnsupported, "`panal log` shows all that QEMU said", "QEMU did not start: %s", words)
}

// lockedImage finds which of QEMU's files it says that somebody else has locked,
// empty if it says something else. It knows a file by the number of its descriptor.
func lockedImage(words string, files []qemu.File) string {
	_, rest, found := strings.Cut(words, "Is another process using the image ["+path.Dir(qmp.FDSetPath(0))+"/")
	number, _, closed := strings.Cut(rest, "]")
	fd, err := strconv.Atoi(number)
	if i := fd - qemu.FirstFD; found && closed && err == nil && i >= 0 && i < len(files) {
		return files[i].Path
	}
	return ""
}

// plain takes the time and the program's name off a line of QEMU's log.
func plain(line string) string {
	if _, rest, found := strings.Cut(line, "qemu-system-"); found {
		if _, message, found := strings.Cut(rest, ": "); found {
			return message
		}
	}
	return line
}
