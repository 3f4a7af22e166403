package state

import (
	"context"
	"errors"
	"iter"
	"strings"
)

// Collection is the objects of one type below one prefix of a store, encoded as
// JSON. It holds no state of its own and may be used from many goroutines.
//
// Fields written by a newer version of the program are never lost unseen. An update
// writes the new value together with every member of the stored JSON that T does
// not know, at any depth of objects. Elements of arrays have no names to match them
// by: an element that did not change keeps its unknown members wherever it has moved
// to, and when one that holds unknown members was changed, the update is refused with
// *UnknownFieldsError instead of dropping them. T should therefore encode and decode
// the same set of fields; a type with marshalling of its own that does not write
// what it read would have the difference kept as unknown.
//
// Errors name the whole key.
type Collection[T any] struct {
	store  Store
	prefix string
}

// NewCollection returns the collection of objects of type T whose keys begin with
// prefix, which ends in "/". It panics when prefix is not valid (see CheckPrefix):
// prefixes are constants of the program.
func NewCollection[T any](store Store, prefix string) *Collection[T] {
	if err := CheckPrefix(prefix); err != nil {
		panic(err)
	}
	return &Collection[T]{store: store, prefix: prefix}
}

// Key returns the whole key of the object named name, for Check and for errors.
func (c *Collection[T]) Key(name string) string { return c.prefix + name }

// Get returns the object named name. It fails with *NotFoundError, or with
// *DecodeError when the stored value is not a T.
func (c *Collection[T]) Get(ctx context.Context, name string) (Object[T], error) {
	entry, err := c.store.Get(ctx, c.Key(name))
	if err != nil {
		return Object[T]{}, err
	}
	return decode[T](name, entry)
}

// List returns all objects ordered by key, and the revision to watch from. Objects
// that cannot be decoded are left out, so that one bad object does not hide all
// others: the error is then ErrUndecodable, joined of a *DecodeError for each, and
// the objects and revision returned with it are valid.
func (c *Collection[T]) List(ctx context.Context) ([]Object[T], Revision, error) {
	entries, at, err := c.store.List(ctx, c.prefix)
	if err != nil {
		return nil, 0, err
	}
	objects := make([]Object[T], 0, len(entries))
	var bad []error
	for _, entry := range entries {
		object, err := decode[T](c.name(entry.Key), entry)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		objects = append(objects, object)
	}
	return objects, at, errors.Join(bad...)
}

// Create stores value as a new object. It fails with *ExistsError when the name is taken.
func (c *Collection[T]) Create(ctx context.Context, name string, value T) (Object[T], error) {
	op, err := c.CreateOp(name, value)
	if err != nil {
		return Object[T]{}, err
	}
	return c.commit(ctx, name, value, op)
}

// Update stores object.Value in place of the object that was seen at
// object.Revision, and returns it with its new revision. It fails with
// *ConflictError when the object has changed since, *NotFoundError when it is gone,
// *UnknownFieldsError when it would lose what a newer version wrote.
func (c *Collection[T]) Update(ctx context.Context, object Object[T]) (Object[T], error) {
	op, err := c.UpdateOp(ctx, object)
	if err != nil {
		return Object[T]{}, err
	}
	return c.commit(ctx, object.Key, object.Value, op)
}

// Modify reads the object named name, lets change alter its value, and updates it,
// again from the start whenever someone else was quicker; change must therefore only
// alter the value. An error of change ends it and is returned as it is.
func (c *Collection[T]) Modify(ctx context.Context, name string, change func(*T) error) (Object[T], error) {
	for {
		object, err := c.Get(ctx, name)
		if err != nil {
			return Object[T]{}, err
		}
		if err := change(&object.Value); err != nil {
			return Object[T]{}, err
		}
		updated, err := c.Update(ctx, object)
		if !errors.Is(err, ErrConflict) {
			return updated, err
		}
	}
}

// Delete removes the object named name, seen at revision seen, or at any when seen
// is 0. It fails like Delete of a Store.
func (c *Collection[T]) Delete(ctx context.Context, name string, seen Revision) error {
	_, err := c.store.Commit(ctx, c.DeleteOp(name, seen))
	return err
}

// CreateOp returns the op of Create, for a commit that changes several objects. It
// fails only when value cannot be encoded.
func (c *Collection[T]) CreateOp(name string, value T) (Op, error) {
	encoded, err := encode(c.Key(name), value)
	return Create(c.Key(name), encoded), err
}

// UpdateOp returns the op of Update, for a commit that changes several objects. An
// object that was not read through the collection (made by hand of a value and a
// revision that, say, a client sent) is first read from the store, to keep its
// unknown fields; UpdateOp then already fails when it is gone or has changed.
func (c *Collection[T]) UpdateOp(ctx context.Context, object Object[T]) (Op, error) {
	key := c.Key(object.Key)
	stored := object.stored
	if stored == nil {
		entry, err := c.store.Get(ctx, key)
		if err != nil {
			return Op{}, err
		}
		if err := Update(key, nil, object.Revision).Judge(entry.Revision); err != nil {
			return Op{}, err
		}
		stored = entry.Value
	}
	value, err := reencode(key, stored, object.Value)
	return Update(key, value, object.Revision), err
}

// DeleteOp returns the op of Delete, for a commit that changes several objects.
func (c *Collection[T]) DeleteOp(name string, seen Revision) Op {
	return Delete(c.Key(name), seen)
}

// Watch returns the changes to the collection's objects after revision from; see
// Store.Watch. A change that cannot be decoded is yielded as a *DecodeError beside an
// Event with Kind, Key, Revision and Last; only then the sequence goes on after an error.
func (c *Collection[T]) Watch(ctx context.Context, from Revision) iter.Seq2[Event[T], error] {
	return func(yield func(Event[T], error) bool) {
		for change, err := range c.store.Watch(ctx, c.prefix, from) {
			if err != nil {
				yield(Event[T]{}, err)
				return
			}
			if !yield(c.event(change)) {
				return
			}
		}
	}
}

func (c *Collection[T]) event(change Change) (Event[T], error) {
	name := c.name(change.Entry.Key)
	event := Event[T]{Kind: change.Kind, Last: change.Last}
	event.Object = Object[T]{Key: name, Revision: change.Entry.Revision}
	if change.Previous != nil {
		// A previous version that cannot be decoded is one not known.
		if previous, err := decode[T](name, *change.Previous); err == nil {
			event.Previous = &previous
		}
	}
	if change.Kind == KindDeleted {
		return event, nil
	}
	object, err := decode[T](name, change.Entry)
	if err == nil {
		event.Object = object
	}
	return event, err
}

func (c *Collection[T]) name(key string) string {
	return strings.TrimPrefix(key, c.prefix)
}

// commit carries out one op that writes value and returns the object it makes.
func (c *Collection[T]) commit(ctx context.Context, name string, value T, op Op) (Object[T], error) {
	revision, err := c.store.Commit(ctx, op)
	if err != nil {
		return Object[T]{}, err
	}
	return Object[T]{Key: name, Revision: revision, Value: value, stored: op.Value}, nil
}
