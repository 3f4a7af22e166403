package etcdstate_test

import (
	"testing"

	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/etcdstate"
	"github.com/panalvm/panal/internal/state/statetest"
)

func TestStore(t *testing.T) {
	statetest.Run(t, func(t testing.TB) state.Store { return open(t, etcdstate.Config{Dir: t.TempDir()}) })
}

// open opens a store and fails t when that fails; the caller closes it.
func open(t testing.TB, cfg etcdstate.Config) *etcdstate.Store {
	t.Helper()
	s, err := etcdstate.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
