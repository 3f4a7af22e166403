package state

import (
	"errors"
	"fmt"
)

// The conditions callers tell apart, with errors.Is.
var (
	// ErrNotFound is a key that does not exist; see NotFoundError.
	ErrNotFound = errors.New("does not exist")
	// ErrExists is a key that was to be created and is there; see ExistsError.
	ErrExists = errors.New("exists already")
	// ErrConflict is an entry that changed since it was read; see ConflictError.
	ErrConflict = errors.New("was changed by someone else")
	// ErrCompacted is a revision whose history has been dropped.
	ErrCompacted = errors.New("the history before this revision has been dropped: list again and watch from there")
	// ErrFuture is a revision the store has not reached.
	ErrFuture = errors.New("the store has not reached this revision: it is from another store or an undone restore: list again and watch from there")
	// ErrClosed is a store that has been closed.
	ErrClosed = errors.New("the store is closed")
	// ErrInvalid is a request no store could carry out: a bad key, a limit passed.
	ErrInvalid = errors.New("invalid request")
	// ErrNoSpace is a disk or a quota that is full; reading still works.
	ErrNoSpace = errors.New("no space left for the store")
	// ErrUndecodable is a stored value that does not decode as its type; see DecodeError.
	ErrUndecodable = errors.New("stored value cannot be read")
	// ErrUnknownFields is an update that would drop what a newer version stored; see UnknownFieldsError.
	ErrUnknownFields = errors.New("update would drop fields this version does not know")
)

// NotFoundError names a key that does not exist. It is ErrNotFound.
type NotFoundError struct{ Key string }

// Error says which key is missing.
func (e *NotFoundError) Error() string { return e.Key + " does not exist" }

// Is makes the error ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// ExistsError names a key that was to be created and exists. It is ErrExists.
type ExistsError struct{ Key string }

// Error says which key exists.
func (e *ExistsError) Error() string {
	return e.Key + " exists already: choose another name, or update it"
}

// Is makes the error ErrExists.
func (e *ExistsError) Is(target error) bool { return target == ErrExists }

// ConflictError names an entry that is not at the revision its writer saw. It is
// ErrConflict.
type ConflictError struct {
	Key string
	// Seen is the revision the writer named; 0 means it expected no such key.
	Seen Revision
	// Current is the entry's revision now; 0 means it does not exist.
	Current Revision
}

// Error says what was seen and what is there.
func (e *ConflictError) Error() string {
	const again = "read it again and repeat the change"
	switch {
	case e.Current == 0:
		return fmt.Sprintf("%s is gone (revision %d was seen): %s", e.Key, e.Seen, again)
	case e.Seen == 0:
		return fmt.Sprintf("%s exists at revision %d and should not: %s", e.Key, e.Current, again)
	}
	return fmt.Sprintf("%s was changed by someone else (revision %d was seen, %d is current): %s",
		e.Key, e.Seen, e.Current, again)
}

// Is makes the error ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// DecodeError is a stored value that is not what its collection holds. It is
// ErrUndecodable, and wraps the decoder's error.
type DecodeError struct {
	Key string
	Err error
}

// Error says which key could not be decoded and why.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("stored value of %s cannot be read: %v", e.Key, e.Err)
}

// Is makes the error ErrUndecodable.
func (e *DecodeError) Is(target error) bool { return target == ErrUndecodable }

// Unwrap returns the decoder's error.
func (e *DecodeError) Unwrap() error { return e.Err }

// UnknownFieldsError is an update that cannot keep the fields a newer version of
// the program stored. It is ErrUnknownFields.
type UnknownFieldsError struct {
	Key string
	// Path is where in the JSON value the unknown fields are, such as "drives".
	Path string
}

// Error says where the fields are and what to do.
func (e *UnknownFieldsError) Error() string {
	return fmt.Sprintf("%s holds fields in %q that this version does not know and the update would drop: "+
		"make this change with the newer version that wrote them", e.Key, e.Path)
}

// Is makes the error ErrUnknownFields.
func (e *UnknownFieldsError) Is(target error) bool { return target == ErrUnknownFields }
