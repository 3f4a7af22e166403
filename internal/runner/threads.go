package runner

import (
	"context"
	"slices"

	"github.com/panalvm/panal/internal/process"
)

// Threads are the threads of a QEMU, by what they do.
type Threads struct {
	// CPUs are the machine's CPUs that each thread runs, by the thread's number: usually one, all of them where QEMU translates in one thread.
	CPUs map[int][]int
	IO   []int // of controllers
	// Emulator are all others: the main thread, and those that come and go.
	Emulator []int
}

// Threads asks QEMU which of its threads does what.
func (s *Session) Threads(ctx context.Context) (Threads, error) {
	threads := Threads{CPUs: map[int][]int{}}
	var cpus []struct {
		Index  int `json:"cpu-index"`
		Thread int `json:"thread-id"`
	}
	if err := s.monitor.Execute(ctx, "query-cpus-fast", nil, &cpus); err != nil {
		return threads, err
	}
	var controllers []struct {
		Thread int `json:"thread-id"`
	}
	if err := s.monitor.Execute(ctx, "query-iothreads", nil, &controllers); err != nil {
		return threads, err
	}
	for _, cpu := range cpus {
		threads.CPUs[cpu.Thread] = append(threads.CPUs[cpu.Thread], cpu.Index)
	}
	for _, controller := range controllers {
		threads.IO = append(threads.IO, controller.Thread)
	}
	all, err := process.Threads(s.PID())
	for _, tid := range all {
		if _, isCPU := threads.CPUs[tid]; !isCPU && !slices.Contains(threads.IO, tid) {
			threads.Emulator = append(threads.Emulator, tid)
		}
	}
	return threads, err
}
