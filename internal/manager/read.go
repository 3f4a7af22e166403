package manager

import (
	"context"
	"errors"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/service"
	"github.com/panalvm/panal/internal/state"
)

// List is the machines that match, ordered by name.
func (m *Manager) List(ctx context.Context, filter service.Filter) (api.MachineList, error) {
	summaries, revision, err := m.inv.List(ctx, func(s *api.Summary) bool { return matches(s, filter) })
	return api.MachineList{Revision: int64(revision), Machines: summaries}, err
}

func matches(s *api.Summary, filter service.Filter) bool {
	if filter.State != "" && s.State != filter.State {
		return false
	}
	for _, label := range filter.Labels {
		name, wanted, valued := strings.Cut(label, "=")
		value, found := s.Labels[name]
		if !found || valued && value != wanted {
			return false
		}
	}
	return true
}

// Get is one machine.
func (m *Manager) Get(ctx context.Context, ref string) (api.Machine, error) {
	object, err := m.inv.Find(ctx, ref)
	return inventory.AsMachine(object), err
}

func isConflict(err error) bool { return errors.Is(err, state.ErrConflict) }

// again does what reads a record and commits a change of it, once more whenever
// the record was changed in between: by its supervisor, or by a task's end. What
// a client has seen is checked each time anew.
func again[T any](ctx context.Context, do func() (T, error)) (T, error) {
	for {
		result, err := do()
		if !isConflict(err) || ctx.Err() != nil {
			return result, err
		}
	}
}
