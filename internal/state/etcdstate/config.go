package etcdstate

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/panalvm/panal/internal/state"
)

const (
	// DefaultQuota is the Quota of a Config that names none.
	DefaultQuota = 1 << 30
	// DefaultMinFree is the MinFree of a Config that names none: two log segments
	// and two of the steps in which the database grows.
	DefaultMinFree = 64 << 20
	// MinQuota is the smallest Quota: the largest commit must fit several times.
	MinQuota = 4 * state.MaxCommitBytes

	// segmentBytes is the size to which log segments are allocated ahead. There are
	// always two, so etcd's default of 64 MB would take 128 MB of a new store.
	segmentBytes = 16 << 20
)

// Config says where and how a store is kept.
type Config struct {
	// Dir is the data directory. It is made, with mode 0700, when it is missing.
	Dir string
	// Logger receives etcd's messages: its info as debug, the rest at its level.
	// nil means none.
	Logger *slog.Logger
	// Quota is the most bytes the database may take, at least MinQuota. 0 means
	// DefaultQuota. Its file grows in steps of 16 MiB, and the log takes up to 48 MiB besides.
	Quota int64
	// MinFree is how many bytes must be free on Dir's file system for a commit. 0
	// means DefaultMinFree; a negative number gives up this protection.
	MinFree int64
}

// The reasons for which Open fails, or a store ends, besides those of package state.
var (
	// ErrLocked is a directory that another process has open; see LockedError.
	ErrLocked = errors.New("in use by another process")
	// ErrCorrupt is a directory whose files are damaged.
	ErrCorrupt = errors.New("damaged")
	// ErrFailed is a store whose etcd cannot go on.
	ErrFailed = errors.New("the store failed and was stopped: start the daemon again")
)

// LockedError is a directory that another process has open. It is ErrLocked.
type LockedError struct {
	// Dir is the data directory.
	Dir string
	// PID is the process that holds it, 0 when it could not be read.
	PID int
}

// Error says who holds the directory and what to do.
func (e *LockedError) Error() string {
	who := "another process"
	if e.PID > 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("open the store in %s: %s has it open: use that daemon, or stop it first", e.Dir, who)
}

// Is makes the error ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

func (c *Config) fill() error {
	if c.Dir == "" {
		return fmt.Errorf("open a store: %w: no directory was given", state.ErrInvalid)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Quota == 0 {
		c.Quota = DefaultQuota
	}
	if c.MinFree == 0 {
		c.MinFree = DefaultMinFree
	}
	if c.Quota < MinQuota {
		return fmt.Errorf("open the store in %s: %w: a quota of %d bytes is less than %d", c.Dir, state.ErrInvalid, c.Quota, MinQuota)
	}
	return nil
}

// The raft clock. A lone member has nobody to wait for: it is elected one or two
// ticks after the start, so ticks are short; but each tick wakes the processor for as
// long as the daemon runs, so they are not shorter than that.
const (
	tick          = 50 * time.Millisecond
	electionTicks = 2
)

// The log. A snapshot costs one sync of the database; the entries since the last one are
// replayed by Open, and keptEntries of them stay in memory. They must be more than a replay
// applies at once: while raft still counts them as not applied, its election looks through
// them all, and ends the process when some are gone from memory already. A replay is of
// snapshotEntries, and of what was committed while the last snapshot was made.
const (
	snapshotEntries = 500
	keptEntries     = 2 * snapshotEntries
)
