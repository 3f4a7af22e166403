package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/schedule"
	"github.com/panalvm/panal/internal/snapshot"
	"github.com/panalvm/panal/internal/task"
)

// scheduleWarning begins all warnings of schedules, so that they can be taken back.
const scheduleWarning = "the schedule of snapshots: "

// attendSchedules attends to the schedules of snapshots until the manager is closed.
func (m *Manager) attendSchedules() {
	if err := schedule.Run(m.base, scheduled{m}); err != nil && m.base.Err() == nil {
		m.log.Error("schedules of snapshots are attended to no longer", "error", err)
	}
}

// scheduled is the machines with schedules, as package schedule sees them.
type scheduled struct{ m *Manager }

// Scheduled are the machines with a schedule.
func (s scheduled) Scheduled(ctx context.Context) (map[string]inventory.Scheduled, <-chan struct{}, error) {
	return s.m.inv.Scheduled(ctx)
}

// Attend takes the snapshot that is due on a machine, deletes those that the schedule
// keeps no longer, and puts down that it was done, or why not.
func (s scheduled) Attend(ctx context.Context, uuid string) error {
	object, err := s.m.inv.Get(ctx, uuid)
	if err != nil {
		return unlessGone(err)
	}
	now := time.Now().UTC()
	missed, err := s.m.attend(ctx, object, now)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.m.modify(uuid, func(record *inventory.Record) {
		warnings := without(record.Status.Warnings, scheduleWarning)
		switch {
		case err != nil:
			warnings = append(warnings, scheduleWarning+err.Error()+"; it is tried again")
		case missed != "":
			warnings = append(warnings, scheduleWarning+missed)
		}
		record.Status.Warnings = warnings
		if err == nil {
			record.Status.Schedule = &api.Scheduled{Attended: now, Next: snapshot.Next(record.Spec.Snapshots, now, now)}
		}
	})
	return err
}

// attend does what a machine's schedule says is due now. It says what was
// missed since the last time.
func (m *Manager) attend(ctx context.Context, object inventory.Object, now time.Time) (missed string, err error) {
	record := object.Value
	if record.Status.NextRestart != nil {
		return "", problem.New(api.KindBusy, "", "the machine is about to be started again")
	}
	if kind, due := snapshot.Due(record.Spec.Snapshots, record.Snapshots, now); due {
		changed, err := m.changedSince(object)
		if err != nil {
			return "", err
		}
		if changed {
			missed = missedWords(record.Machine, now)
			if err := m.takeScheduled(ctx, object, kind, missed, now); err != nil {
				return "", err
			}
		}
	}
	return missed, m.expire(ctx, object.Key)
}

// missedWords says what a schedule has missed, in words; nothing if it has not.
func missedWords(m api.Machine, now time.Time) string {
	if m.Status.Schedule == nil {
		return ""
	}
	n := snapshot.Missed(m.Spec.Snapshots, m.Status.Schedule.Attended, now)
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d were missed between %s and %s, while no daemon ran or the machine was busy",
		n, m.Status.Schedule.Attended.Format(time.RFC3339), now.Format(time.RFC3339))
}

// changedSince tells whether a machine may be another than in the snapshot that its
// present state came after.
func (m *Manager) changedSince(object inventory.Object) (bool, error) {
	last, some := snapshot.Of(object.Value.Machine).Get(object.Value.Snapshot)
	switch status := object.Value.Status; {
	case !some || status.State == api.StateRunning:
		return true, nil
	case status.State != api.StateOff:
		return last.State != status.State || last.Taken.Before(status.Since), nil
	}
	lost, err := m.wouldLose(object, api.Spec{})
	return lost != "", err
}

func (m *Manager) takeScheduled(ctx context.Context, object inventory.Object, kind snapshot.Kind, missed string, now time.Time) error {
	name := snapshot.Of(object.Value.Machine).Free(string(kind) + " " + now.Format("2006-01-02 15:04"))
	as := api.Snapshot{Schedule: string(kind)}
	if missed != "" {
		as.Notes = []string{missed}
	}
	begun, err := again(ctx, func() (api.Task, error) {
		return m.Snapshots().tryTake(ctx, object.Key, api.TakeSnapshotRequest{Name: name}, as)
	})
	if err != nil {
		return err
	}
	return m.endOf(ctx, begun)
}

// endOf waits for a task, and is the error that it failed with.
func (m *Manager) endOf(ctx context.Context, begun api.Task) error {
	if err := m.tasks.Wait(ctx, begun.ID); err != nil {
		return err
	}
	ended, err := m.tasks.Get(ctx, begun.ID)
	switch {
	case err != nil:
		return err
	case ended.State == api.TaskDone:
		return nil
	case ended.Error != nil:
		return errors.New(ended.Error.Detail)
	}
	return fmt.Errorf("the task was %s", ended.State)
}

// expire deletes the snapshots that a machine's schedule keeps no longer. What they
// held is merged in the background, where that gives way to whatever is asked of the machine.
func (m *Manager) expire(ctx context.Context, uuid string) error {
	begun, err := again(ctx, func() (api.Task, error) {
		object, err := m.allowed(ctx, uuid, machine.OpSnapshot)
		if err == nil {
			err = m.unedited(object)
		}
		if err != nil {
			return api.Task{}, err
		}
		ids := snapshot.Expired(object.Value.Spec.Snapshots, object.Value.Snapshots)
		if len(ids) == 0 {
			return api.Task{}, nil
		}
		order, err := m.claim(ctx, object, "snapshot.delete", object.Value.Status.State)
		if err != nil {
			return api.Task{}, err
		}
		return m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
			if err := m.dropSnapshots(ctx, uuid, ids); err != nil {
				return fmt.Errorf("delete old snapshots of %s: %w", object.Value.Spec.Name, err)
			}
			return m.finish(context.WithoutCancel(ctx), r, uuid, func(*inventory.Record) error { return nil })
		})
	})
	if err != nil || begun.ID == "" {
		return err
	}
	return m.endOf(ctx, begun)
}

// unschedule forgets where a machine's schedule had come to: it has another.
func unschedule(record *inventory.Record) {
	record.Status.Schedule = nil
	record.Status.Warnings = without(record.Status.Warnings, scheduleWarning)
}
