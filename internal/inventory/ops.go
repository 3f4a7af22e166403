package inventory

import (
	"context"
	"errors"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
)

// CreateOps are the ops that make a machine known under its name.
func (inv *Inventory) CreateOps(record Record) ([]state.Op, error) {
	create, err := inv.machines.CreateOp(record.Spec.UUID, record)
	if err != nil {
		return nil, err
	}
	return []state.Op{create, claimName(record.Spec)}, nil
}

// UpdateOps are the ops that replace a record by what object.Value has become,
// given the spec it had when it was read.
func (inv *Inventory) UpdateOps(ctx context.Context, object Object, before api.Spec) ([]state.Op, error) {
	update, err := inv.machines.UpdateOp(ctx, object)
	if err != nil {
		return nil, err
	}
	ops := []state.Op{update}
	if object.Value.Spec.Name != before.Name {
		ops = append(ops, state.Delete(nameKey(before.Name), 0), claimName(object.Value.Spec))
	}
	return ops, nil
}

// DeleteOps are the ops that forget a machine and free its name.
func (inv *Inventory) DeleteOps(object Object) []state.Op {
	return []state.Op{
		inv.machines.DeleteOp(object.Key, object.Revision),
		state.Delete(nameKey(object.Value.Spec.Name), 0),
	}
}

// Update replaces a record. The object returned has the new revision.
func (inv *Inventory) Update(ctx context.Context, object Object, before api.Spec) (Object, error) {
	ops, err := inv.UpdateOps(ctx, object, before)
	if err != nil {
		return object, err
	}
	if _, err := inv.store.Commit(ctx, ops...); err != nil {
		return object, Explain(err, object.Value.Spec)
	}
	return inv.Get(ctx, object.Key)
}

// Modify changes a machine's record, whatever revision it has: for what the
// daemon itself has seen happen, never for what a user asked.
func (inv *Inventory) Modify(ctx context.Context, uuid string, change func(*Record) error) (Object, error) {
	return inv.machines.Modify(ctx, uuid, change)
}

// Explain says which name or UUID is taken when a commit of this package's ops
// failed because something exists.
func Explain(err error, spec api.Spec) error {
	var exists *state.ExistsError
	if !errors.As(err, &exists) {
		return err
	}
	if strings.HasPrefix(exists.Key, namesPrefix) {
		return problem.New(api.KindExists, "choose another name, or `panal delete` the other one",
			"there is a machine named %q already", spec.Name)
	}
	return problem.New(api.KindExists, "a copy of a machine needs a UUID of its own: --new-uuid",
		"there is a machine with the UUID %s already", spec.UUID)
}

func claimName(spec api.Spec) state.Op {
	return state.Create(nameKey(spec.Name), []byte(`"`+spec.UUID+`"`))
}

func nameKey(name string) string { return namesPrefix + name }
