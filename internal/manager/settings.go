package manager

import (
	"context"
	"errors"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
)

// The host's settings are one object of the store.
const (
	settingsPrefix = "settings/"
	settingsKey    = "host"
)

func (m *Manager) settings() *state.Collection[api.HostSettings] {
	return state.NewCollection[api.HostSettings](m.Store, settingsPrefix)
}

// Settings are the host's settings, complete.
func (m *Manager) Settings(ctx context.Context) (api.HostSettings, error) {
	object, err := m.settings().Get(ctx, settingsKey)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return api.HostSettings{}, err
	}
	return machine.CompleteSettings(object.Value), nil
}

// ChangeSettings changes the host's settings. What runs already goes on as it is.
func (m *Manager) ChangeSettings(ctx context.Context, request api.ChangeHostRequest) error {
	change := func(settings *api.HostSettings) error {
		changed, wrong := machine.AssignSettings(*settings, request.Set)
		if len(wrong) > 0 {
			return problem.Invalid(wrong, "set the host")
		}
		*settings = changed
		return nil
	}
	_, err := m.settings().Modify(ctx, settingsKey, change)
	if !errors.Is(err, state.ErrNotFound) {
		return err
	}
	var first api.HostSettings
	if err := change(&first); err != nil {
		return err
	}
	_, err = m.settings().Create(ctx, settingsKey, first)
	return err
}
