package etcdstate

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/panalvm/panal/internal/state"
)

// Commit implements state.Store.
func (s *Store) Commit(ctx context.Context, ops ...state.Op) (state.Revision, error) {
	if err := state.CheckOps(ops); err != nil {
		return 0, err
	}
	if len(ops) == 0 {
		return s.Revision(ctx)
	}
	call, leave, err := s.begin(ctx)
	if err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	defer leave()
	revision, err := s.commit(call, ops)
	if err != nil {
		return 0, err
	}
	s.space.committed(s, revision)
	return revision, nil
}

func (s *Store) commit(call context.Context, ops []state.Op) (state.Revision, error) {
	if err := call.Err(); err != nil {
		return 0, fmt.Errorf("commit: %w", s.translate(call, err))
	}
	if err := s.makeRoom(call, cost(ops)); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	transaction, guarded := translateOps(ops)
	response, err := apart(s, func() (*clientv3.TxnResponse, error) {
		return s.client.Txn(call).If(transaction.guards...).Then(transaction.writes...).Else(transaction.reads...).Commit()
	})
	if err != nil {
		return 0, fmt.Errorf("commit: %w", s.translate(call, err))
	}
	if response.Succeeded {
		return state.Revision(response.Header.Revision), nil
	}
	return 0, refusal(guarded, response)
}

// transaction is a commit in etcd's terms. reads has the key of each guard, to find
// out which of them failed.
type transaction struct {
	guards []clientv3.Cmp
	writes []clientv3.Op
	reads  []clientv3.Op
}

func translateOps(ops []state.Op) (t transaction, guarded []state.Op) {
	for _, op := range ops {
		if guard, has := guardOf(op); has {
			t.guards = append(t.guards, guard)
			t.reads = append(t.reads, clientv3.OpGet(op.Key, clientv3.WithKeysOnly()))
			guarded = append(guarded, op)
		}
		switch {
		case op.Kind == state.OpDelete:
			t.writes = append(t.writes, clientv3.OpDelete(op.Key))
		case op.Writes():
			t.writes = append(t.writes, clientv3.OpPut(op.Key, string(op.Value)))
		}
	}
	return t, guarded
}

// guardOf returns the condition under which op.Judge returns nil.
func guardOf(op state.Op) (clientv3.Cmp, bool) {
	switch op.Kind {
	case state.OpPut:
		return clientv3.Cmp{}, false
	case state.OpCreate:
		return clientv3.Compare(clientv3.ModRevision(op.Key), "=", 0), true
	case state.OpDelete:
		if op.Seen == 0 {
			return clientv3.Compare(clientv3.ModRevision(op.Key), ">", 0), true
		}
	}
	return clientv3.Compare(clientv3.ModRevision(op.Key), "=", int64(op.Seen)), true
}

// refusal finds the first op that did not hold in what the failed transaction read.
func refusal(guarded []state.Op, response *clientv3.TxnResponse) error {
	for i, op := range guarded {
		var current state.Revision
		if pairs := response.Responses[i].GetResponseRange().Kvs; len(pairs) > 0 {
			current = state.Revision(pairs[0].ModRevision)
		}
		if err := op.Judge(current); err != nil {
			return err
		}
	}
	return errors.New("commit: etcd refused it though every condition holds; this is a bug in the store")
}

// cost returns about how many bytes ops add to the database; 0 when they add none.
func cost(ops []state.Op) int64 {
	const overhead = 256 // of one key, as etcd reckons it
	var total int64
	for _, op := range ops {
		if op.Writes() && op.Kind != state.OpDelete {
			total += overhead + int64(len(op.Key)+len(op.Value))
		}
	}
	return total
}
