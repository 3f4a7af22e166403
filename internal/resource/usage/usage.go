// Package usage reads what the host and single processes use of memory and
// processors, from the kernel's own files. It changes nothing.
package usage

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Host is how the host's memory stands.
type Host struct {
	Total     int64   // bytes
	Huge      int64   // bytes that are kept for huge pages, of the total
	Available int64   // bytes that the kernel could give now without swapping
	SwapTotal int64   // bytes
	SwapFree  int64   // bytes
	Pressure  float64 // percent of the last 10 s in which somebody waited for memory; negative where the kernel does not say
}

// proc is where the kernel tells of processes and itself.
const proc = "/proc"

// ReadHost reads how the host's memory stands.
func ReadHost() (Host, error) {
	text, err := read(filepath.Join(proc, "meminfo"))
	if err != nil {
		return Host{}, err
	}
	figures := kibibytes(text)
	host := Host{
		Total: figures["MemTotal"], Huge: figures["Hugetlb"], Available: figures["MemAvailable"],
		SwapTotal: figures["SwapTotal"], SwapFree: figures["SwapFree"], Pressure: -1,
	}
	if text, err := read(filepath.Join(proc, "pressure", "memory")); err == nil {
		host.Pressure = pressure(string(text))
	}
	return host, nil
}

// pressure reads "some avg10=0.12 …"; negative when it is something else.
func pressure(text string) float64 {
	var percent float64
	if n, _ := fmt.Sscanf(text, "some avg10=%f", &percent); n != 1 {
		return -1
	}
	return percent
}

// kibibytes reads lines of "Name:   123 kB" as bytes.
func kibibytes(text []byte) map[string]int64 {
	found := map[string]int64{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		number := strings.TrimSuffix(strings.TrimSpace(value), " kB")
		if kib, err := strconv.ParseInt(number, 10, 64); err == nil {
			found[name] = kib << 10
		}
	}
	return found
}

// Process is what a process has and has used.
type Process struct {
	Resident     int64         // bytes of memory, what it shares with others whole
	Proportional int64         // bytes of memory, of what it shares its part; 0 where the kernel does not say
	Swapped      int64         // bytes that are swapped out
	Merged       int64         // bytes of it that the kernel has merged with equal ones (KSM)
	Ran          time.Duration // that its threads have run
	Waited       time.Duration // that its threads were ready to run and had to wait
}

// Resident is how many bytes of memory a process has, what it shares with others whole. It
// is quick, where ReadProcess takes a millisecond for each GiB.
func Resident(pid int) (int64, error) {
	text, err := read(filepath.Join(proc, strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, fmt.Errorf("read what process %d has: %w", pid, err)
	}
	return resident * int64(os.Getpagesize()), nil
}

// Fetched is how many bytes a process had to wait for since it was started, because they
// were moved out, or are of a file: its major faults. It is quick.
func Fetched(pid int) (int64, error) {
	const majorFaults = 9 // proc_pid_stat(5): the 12th, of which two are the number and the name
	text, err := read(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // a name may have anything in it
	if len(fields) <= majorFaults {
		return 0, fmt.Errorf("read what process %d has used: it says %q", pid, text)
	}
	pages, err := strconv.ParseInt(fields[majorFaults], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// Ran is how long all threads of a process have run since it was started, those that have ended too. It is quick: a call
// of the kernel, and no file (clock_getcpuclockid(3), which makes the clock's number of the process's).
func Ran(pid int) (time.Duration, error) {
	const (
		scheduled = 2       // CPUCLOCK_SCHED of all threads
		most      = 1 << 22 // PID_MAX_LIMIT
	)
	var ran unix.Timespec
	err := error(unix.ESRCH)
	if pid > 0 && pid <= most {
		err = unix.ClockGettime(int32(^pid<<3|scheduled), &ran)
	}
	if err != nil {
		return 0, fmt.Errorf("read how long process %d has run: %w", pid, err)
	}
	return time.Duration(ran.Nano()), nil
}

// ReadProcess reads what a process has and has used.
func ReadProcess(pid int) (Process, error) {
	p, err := readQuick(pid)
	if err == nil {
		p.weigh(pid)
	}
	return p, err
}

// ReadProcessSince is ReadProcess where something was read before. What the kernel must look at every page for
// (Proportional and Swapped) is only read again where the rest tells that it has changed by more than a hundredth, or that
// pages are merged or swapped out; exact tells that it was.
func ReadProcessSince(pid int, before Process) (p Process, exact bool, err error) {
	p, err = readQuick(pid)
	if err != nil {
		return p, false, err
	}
	moved := max(p.Resident-before.Resident, before.Resident-p.Resident)
	if before.Proportional == 0 || moved > before.Resident/100 || p.Merged > 0 || before.Merged > 0 || before.Swapped > 0 {
		p.weigh(pid)
		return p, true, nil
	}
	p.Proportional = before.Proportional + p.Resident - before.Resident
	return p, false, nil
}

// weigh reads what the kernel looks at every page for: a millisecond for each GiB.
func (p *Process) weigh(pid int) {
	text, err := read(filepath.Join(proc, strconv.Itoa(pid), "smaps_rollup"))
	if err == nil {
		figures := kibibytes(text)
		p.Proportional, p.Swapped = figures["Pss"], figures["SwapPss"]
	}
}

// readQuick reads what the kernel keeps count of.
func readQuick(pid int) (Process, error) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	resident, err := Resident(pid)
	if err != nil {
		return Process{}, err
	}
	p := Process{Resident: resident}
	if text, err := read(filepath.Join(dir, "ksm_merging_pages")); err == nil {
		pages, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		p.Merged = pages * int64(os.Getpagesize())
	}
	p.Ran, p.Waited, err = threads(filepath.Join(dir, "task"))
	return p, err
}

// threads adds up what the threads below a directory have run and waited. One that
// ends meanwhile does not count.
func threads(dir string) (ran, waited time.Duration, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		text, err := read(filepath.Join(dir, entry.Name(), "schedstat"))
		if errors.Is(err, fs.ErrNotExist) || err != nil {
			continue
		}
		var on, ready time.Duration
		if n, _ := fmt.Sscan(string(text), &on, &ready); n == 2 {
			ran, waited = ran+on, waited+ready
		}
	}
	return ran, waited, err
}
