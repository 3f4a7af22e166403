package memstate_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/memstate"
	"github.com/panalvm/panal/internal/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	statetest.Run(t, func(testing.TB) state.Store { return memstate.New() })
}
