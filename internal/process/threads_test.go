package process

import (
	"os"
	"runtime"
	"slices"
	"testing"
)

func TestThreadsOfThisProcess(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	threads, err := Threads(os.Getpid())
	if err != nil || len(threads) == 0 {
		t.Fatal(threads, err)
	}
	for _, tid := range threads {
		if _, err := ThreadTimes(os.Getpid(), tid); err != nil && err != ErrGone {
			t.Error(err)
		}
	}
	before, err := Affinity(0)
	if err != nil || len(before) == 0 {
		t.Fatal(before, err)
	}
	if err := SetAffinity(0, before[:1]); err != nil {
		t.Fatal(err)
	}
	if now, err := Affinity(0); err != nil || !slices.Equal(now, before[:1]) {
		t.Errorf("pinned to %v: %v, %v", before[:1], now, err)
	}
	if err := SetAffinity(0, before); err != nil {
		t.Error(err)
	}
	if SetAffinity(0, []int{1000}) == nil {
		t.Error("a CPU that is not there was taken")
	}
}
