package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Threads are the numbers of a process's threads.
func Threads(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return nil, ErrGone
	}
	var threads []int
	for _, entry := range entries {
		if tid, err := strconv.Atoi(entry.Name()); err == nil {
			threads = append(threads, tid)
		}
	}
	return threads, nil
}

// Times is how a thread has used the host's CPUs since it began.
type Times struct {
	Ran   time.Duration // on a CPU
	Ready time.Duration // ready to run, and waiting for a CPU; being held back by a limit counts where the kernel counts it so
}

// ThreadTimes reads a thread's times (Documentation/scheduler/sched-stats.rst). A thread that has ended is ErrGone.
func ThreadTimes(pid, tid int) (Times, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/schedstat", pid, tid))
	if err != nil {
		return Times{}, ErrGone
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return Times{}, fmt.Errorf("the kernel's schedstat of thread %d is %q", tid, text)
	}
	ran, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return Times{}, err
	}
	ready, err := strconv.ParseInt(fields[1], 10, 64)
	return Times{time.Duration(ran), time.Duration(ready)}, err
}

// SetAffinity lets a thread run on these of the host's CPUs alone.
func SetAffinity(tid int, cpus []int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(tid, &set); err != nil {
		return fmt.Errorf("let thread %d run on the CPUs %v: %w", tid, cpus, err)
	}
	return nil
}

// Affinity are the CPUs of the host that a thread may run on; 0 is the calling thread.
func Affinity(tid int) ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &set); err != nil {
		return nil, err
	}
	var cpus []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// SetNice sets a thread's niceness, -20 to 19. Without privileges it can only be raised.
func SetNice(tid, nice int) error {
	return unix.Setpriority(unix.PRIO_PROCESS, tid, nice)
}
