package testenv

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hugePages is where Linux is told how many huge pages of 2 MiB it keeps. hugePagesLock keeps tests of other
// programs from changing it at the same time.
const (
	hugePages     = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
	hugePagesLock = "/run/lock/panal-test-hugepages"
)

// HugePages has the host keep so many huge pages of 2 MiB more until the test's end. That takes root, and a host that
// has so much free memory in whole pieces: else the test is skipped, in CI too, since neither is a program that is missing.
func HugePages(t testing.TB, count int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("having the host keep huge pages takes root")
	}
	lock, err := os.OpenFile(hugePagesLock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = lock.Close() })
	add := func(more int) (int, error) {
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
			return 0, err
		}
		defer unix.Flock(int(lock.Fd()), unix.LOCK_UN) //nolint:errcheck // closing the file would do it
		before, err := readNumber(hugePages)
		if err != nil {
			return 0, err
		}
		err = os.WriteFile(hugePages, []byte(strconv.Itoa(max(0, before+more))), 0)
		after, err2 := readNumber(hugePages)
		return after - before, errors.Join(err, err2)
	}
	got, err := add(count)
	t.Cleanup(func() { _, _ = add(-got) })
	if err != nil || got < count {
		t.Skipf("the host gave %d huge pages of %d: %v", got, count, err)
	}
}

func readNumber(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}
