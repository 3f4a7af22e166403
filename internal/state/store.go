package state

import (
	"context"
	"iter"
)

// MinHistory is how many of the newest revisions can always be watched from:
// Watch(ctx, prefix, from) does not fail with ErrCompacted while
// from >= current - MinHistory, unless the store is short of space.
const MinHistory = 10_000

// Revision numbers the states of a store: 1 is the empty new store, and each
// Commit that changes something adds exactly one. 0 is never the revision of
// anything and means "none", "any" or "from the beginning" where it is accepted.
type Revision int64

// Entry is one key with its value, as it was at some revision.
type Entry struct {
	// Key is the whole key, for example "machines/5f0c…".
	Key string
	// Value is the stored bytes. It belongs to the receiver, who may change it.
	Value []byte
	// Created is the revision that created the key; deleting and creating it
	// again starts anew.
	Created Revision
	// Revision is the revision that last changed the key.
	Revision Revision
}

// ChangeKind says what happened to a key.
type ChangeKind int

// The kinds of a Change. The zero ChangeKind is none of them.
const (
	// KindPut means the key was created or got a new value. It was created when
	// Entry.Created equals Entry.Revision.
	KindPut ChangeKind = iota + 1
	// KindDeleted means the key is gone. Entry then has only Key and Revision,
	// the revision that deleted it.
	KindDeleted
)

// String returns "put" or "deleted".
func (k ChangeKind) String() string {
	switch k {
	case KindPut:
		return "put"
	case KindDeleted:
		return "deleted"
	}
	return "unknown"
}

// Change is one key's part in one revision.
type Change struct {
	// Kind tells a put from a deletion.
	Kind ChangeKind
	// Entry is the key after the change; see KindDeleted for deletions.
	Entry Entry
	// Previous is the entry just before the change: nil when there was none, and
	// also when that version has already left the history.
	Previous *Entry
	// Last is true for the last change of its revision that matches the watch's
	// prefix. Whoever stores a revision to resume from stores it only after a
	// change with Last set, otherwise the rest of that revision would be missed.
	Last bool
}

// Store is an ordered, versioned map from keys to values. See the package comment
// for the model.
//
// All methods may be called at the same time from many goroutines. Every read is
// linearizable: it sees each commit that returned before the read began. Keys and
// prefixes are checked by [CheckKey] and [CheckPrefix]; a bad one fails with an
// error that is [ErrInvalid]. After Close every method fails with [ErrClosed]. When
// ctx ends first, methods return an error that is ctx.Err().
type Store interface {
	// Get returns the current entry of key. It fails with a *NotFoundError
	// (ErrNotFound) when the key does not exist.
	Get(ctx context.Context, key string) (Entry, error)

	// List returns every entry whose key begins with prefix, ordered by key
	// (bytewise), and the revision of the snapshot, from which Watch continues
	// without a gap. prefix is empty (everything) or ends in "/", so that
	// "machines/" never matches "machines2". No match is an empty list, no error.
	List(ctx context.Context, prefix string) ([]Entry, Revision, error)

	// Commit applies all ops as one revision, or none of them. Each op is judged
	// against the state before the commit; when any does not hold, nothing is
	// changed and the error is that of the first failing op in the order given:
	// *ExistsError, *NotFoundError or *ConflictError, which name the key. A key may
	// occur in one op only, and the limits MaxOps, MaxValueBytes and MaxCommitBytes
	// hold (ErrInvalid). ErrNoSpace means the disk or the store's quota is full and
	// nothing was changed.
	//
	// The result is the revision made: the new Revision of every entry put. A commit
	// of no ops, or of Checks only, changes nothing and returns the current revision.
	// When Commit returns nil the change is on stable storage and survives power loss
	// (in implementations that have storage). When ctx ends while Commit runs, the
	// change may or may not have been made: read to find out.
	Commit(ctx context.Context, ops ...Op) (Revision, error)

	// Watch returns the changes to keys that begin with prefix (as in List) in
	// revisions after from, first those of the past, then those to come, in the
	// order of revisions and within one in the order of the commit's ops; each
	// exactly once. The sequence ends only when the caller stops ranging or after
	// yielding an error, with a zero Change:
	//
	//	ErrCompacted   from, or the place a slow reader has come to, is too old
	//	ErrFuture      from is beyond the current revision: it is from another store
	//	ErrClosed      the store was closed
	//	ctx.Err()      ctx ended
	//	ErrInvalid     prefix is bad or from is negative
	//
	// Nothing happens before the sequence is ranged over; ranging over it again
	// starts again at from. A change is delivered soon after its commit, but not
	// necessarily before Commit returns.
	Watch(ctx context.Context, prefix string, from Revision) iter.Seq2[Change, error]

	// Revision returns the store's current revision.
	Revision(ctx context.Context) (Revision, error)

	// Close ends all watches and calls with ErrClosed and frees what the store
	// holds. Closing twice is not an error. Everything committed is kept.
	Close() error
}

// Compacter is implemented by stores whose history can be dropped on demand.
// Stores do this by themselves (see MinHistory); it is for maintenance and tests.
type Compacter interface {
	// Compact drops the history up to and including revision at: watching from an
	// earlier one then fails with ErrCompacted. Entries are not touched. Compacting
	// to a revision already dropped does nothing; one beyond the current revision
	// fails with ErrFuture.
	Compact(ctx context.Context, at Revision) error
}
