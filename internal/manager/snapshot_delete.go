package manager

import (
	"context"
	"errors"
	"fmt"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/snapshot"
	"github.com/panalvm/panal/internal/task"
)

// Delete begins to remove a snapshot.
func (s *Snapshots) Delete(ctx context.Context, ref, wanted string, request api.DeleteSnapshotRequest) (api.Task, error) {
	return again(ctx, func() (api.Task, error) { return s.tryDelete(ctx, ref, wanted, request) })
}

func (s *Snapshots) tryDelete(ctx context.Context, ref, wanted string, request api.DeleteSnapshotRequest) (api.Task, error) {
	object, found, err := s.toChange(ctx, ref, wanted)
	if err != nil {
		return api.Task{}, err
	}
	ids := []string{found.ID}
	if request.Children {
		ids = snapshot.Of(object.Value.Machine).Below(found.ID)
	}
	order, err := s.m.claim(ctx, object, "snapshot.delete", object.Value.Status.State)
	if err != nil {
		return api.Task{}, err
	}
	return s.m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := s.m.deleteSnapshots(ctx, r, object.Key, ids); err != nil {
			return fmt.Errorf("delete snapshot %s of %s: %w", found.Name, object.Value.Spec.Name, err)
		}
		return nil
	})
}

// toChange finds a snapshot of a machine whose tree may be changed now.
func (s *Snapshots) toChange(ctx context.Context, ref, wanted string) (inventory.Object, api.Snapshot, error) {
	object, err := s.m.allowed(ctx, ref, machine.OpSnapshot)
	if err == nil {
		err = s.m.unedited(object)
	}
	if err != nil {
		return object, api.Snapshot{}, err
	}
	found, err := snapshotNamed(object, wanted)
	return object, found, err
}

// deleteSnapshots takes snapshots out of the tree, in one commit, and then merges
// what others need of them. That commit is the deletion: a merging that is
// cut off or fails is taken up again by itself, and no reason to call it failed.
func (m *Manager) deleteSnapshots(ctx context.Context, r *task.Run, uuid string, ids []string) error {
	if err := m.dropSnapshots(ctx, uuid, ids); err != nil {
		return err
	}
	merging := fault.At(ctx, "snapshot-delete.removed")
	if merging == nil {
		merging = m.clearLeftovers(ctx, uuid)
	}
	if merging == nil {
		merging = m.catchUp(ctx, uuid)
	}
	if merging == nil {
		merging = m.mergeAll(ctx, r, uuid)
	}
	if merging != nil && !errors.Is(merging, context.Canceled) && ctx.Err() == nil {
		r.Warn(fmt.Sprintf("the snapshot is deleted, but what it held is not merged yet, and takes up space until that has succeeded: %s", merging))
	}
	return m.finish(context.WithoutCancel(ctx), r, uuid, func(*inventory.Record) error { return nil })
}

// dropSnapshots takes snapshots out of the tree, in one commit.
func (m *Manager) dropSnapshots(ctx context.Context, uuid string, ids []string) error {
	if err := fault.At(ctx, "snapshot-delete.begun"); err != nil {
		return err
	}
	others, err := m.standOn(ctx, uuid)
	if err != nil {
		return err
	}
	_, err = m.freeTree(ctx, uuid, func(record *inventory.Record) error {
		after := snapshot.Of(record.Machine).Remove(ids...)
		images, kept, err := surveyRecord(record)
		if err != nil {
			return err
		}
		setTree(record, after)
		for _, id := range ids {
			record.Leftovers = append(record.Leftovers, heldFolder(id))
		}
		lend(record, images, kept, others)
		record.Merging = true
		return nil
	})
	return err
}
