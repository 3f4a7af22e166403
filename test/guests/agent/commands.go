//go:build linux

package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// command carries out one request with its arguments. The text is the answer; after, if any, is done once the answer
// has been sent.
type command func(args []string) (text string, after func(), err error)

// commands returns the commands by their first word; test/guests/README.md describes them.
func commands() map[string]command {
	return map[string]command{
		"ping":     constant("pong"),
		"cpus":     answer(cpus),
		"memory":   answer(memory),
		"hold":     answer(hold),
		"let-go":   answer(letGo),
		"uptime":   answer(uptime),
		"time":     answer(now),
		"boot-id":  file("/proc/sys/kernel/random/boot_id"),
		"cmdline":  file("/proc/cmdline"),
		"firmware": answer(firmware),
		"disks":    answer(disks),
		"nics":     answer(nics),
		"read":     answer(readDigest),
		"write":    answer(writeText),
		"wait":     answer(waitFor),
		"gone":     answer(waitGone),
		"sync":     answer(func([]string) (string, error) { syscall.Sync(); return "", nil }),
		"run":      answer(runShell),
		"panic":    later(crash),
		"reboot":   later(restart),
		"poweroff": later(powerOff),
	}
}

// execute carries out a request line.
func execute(request string) (string, func(), error) {
	words := strings.Fields(request)
	all := commands()
	if words[0] == "help" {
		return strings.Join(slices.Sorted(maps.Keys(all)), "\n"), nil, nil
	}
	do, ok := all[words[0]]
	if !ok {
		return "", nil, fmt.Errorf("no command %q; help lists them", words[0])
	}
	return do(words[1:])
}

func constant(text string) command {
	return func([]string) (string, func(), error) { return text, nil, nil }
}

func file(path string) command {
	return func([]string) (string, func(), error) {
		content, err := os.ReadFile(path)
		return string(content), nil, err
	}
}

func answer(f func(args []string) (string, error)) command {
	return func(args []string) (string, func(), error) {
		text, err := f(args)
		return text, nil, err
	}
}

func later(f func()) command {
	return func([]string) (string, func(), error) { return "", f, nil }
}

// cpus counts the processors in use: the kernel's list is of the form 0-3,6.
func cpus([]string) (string, error) {
	content, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return "", err
	}
	count := 0
	for part := range strings.SplitSeq(strings.TrimSpace(string(content)), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err := errors.Join(err1, err2); err != nil {
			return "", err
		}
		count += to - from + 1
	}
	return strconv.Itoa(count), nil
}

// memory gives a figure of /proc/meminfo, MemTotal unless another is named, in KiB.
func memory(args []string) (string, error) {
	key := "MemTotal"
	if len(args) == 1 {
		key = args[0]
	}
	content, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return "", err
	}
	for text := range strings.Lines(string(content)) {
		if name, value, _ := strings.Cut(text, ":"); name == key {
			return strings.TrimSuffix(strings.TrimSpace(value), " kB"), nil
		}
	}
	return "", fmt.Errorf("no figure %q in /proc/meminfo", key)
}

// uptime is the time since the start in seconds, by the clock that stands still while the guest is paused or saved.
func uptime([]string) (string, error) {
	const clockMonotonic = 1
	var t syscall.Timespec
	if err := clockGettime(clockMonotonic, &t); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d.%06d", t.Sec, t.Nsec/1000), nil
}

func now([]string) (string, error) { return time.Now().UTC().Format(time.RFC3339Nano), nil }

func firmware([]string) (string, error) {
	if _, err := os.Stat("/sys/firmware/efi"); err == nil {
		return "uefi", nil
	}
	return "none", nil
}

// runShell gives what a shell command prints, both its outputs; a status other than 0 is an error.
func runShell(args []string) (string, error) {
	out, err := exec.Command("/bin/sh", "-c", strings.Join(args, " ")).CombinedOutput()
	return string(out), err
}
