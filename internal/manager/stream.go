package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/task"
)

// A machine's record says by Streaming that its disks are to be drawn into its own images.
// The task that does so gives way to whatever else is asked of the machine, and begins again
// after that, after the machine's end, and after the daemon's. What was drawn in
// stays, so that it always goes on where it was. What snapshots stand on is drawn in otherwise: stream_tree.go.

// Stream begins to draw into a machine's own images what they stand on.
func (m *Manager) Stream(ctx context.Context, ref string) (api.Task, error) {
	return again(ctx, func() (api.Task, error) { return m.tryStream(ctx, ref) })
}

func (m *Manager) tryStream(ctx context.Context, ref string) (api.Task, error) {
	object, err := m.allowed(ctx, ref, machine.OpStream)
	if err != nil {
		return api.Task{}, err
	}
	err = streamable(object.Value)
	if err == nil {
		err = m.unstoodOn(ctx, object)
	}
	if err != nil {
		return api.Task{}, fmt.Errorf("stream %s: %w", object.Value.Spec.Name, err)
	}
	object.Value.Streaming, object.Value.StreamFailed = true, ""
	return m.beginStream(ctx, object)
}

// streams tells whether a drive has something to be drawn in.
func streams(drive api.Drive) bool {
	return drive.Mode == api.Overlay && drive.Source != "" && drive.File != "" && !machine.Differs(drive) &&
		(machine.WriteModeOf(drive) == api.Normal || machine.WriteModeOf(drive) == api.Writethrough)
}

// streamable tells whether a machine's disks can be drawn in: nil, or a problem that
// says why not.
func streamable(record inventory.Record) error {
	g, err := growthOf(record)
	switch {
	case err != nil:
		return err
	case g.unfit != "":
		return problem.New(api.KindRefused, "delete the snapshots first, or keep the originals", "%s, and is in snapshots, which stand on it, too", g.unfit)
	case !g.stale && !slices.ContainsFunc(record.Spec.Drives, streams):
		return problem.New(api.KindWrongState, "nothing is to be done", "none of its disks stands on an image outside of its folder")
	}
	return nil
}

// unstoodOn checks that no other machine stands on a machine's images: such a one names what
// these stand on as well, and would need it for good.
func (m *Manager) unstoodOn(ctx context.Context, object inventory.Object) error {
	used, err := m.inv.UsersBelow(ctx, object.Value.Folder)
	if err != nil {
		return err
	}
	for _, users := range used {
		for _, uuid := range users {
			if uuid == object.Key {
				continue
			}
			other, err := m.inv.Get(ctx, uuid)
			if err != nil {
				return unlessGone(err)
			}
			return problem.New(api.KindRefused, "draw in that one first (`panal stream`), or keep the originals",
				"the machine %s stands on its disks, and on the originals too", other.Value.Spec.Name)
		}
	}
	return nil
}

// streamLater goes on with drawing in in the background, unless a task is at work on the
// machine: the last such does it then.
func (m *Manager) streamLater(uuid string) {
	m.group.Go(func() {
		_, err := again(m.base, func() (api.Task, error) {
			object, err := m.inv.Get(m.base, uuid)
			if err != nil {
				return api.Task{}, err
			}
			record := object.Value
			if !record.Streaming || record.Status.Task != "" || record.Status.NextRestart != nil || m.base.Err() != nil ||
				machine.Allowed(machine.OpStream, record.Status.State) != nil || streamable(record) != nil {
				return api.Task{}, nil
			}
			return m.beginStream(m.base, object)
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			m.log.Debug("disks are not drawn in now", "machine", uuid, "error", err)
		}
	})
}

// streamAgainAfter is how long after something else was asked of a machine drawing in goes
// on.
const streamAgainAfter = 2 * time.Second

// streamAgain goes on with drawing in a moment after it has given way, and after whatever it has
// given way to has ended, well or not.
func (m *Manager) streamAgain(uuid string) {
	m.group.Go(func() {
		for {
			select {
			case <-time.After(streamAgainAfter):
			case <-m.base.Done():
				return
			}
			object, err := m.inv.Get(m.base, uuid)
			if err != nil {
				return // it was deleted
			}
			if object.Value.Status.Task == "" {
				m.streamLater(uuid)
				return
			}
			if err := m.tasks.Wait(m.base, object.Value.Status.Task); err != nil {
				return
			}
		}
	})
}

// beginStream begins the task that draws in, which gives way to others.
func (m *Manager) beginStream(ctx context.Context, object inventory.Object) (api.Task, error) {
	uuid, name := object.Key, object.Value.Spec.Name
	order, err := m.claim(ctx, object, "machine.stream", object.Value.Status.State)
	if err != nil {
		return api.Task{}, err
	}
	return m.beginAside(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := m.streamAll(ctx, r, uuid); err != nil {
			return fmt.Errorf("stream %s: %w", name, m.streamStopped(ctx, uuid, r.ID(), err))
		}
		return m.finish(ctx, r, uuid, func(record *inventory.Record) error {
			record.Merging = record.Merging || len(record.Snapshots) > 0
			record.Streaming, record.StreamFailed = false, ""
			return nil
		})
	})
}

