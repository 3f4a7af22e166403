//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// look is how often a file that a request waits for is looked at.
const look = 10 * time.Millisecond

// waitFor waits until a file is there: wait PATH SECONDS.
func waitFor(args []string) (string, error) {
	return "", await(args, func(err error) bool { return err == nil })
}

// waitGone waits until a file is not there: gone PATH SECONDS.
func waitGone(args []string) (string, error) {
	return "", await(args, func(err error) bool { return errors.Is(err, fs.ErrNotExist) })
}

func await(args []string, enough func(error) bool) error {
	if len(args) != 2 {
		return errors.New("want: PATH SECONDS")
	}
	seconds, err := strconv.ParseFloat(args[1], 64)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	for {
		_, err := os.Stat(args[0])
		if enough(err) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %s s for %s", args[1], args[0])
		}
		time.Sleep(look)
	}
}

func clockGettime(clock uintptr, t *syscall.Timespec) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(t)), 0); errno != 0 {
		return errno
	}
	return nil
}

// crash makes the kernel panic.
func crash() { write("/proc/sysrq-trigger", "c") }

func restart() { end(syscall.LINUX_REBOOT_CMD_RESTART) }

func powerOff() { end(syscall.LINUX_REBOOT_CMD_POWER_OFF) }

func end(how int) {
	syscall.Sync()
	if err := syscall.Reboot(how); err != nil {
		log.Print(err)
	}
}
