package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/panalvm/panal/internal/qmp"
)

// transfer is the name that a pipe is given to QEMU under.
const transfer = "panal-state"

// Save writes the state of a paused machine, its memory and devices, to w.
// Report is called now and then with the bytes of memory that are written and
// those there are. The machine stays paused; after a failure it can be resumed.
func (s *Session) Save(ctx context.Context, w io.Writer, report func(done, total int64)) error {
	if err := s.leavePostmigrate(ctx); err != nil {
		return err
	}
	read, err := s.openTransfer(ctx)
	if err != nil {
		return err
	}
	defer read.Close()
	if err := s.beginMigration(ctx); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = read.Close() })
	defer stop()
	progress, endReports := s.memoryReports(ctx, report)
	_, err = io.Copy(w, &meteredReader{Reader: read, report: progress})
	endReports()
	if err != nil {
		_ = read.Close() // so that QEMU does not wait for a reader before it cancels
		s.giveUp(ctx)
		return cmp.Or(context.Cause(ctx), err)
	}
	if err := s.moveCompleted(ctx); err != nil {
		return err
	}
	return s.monitor.AwaitFinalized(ctx)
}

// leavePostmigrate brings a machine whose state was written before, for nothing in the end, back to being merely paused: QEMU does
// not write another one of it before it has run, if only for a moment.
func (s *Session) leavePostmigrate(ctx context.Context) error {
	_, state, err := s.Running(ctx)
	if err != nil || state != "postmigrate" {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	return errors.Join(s.monitor.Cont(ctx), s.monitor.Stop(ctx))
}

// beginMigration has QEMU begin to write into the pipe that it was given. It is not to be cut off: what is said to have begun
// can be ended.
func (s *Session) beginMigration(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return s.monitor.Migrate(context.WithoutCancel(ctx), "fd:"+transfer)
}

// giveUp ends what QEMU writes, and returns when it has. Whether ctx is cancelled is nothing to it.
func (s *Session) giveUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
	defer cancel()
	if s.monitor.MigrateCancel(ctx) == nil {
		_ = s.moveCompleted(ctx) // it was not
	}
}

// openTransfer makes the pipe that QEMU writes a state into, and sets no limit to how
// fast: the default one is meant for networks.
func (s *Session) openTransfer(ctx context.Context) (read *os.File, err error) {
	s.forgetMoves()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer write.Close() // QEMU has a duplicate
	err = s.monitor.SendFile(ctx, transfer, write)
	if err == nil {
		err = s.monitor.SetMigrateParameters(ctx, map[string]any{"max-bandwidth": int64(1) << 50})
	}
	if err != nil {
		return nil, errors.Join(err, read.Close())
	}
	return read, nil
}

// Restore reads a state that Save has written into a QEMU that was started to
// wait for one. The guest is paused afterwards.
func (s *Session) Restore(ctx context.Context, r io.Reader, report func(done int64)) error {
	s.forgetMoves()
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer write.Close()
	if err := s.monitor.SendFile(ctx, transfer, read); err != nil {
		return errors.Join(err, read.Close())
	}
	if err := read.Close(); err != nil {
		return err
	}
	if err := s.monitor.MigrateIncoming(ctx, "fd:"+transfer); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = write.Close() })
	defer stop()
	if _, err := io.Copy(write, &meteredReader{Reader: r, report: report}); err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	if err := write.Close(); err != nil {
		return err
	}
	return s.moveCompleted(ctx)
}

// moveCompleted waits for QEMU's word that the state was written or read whole.
func (s *Session) moveCompleted(ctx context.Context) error {
	for {
		select {
		case status := <-s.moved:
			if !qmp.MigrationFinished(status) {
				continue
			}
			if status == qmp.MigrationCompleted {
				return nil
			}
			info, _ := s.monitor.QueryMigrate(ctx)
			return fmt.Errorf("QEMU says that it %s: %s", status, cmp.Or(info.ErrorDesc, s.said()))
		case <-s.monitor.Done():
			return errors.New("QEMU ended meanwhile: " + s.said())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// said is what QEMU wrote last into its log: for some failures that is the only place where it tells why.
func (s *Session) said() string { return plain(lastWords(s.machine.QEMULog(), s.begin)) }

// forgetMoves drops what is left of an earlier transfer.
func (s *Session) forgetMoves() {
	for {
		select {
		case <-s.moved:
		default:
			return
		}
	}
}

// memoryReports turns bytes of the stream into reports against the memory's
// size, which QEMU knows once the transfer has begun. QEMU is asked by a
// goroutine of its own: it writes the end of its state with its lock held and
// answers nobody until that was read. A call of end waits for the last report.
func (s *Session) memoryReports(ctx context.Context, report func(done, total int64)) (progress func(int64), end func()) {
	asking, cancel := context.WithCancel(ctx)
	due, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-due:
			case <-asking.Done():
				return
			}
			info, err := s.monitor.QueryMigrate(asking)
			if err == nil && info.RAM.Total > 0 {
				report(info.RAM.Total-info.RAM.Remaining, info.RAM.Total)
			}
		}
	}()
	progress = func(int64) {
		select {
		case due <- struct{}{}:
		default: // one is being asked for
		}
	}
	return progress, func() { cancel(); <-ended }
}

// meteredReader reports every few megabytes.
type meteredReader struct {
	io.Reader
	report     func(int64)
	done, last int64
}

const meterStep = 16 << 20

func (m *meteredReader) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if m.done += int64(n); m.done-m.last >= meterStep {
		m.last = m.done
		m.report(m.done)
	}
	return n, err
}
