package imageserver

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confine takes from this process, for ever, what serving does not need: the way
// to other rights, its memory to others, other connections, programs and processes, and
// where the kernel has Landlock all files but those that are open already. In a program that
// was built with cgo this last cannot be done: errors.ErrUnsupported.
func confine() error {
	if err := restrict(); err != nil {
		return fmt.Errorf("give up calls of the kernel: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("keep memory from others: %w", err)
	}
	if err := enclose(); err != nil {
		return fmt.Errorf("give up the host's files: %w", err)
	}
	return nil
}

// ruleset is struct landlock_ruleset_attr: what is forbidden unless a rule
// allows it, and there will be none.
type ruleset struct {
	files   uint64
	network uint64
	scoped  uint64
}

// walls are what versions of Landlock's interface can forbid, the newest first.
var walls = []struct {
	version uintptr
	size    uintptr // of the ruleset that the version knows
	ruleset ruleset
}{
	// LANDLOCK_ACCESS_FS_EXECUTE … IOCTL_DEV, _NET_BIND_TCP and _CONNECT_TCP, SCOPE_ABSTRACT_UNIX_SOCKET and _SIGNAL
	{6, 24, ruleset{1<<16 - 1, 3, 3}},
	{5, 16, ruleset{1<<16 - 1, 3, 0}},
	{4, 16, ruleset{1<<15 - 1, 3, 0}},
	{3, 8, ruleset{1<<15 - 1, 0, 0}},
	{2, 8, ruleset{1<<14 - 1, 0, 0}},
	{1, 8, ruleset{1<<13 - 1, 0, 0}},
}

// enclose forbids all that Landlock can forbid, which on a kernel without it is
// nothing.
func enclose() error {
	version, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno == unix.ENOSYS || errno == unix.EOPNOTSUPP {
		return nil
	}
	if errno != 0 {
		return errno
	}
	for _, wall := range walls {
		if version < wall.version {
			continue
		}
		fd, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&wall.ruleset)), wall.size, 0)
		if errno != 0 {
			return errno
		}
		defer syscall.Close(int(fd)) //nolint:errcheck // nothing was written
		if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
			return errno
		}
		return nil
	}
	return nil
}

// setName makes lists of processes show what this one is.
func setName(name string) {
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0) // only for people
}
