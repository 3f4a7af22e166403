package manager

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/state"
)

// bootKey holds the ID of the host's boot in which machines were started
// automatically last, so that it happens once a boot and not at every start of
// the daemon.
const bootKey = "host/boot"

// StartUp starts what ought to run: at the first start of the daemon since the
// host was booted the machines with autostart, and those whose restart policy
// has an attempt outstanding. It returns at once.
func (m *Manager) StartUp(ctx context.Context) error {
	objects, _, err := m.inv.All(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return err
	}
	for _, object := range objects {
		m.scheduleRestart(object.Key, object.Value)
	}
	m.group.Go(m.controlMemory)
	m.group.Go(m.statistics.keep)
	m.group.Go(m.shareMemory)
	first, err := m.firstSinceBoot(ctx)
	if err == nil {
		m.tidyAll(objects, first)
	}
	if err != nil || !first {
		m.group.Go(m.attendSchedules)
		return err
	}
	wanted := slices.DeleteFunc(objects, func(o inventory.Object) bool {
		return !o.Value.Spec.Autostart.Enabled || machine.Allowed(machine.OpStart, o.Value.Status.State) != nil ||
			o.Value.Status.NextRestart != nil
	})
	slices.SortStableFunc(wanted, func(a, b inventory.Object) int {
		return cmp.Or(cmp.Compare(a.Value.Spec.Autostart.Order, b.Value.Spec.Autostart.Order),
			cmp.Compare(a.Value.Spec.Name, b.Value.Spec.Name))
	})
	m.group.Go(func() {
		m.startInTurn(wanted)
		m.attendSchedules() // not before: a snapshot that is being taken would keep its machine from starting
	})
	return nil
}

func (m *Manager) firstSinceBoot(ctx context.Context) (bool, error) {
	entry, err := m.Store.Get(ctx, bootKey)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return false, err
	}
	if err == nil && string(entry.Value) == m.BootID {
		return false, nil
	}
	_, err = m.Store.Commit(ctx, state.Put(bootKey, []byte(m.BootID)))
	return true, err
}

// startInTurn starts machines one after the other, each after its delay. One
// that fails does not keep the others from starting.
func (m *Manager) startInTurn(objects []inventory.Object) {
	for _, object := range objects {
		select {
		case <-time.After(time.Duration(object.Value.Spec.Autostart.Delay) * time.Second):
		case <-m.base.Done():
			return
		}
		name := object.Value.Spec.Name
		begun, err := m.Start(m.base, object.Key)
		if err == nil {
			err = m.tasks.Wait(m.base, begun.ID)
		}
		if err != nil {
			m.log.Error("a machine could not be started automatically", "machine", name, "error", err)
			continue
		}
		if ended, err := m.tasks.Get(m.base, begun.ID); err == nil && ended.State != api.TaskDone {
			m.log.Error("a machine could not be started automatically", "machine", name, "error", ended.Error)
		}
	}
}
