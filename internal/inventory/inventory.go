package inventory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
)

// Inventory is the machines that are known.
type Inventory struct {
	store    state.Store
	machines *state.Collection[Record]
	log      *slog.Logger
	cancel   context.CancelFunc
	group    sync.WaitGroup
	list     list
}

// Open reads the machines and begins to follow the store. Records that cannot
// be read are logged and left alone.
func Open(ctx context.Context, store state.Store, log *slog.Logger) (*Inventory, error) {
	inv := &Inventory{store: store, machines: state.NewCollection[Record](store, Prefix), log: log}
	at, err := inv.load(ctx)
	if err != nil {
		return nil, err
	}
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	inv.cancel = cancel
	inv.group.Go(func() { inv.follow(following, at) })
	return inv, nil
}

// Close stops following the store.
func (inv *Inventory) Close() {
	inv.cancel()
	inv.group.Wait()
}

func (inv *Inventory) load(ctx context.Context) (state.Revision, error) {
	objects, at, err := inv.machines.List(ctx)
	if errors.Is(err, state.ErrUndecodable) {
		inv.log.Error("some machines' records cannot be read; they are left as they are", "error", err)
	} else if err != nil {
		return 0, fmt.Errorf("read the machines: %w", err)
	}
	summaries, used, scheduled := make([]api.Summary, 0, len(objects)), newUses(), map[string]Scheduled{}
	for _, object := range objects {
		used.add(object.Value.Machine)
		if s := scheduledOf(object.Value.Machine); s.Schedule != (api.SnapshotSchedule{}) {
			scheduled[object.Key] = s
		}
		summaries = append(summaries, machine.Summarize(AsMachine(object)))
	}
	inv.list.replace(summaries, used, scheduled, at)
	return at, nil
}

// follow keeps the list up to date. It watches everything, not only machines,
// so that the list's revision keeps up with the store's.
func (inv *Inventory) follow(ctx context.Context, at state.Revision) {
	for ctx.Err() == nil {
		for change, err := range inv.store.Watch(ctx, "", at) {
			if err != nil {
				break
			}
			inv.apply(change)
			at = change.Entry.Revision
		}
		if ctx.Err() != nil {
			break
		}
		// The watch fell behind what the store keeps: read all again.
		again, err := inv.load(ctx)
		if err != nil {
			inv.list.fail(err)
			return
		}
		at = again
	}
	inv.list.fail(state.ErrClosed)
}

// Get returns the record of a machine by its UUID.
func (inv *Inventory) Get(ctx context.Context, uuid string) (Object, error) {
	object, err := inv.machines.Get(ctx, uuid)
	if errors.Is(err, state.ErrNotFound) {
		return object, problem.New(api.KindNotFound, "`panal list` shows the machines", "there is no machine %s", uuid)
	}
	return object, err
}

// Find returns the record of the machine that a user's reference names.
func (inv *Inventory) Find(ctx context.Context, ref string) (Object, error) {
	if err := inv.catchUp(ctx); err != nil {
		return Object{}, err
	}
	uuid, err := inv.list.resolve(ref)
	if err != nil {
		return Object{}, err
	}
	return inv.Get(ctx, uuid)
}

// List returns the machines that match, ordered by name, and the revision at
// which that was so.
func (inv *Inventory) List(ctx context.Context, match func(*api.Summary) bool) ([]api.Summary, state.Revision, error) {
	if err := inv.catchUp(ctx); err != nil {
		return nil, 0, err
	}
	summaries, at := inv.list.selected(match)
	return summaries, at, nil
}

// All returns every record, and the revision at which that was so.
func (inv *Inventory) All(ctx context.Context) ([]Object, state.Revision, error) {
	return inv.machines.List(ctx)
}

// Count is how many machines are known, and how many of them have a process.
func (inv *Inventory) Count(ctx context.Context) (known, live int, err error) {
	summaries, _, err := inv.List(ctx, func(*api.Summary) bool { return true })
	for _, s := range summaries {
		if s.State != api.StateOff && s.State != api.StateSaved {
			live++
		}
	}
	return len(summaries), live, err
}

// catchUp waits until the list has seen every commit made before the call.
func (inv *Inventory) catchUp(ctx context.Context) error {
	newest, err := inv.store.Revision(ctx)
	if err != nil {
		return err
	}
	return inv.list.wait(ctx, newest)
}
