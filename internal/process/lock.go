package process

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// MayLock is how many bytes of memory programs may lock that are started with Lock; math.MaxInt64 for
// any number. Root in a container may not always raise that.
func MayLock() (int64, error) {
	limit, err := lockable()
	if limit.Max > math.MaxInt64 {
		return math.MaxInt64, err
	}
	return int64(limit.Max), err
}

// lockable is the limit of locked memory for what is to lock any, as high as this process may set it.
func lockable() (unix.Rlimit, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return limit, fmt.Errorf("read how much memory may be locked: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err == nil && sets[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		limit.Max = unix.RLIM_INFINITY
	}
	limit.Cur = limit.Max
	return limit, nil
}

// withLocks starts something whose limit of locked memory is as high as this process may set it. A
// program takes over the limits of who starts it, and there is no other way to give it one before it runs.
// What is started at the same moment may get it as well; that does no harm, as it does not lock any.
func withLocks(start func() error) error {
	var before unix.Rlimit
	raised, err := lockable()
	if err == nil {
		err = unix.Getrlimit(unix.RLIMIT_MEMLOCK, &before)
	}
	if err == nil {
		err = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &raised)
	}
	if err != nil {
		return fmt.Errorf("let memory be locked: %w", err)
	}
	// The hard limit stays where it is raised: lowered, it could not be raised again by who is not privileged.
	before.Max = raised.Max
	return errors.Join(start(), unix.Setrlimit(unix.RLIMIT_MEMLOCK, &before))
}
