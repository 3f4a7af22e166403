package state

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Object is a typed value of a Collection with its place in the store.
//
// An Object read from a collection remembers the JSON it was read from, so that an
// update keeps what this version of the program does not know; see Collection. To
// change an object, change Value in place and hand the whole Object back.
type Object[T any] struct {
	// Key is the name below the collection's prefix: "web", not "machines/web".
	Key string
	// Revision is the revision that last changed the object; it is what an update
	// names as seen.
	Revision Revision
	// Value is the decoded value.
	Value T

	// stored is the JSON the object was read from; nil when it was made by hand.
	stored []byte
}

// Event is a change to an object of a Collection; see Change.
type Event[T any] struct {
	// Kind tells a put from a deletion.
	Kind ChangeKind
	// Object is the object after the change. A deleted one has its Key, the
	// revision of the deletion, and the zero Value.
	Object Object[T]
	// Previous is the object before the change, nil when there was none or it is
	// no longer known.
	Previous *Object[T]
	// Last is true for the last change of its revision in the collection.
	Last bool
}

// encode returns value as compact JSON, leaving <, > and & readable.
func encode(key string, value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode %s: %w", key, err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// decode makes an object of an entry; name is its key below the prefix.
func decode[T any](name string, entry Entry) (Object[T], error) {
	object := Object[T]{Key: name, Revision: entry.Revision, stored: entry.Value}
	if err := json.Unmarshal(entry.Value, &object.Value); err != nil {
		return Object[T]{}, &DecodeError{Key: entry.Key, Err: err}
	}
	return object, nil
}

// reencode returns the JSON that an update from stored to value is to write: value,
// and whatever stored holds that T does not know.
func reencode[T any](key string, stored []byte, value T) ([]byte, error) {
	next, err := encode(key, value)
	if err != nil {
		return nil, err
	}
	var before T
	if err := json.Unmarshal(stored, &before); err != nil {
		return nil, &DecodeError{Key: key, Err: err}
	}
	known, err := encode(key, before)
	if err != nil {
		return nil, err
	}
	return keepUnknown(key, stored, known, next)
}
