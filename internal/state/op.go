package state

import "fmt"

// OpKind says what an Op does.
type OpKind int

// The kinds of an Op. The zero OpKind is none of them.
const (
	// OpCreate stores a value under a key that must not exist.
	OpCreate OpKind = iota + 1
	// OpUpdate replaces the value of a key that must be at the revision seen.
	OpUpdate
	// OpPut stores a value whatever was there.
	OpPut
	// OpDelete removes a key that must exist, at the revision seen if one is named.
	OpDelete
	// OpCheck changes nothing; it holds the commit to a revision of a key.
	OpCheck
)

// Op is one part of a Commit. Make it with Create, Update, Put, Delete or Check.
type Op struct {
	// Kind says what is done.
	Kind OpKind
	// Key is the whole key.
	Key string
	// Value is what OpCreate, OpUpdate and OpPut store.
	Value []byte
	// Seen is the revision OpUpdate, OpDelete and OpCheck require.
	Seen Revision
}

// Create stores value under key, which must not exist: otherwise *ExistsError.
func Create(key string, value []byte) Op {
	return Op{Kind: OpCreate, Key: key, Value: value}
}

// Update replaces the value of key, last changed in revision seen. It fails with
// *ConflictError when the entry has another revision, with *NotFoundError when it
// is gone. seen must be positive; to overwrite unseen, say so with Put.
func Update(key string, value []byte, seen Revision) Op {
	return Op{Kind: OpUpdate, Key: key, Value: value, Seen: seen}
}

// Put stores value under key whether it exists or not. It is for what has one
// writer only; everything else uses Create and Update.
func Put(key string, value []byte) Op {
	return Op{Kind: OpPut, Key: key, Value: value}
}

// Delete removes key, last changed in revision seen, or in any revision when seen
// is 0. It fails with *ConflictError when the entry has another revision, with
// *NotFoundError when it does not exist.
func Delete(key string, seen Revision) Op {
	return Op{Kind: OpDelete, Key: key, Seen: seen}
}

// Check changes nothing, but fails the commit with *ConflictError unless key was
// last changed in revision seen; seen 0 requires that key does not exist. It guards
// a change that depends on an object it does not change.
func Check(key string, seen Revision) Op {
	return Op{Kind: OpCheck, Key: key, Seen: seen}
}

// Writes reports whether the op changes its key; only OpCheck does not.
func (o Op) Writes() bool { return o.Kind != OpCheck }

// Judge returns nil when the op holds for its key's current revision, 0 meaning
// that the key does not exist; otherwise the error Commit is to return. Every
// implementation judges by it, so that all fail alike.
func (o Op) Judge(current Revision) error {
	switch o.Kind {
	case OpCreate:
		if current != 0 {
			return &ExistsError{Key: o.Key}
		}
	case OpUpdate, OpDelete:
		return o.judgeChange(current)
	case OpCheck:
		if current != o.Seen {
			return &ConflictError{Key: o.Key, Seen: o.Seen, Current: current}
		}
	}
	return nil
}

func (o Op) judgeChange(current Revision) error {
	anyRevision := o.Kind == OpDelete && o.Seen == 0
	switch {
	case current == 0:
		return &NotFoundError{Key: o.Key}
	case current != o.Seen && !anyRevision:
		return &ConflictError{Key: o.Key, Seen: o.Seen, Current: current}
	}
	return nil
}

// CheckOps returns nil when ops could be committed to some store, otherwise an
// error that is ErrInvalid. Implementations call it first.
func CheckOps(ops []Op) error {
	if len(ops) > MaxOps {
		return fmt.Errorf("commit of %d ops: %w: at most %d are allowed: split it", len(ops), ErrInvalid, MaxOps)
	}
	seen := make(map[string]bool, len(ops))
	total := 0
	for _, op := range ops {
		if err := op.check(); err != nil {
			return err
		}
		if seen[op.Key] {
			return fmt.Errorf("commit: %w: %s is in it twice: join its ops into one", ErrInvalid, op.Key)
		}
		seen[op.Key] = true
		total += len(op.Key) + len(op.Value)
	}
	if total > MaxCommitBytes {
		return fmt.Errorf("commit of %d bytes: %w: at most %d are allowed: split it", total, ErrInvalid, MaxCommitBytes)
	}
	return nil
}

func (o Op) check() error {
	if err := CheckKey(o.Key); err != nil {
		return err
	}
	switch {
	case o.Kind < OpCreate || o.Kind > OpCheck:
		return fmt.Errorf("commit: %w: op on %s has no kind: make it with Create, Update, Put, Delete or Check", ErrInvalid, o.Key)
	case o.Seen < 0:
		return fmt.Errorf("commit: %w: op on %s names the negative revision %d", ErrInvalid, o.Key, o.Seen)
	case o.Kind == OpUpdate && o.Seen == 0:
		return fmt.Errorf("commit: %w: update of %s names no revision: read it first, or overwrite it with Put", ErrInvalid, o.Key)
	case len(o.Value) > MaxValueBytes:
		return fmt.Errorf("commit: %w: value of %s has %d bytes, at most %d are allowed", ErrInvalid, o.Key, len(o.Value), MaxValueBytes)
	}
	return nil
}