// streamStopped decides whether drawing in that has stopped is gone on with later, and
// says so. A user who cancels it, and an image that cannot be read, end it. What was drawn in by then stays for
// when it is asked for again, unless there is no room.
func (m *Manager) streamStopped(ctx context.Context, uuid, id string, err error) error {
	m.mu.Lock()
	gaveWay := m.merging[uuid] != id
	m.mu.Unlock()
	switch cause := context.Cause(ctx); {
	case gaveWay:
		m.streamAgain(uuid)
		return err
	case cause != nil && !errors.Is(cause, context.Canceled): // the daemon ends; the next one goes on
		return err
	case cause == nil && m.endsNow(uuid):
		m.streamAgain(uuid)
		return problem.New(api.KindUnavailable, "it goes on by itself", "the machine has ended: %s", err)
	}
	_, failure := m.inv.Modify(context.WithoutCancel(ctx), uuid, func(record *inventory.Record) error {
		record.Streaming = false
		if ctx.Err() == nil {
			record.StreamFailed = err.Error()
		}
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return undrawn(record, nil)
		}
		return nil
	})
	if failure == nil {
		failure = m.clearLeftovers(context.WithoutCancel(ctx), uuid)
	}
	if failure == nil && ctx.Err() != nil {
		return problem.New(api.KindCancelled, "`panal stream` goes on there", "it was cancelled, and what was drawn in stays")
	}
	return errors.Join(err, failure)
}

// streamAll draws in what each drive stands on. A drive that is done is put down at
// once: its original is needed no more.
func (m *Manager) streamAll(ctx context.Context, r *task.Run, uuid string) error {
	object, err := m.inv.Get(ctx, uuid)
	if err == nil {
		err = m.unstoodOn(ctx, object)
	}
	if err == nil && m.running(uuid) == nil {
		_, err = sameBases(object.Value)
	}
	if err == nil {
		err = m.streamTree(ctx, r, uuid)
	}
	if err == nil {
		object, err = m.inv.Get(ctx, uuid)
	}
	if err != nil {
		return err
	}
	for _, drive := range object.Value.Spec.Drives {
		if !streams(drive) {
			continue
		}
		if err := fault.At(ctx, "stream.begun"); err != nil {
			return err
		}
		if err := m.streamDrive(ctx, r, object, drive); err != nil {
			return fmt.Errorf("drive %s: %w", drive.Name, err)
		}
		if err := fault.At(ctx, "stream.drawn"); err != nil {
			return err
		}
		if err := m.ownDrive(context.WithoutCancel(ctx), uuid, drive.Name); err != nil {
			return err
		}
		if err := fault.At(ctx, "stream.owned"); err != nil {
			return err
		}
	}
	return nil
}

// streamDrive has the machine's process draw in what a drive stands on, or does it
// itself when there is none.
func (m *Manager) streamDrive(ctx context.Context, r *task.Run, object inventory.Object, drive api.Drive) error {
	report := func(done, total int64) {
		r.Report(api.Progress{Step: "drawing in " + drive.Source, Done: done, Total: total, Unit: "bytes"})
	}
	report(0, int64(drive.Size))
	dir := m.folderOf(object)
	layers, err := media.OwnLayers(string(dir), drive.File)
	if err != nil {
		return err
	}
	if len(layers) > 1 {
		return problem.New(api.KindBusy, "try again when they are merged", "its own image stands on others in its folder")
	}
	if err := m.roomToDraw(ctx, object, drive); err != nil {
		return err
	}
	if run := m.running(object.Key); run != nil {
		return run.Pull(ctx, drive.Name, "", report)
	}
	return media.Damaged("the image "+drive.Source, media.PullSource(ctx, string(dir), drive, m.driveKeys(object.Key, drive), report))
}

// ownDrive puts down that a drive stands on nothing but its own image.
func (m *Manager) ownDrive(ctx context.Context, uuid, name string) error {
	_, err := m.changeTree(ctx, uuid, func(record *inventory.Record) error {
		drives := slices.Clone(record.Spec.Drives)
		for i := range drives {
			if drive := &drives[i]; drive.Name == name {
				own(drive)
			}
		}
		before := record.Spec
		record.Spec.Drives = drives
		noteBases(record, before)
		return nil
	})
	return err
}

// endsWithin is how long a process takes from when its monitor is gone until it has
// ended.
const endsWithin = 5 * time.Second

// endsNow tells whether a machine's process is ending.
func (m *Manager) endsNow(uuid string) bool {
	run := m.running(uuid)
	return run != nil && run.ends()
}

// ends tells whether a process that does not answer has ended, or is about to: its monitor is gone a
// moment before it.
func (r *run) ends() bool {
	select {
	case <-r.Done():
		return true
	case <-time.After(endsWithin):
		return false
	}
}
