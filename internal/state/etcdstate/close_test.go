package etcdstate_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/etcdstate"
)

// What watches have yet to be told is looked up in the database. A store that is
// closed meanwhile closes that only when nobody looks any more; etcd panics otherwise.
func TestCloseAmidEvents(t *testing.T) {
	cfg := etcdstate.Config{Dir: t.TempDir()}
	for range 5 {
		s := open(t, cfg)
		var running sync.WaitGroup
		for range 4 {
			running.Go(func() {
				for range s.Watch(t.Context(), "", 0) { // until the store is closed
				}
			})
		}
		filled := make(chan struct{})
		running.Go(func() { writeUntilClosed(t, s, filled) })
		<-filled
		closeStore(t, s)
		running.Wait()
	}
}

// writeUntilClosed commits changes of many entries until the store ends, and closes filled after some.
func writeUntilClosed(t *testing.T, s *etcdstate.Store, filled chan struct{}) {
	for n := 0; ; n++ {
		if n == 10 {
			close(filled)
		}
		var ops []state.Op
		for key := range state.MaxOps / 2 {
			ops = append(ops, state.Put(fmt.Sprintf("%d/%d", n%3, key), []byte("value")))
		}
		if _, err := s.Commit(t.Context(), ops...); err != nil {
			return
		}
	}
}
