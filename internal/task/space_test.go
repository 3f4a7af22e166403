package task

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/memstate"
)

// smallStore is a store whose disk may be full.
type smallStore struct {
	state.Store
	full    atomic.Bool
	refused atomic.Int32
}

func (s *smallStore) Commit(ctx context.Context, ops ...state.Op) (state.Revision, error) {
	if s.full.Load() {
		s.refused.Add(1)
		return 0, state.ErrNoSpace
	}
	return s.Store.Commit(ctx, ops...)
}

func TestEndIsStoredOnceThereIsSpace(t *testing.T) {
	for name, work := range map[string]struct {
		result error
		ends   api.TaskState
	}{
		"failed": {errors.New("the disk broke"), api.TaskFailed},
		"done":   {nil, api.TaskFailed}, // it was undone: the success could not be stored
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &smallStore{Store: memstate.New()}
				defer store.Close() //nolint:errcheck // it is in memory
				m := Open(t.Context(), store, nil, slog.New(slog.DiscardHandler))
				defer m.Close(context.Background()) //nolint:errcheck // nothing runs
				begun, err := m.Begin(t.Context(), Order{Kind: "test"}, func(context.Context, *Run) error {
					store.full.Store(true)
					return work.result
				})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * spacePause) // on the bubble's clock
				if now, err := m.Get(t.Context(), begun.ID); err != nil || now.State != api.TaskRunning || store.refused.Load() < 5 {
					t.Errorf("while the disk is full it is %s, %v, after %d tries", now.State, err, store.refused.Load())
				}
				if err := m.WaitWithSpace(t.Context(), begun.ID); !errors.Is(err, state.ErrNoSpace) {
					t.Errorf("whoever does not wait for space is told %v", err)
				}
				store.full.Store(false)
				if err := m.Wait(t.Context(), begun.ID); err != nil {
					t.Fatal(err)
				}
				if now, err := m.Get(t.Context(), begun.ID); err != nil || now.State != work.ends {
					t.Errorf("with space again it is %s, %v", now.State, err)
				}
			})
		})
	}
}

func TestRecoveryDoesNotWaitForSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &smallStore{Store: memstate.New()}
		defer store.Close() //nolint:errcheck // it is in memory
		m := Open(t.Context(), store, nil, slog.New(slog.DiscardHandler))
		record := Record{Task: api.Task{ID: "cutoff00", Kind: "test", State: api.TaskRunning, Created: time.Now()}}
		if _, err := m.tasks.Create(t.Context(), record.ID, record); err != nil {
			t.Fatal(err)
		}
		store.full.Store(true)
		if err := m.Recover(t.Context(), atOnce); err != nil {
			t.Fatal(err)
		}
		store.full.Store(false)
		if err := m.Wait(t.Context(), record.ID); err != nil {
			t.Fatal(err)
		}
		if now, err := m.Get(t.Context(), record.ID); err != nil || now.State != api.TaskFailed {
			t.Errorf("with space again it is %s, %v", now.State, err)
		}
		// A daemon that ends does not wait for space either.
		begun, err := m.Begin(t.Context(), Order{Kind: "test"}, func(context.Context, *Run) error {
			store.full.Store(true)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now, err := m.Get(t.Context(), begun.ID); err != nil || now.State != api.TaskRunning {
			t.Errorf("the task that the next daemon undoes is %s, %v", now.State, err)
		}
	})
}
