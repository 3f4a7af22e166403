// Package ksm is the kernel's merging of equal pages (kernel samepage merging): what
// it has counted, and how it is set. Setting it takes root.
package ksm

import (
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

// ErrNone says that the kernel has none.
var ErrNone = errors.New("the kernel merges no pages (it was built without CONFIG_KSM)")

// Kernel is the kernel's merging, as the files of a directory.
type Kernel struct{ dir string }

// Open finds the kernel's merging; an empty dir is where Linux has it. It is ErrNone where it is not there.
func Open(dir string) (*Kernel, error) {
	if dir == "" {
		dir = "/sys/kernel/mm/ksm"
	}
	if _, err := os.Stat(filepath.Join(dir, "run")); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	return &Kernel{dir}, nil
}

// Counted is what the kernel has counted.
type Counted struct {
	Running bool
	Shared  int64 // bytes that stand for several equal ones
	Saved   int64 // bytes that are not needed thanks to them
	Scanned int64 // pages
	Rounds  int64
}

// Read reads what the kernel has counted.
func (k *Kernel) Read() (Counted, error) {
	var errs []error
	number := func(name string) int64 {
		text, err := os.ReadFile(filepath.Join(k.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return 0 // an older kernel
		}
		n, parse := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		errs = append(errs, err, parse)
		return n
	}
	page := int64(os.Getpagesize())
	counted := Counted{
		Running: number("run") == 1, Shared: number("pages_shared") * page, Saved: number("pages_sharing") * page,
		Scanned: number("pages_scanned"), Rounds: number("full_scans"),
	}
	return counted, errors.Join(errs...)
}

// MayTune tells whether this process may say how the kernel looks for equal pages: root may.
func (k *Kernel) MayTune() bool { return unix.Access(filepath.Join(k.dir, "run"), unix.W_OK) == nil }

// Set says how the kernel looks for equal pages: so many at once, with a pause between.
func (k *Kernel) Set(pages int, sleep time.Duration) error {
	return errors.Join(k.write("pages_to_scan", pages), k.write("sleep_millisecs", int(sleep.Milliseconds())), k.write("run", 1))
}

// Stop ends the looking; what is merged stays so.
func (k *Kernel) Stop() error { return k.write("run", 0) }

func (k *Kernel) write(name string, value int) error {
	if err := os.WriteFile(filepath.Join(k.dir, name), []byte(strconv.Itoa(value)), 0o644); err != nil {
		return fmt.Errorf("set how the kernel looks for equal pages: %w", err)
	}
	return nil
}
