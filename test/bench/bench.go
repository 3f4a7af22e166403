package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/panalvm/panal/test/guests"
)

// bench is what the parts have in common.
type bench struct {
	program string // the panal that is measured
	rounds  int
	most    int    // machines
	scratch string // everything lies below it; others can look in, QEMU's user among them
	kernel  string // of the tiny guest
	initrd  string
	verbose bool
	divisor int64 // of the size of appliances' disks
	used    int   // directories
	report  report
	cleanup []func() error // undone in reverse
}

func newBench(ctx context.Context, program string, rounds, most int) (*bench, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("find the program to measure: %w (`make build` builds it)", err)
	}
	// Not below TMPDIR, which may be too long for the sockets in it.
	scratch, err := os.MkdirTemp("/tmp", "pbench")
	if err != nil {
		return nil, err
	}
	b := &bench{program: program, rounds: max(rounds, 3), most: most, scratch: scratch}
	b.onClose(func() error { return os.RemoveAll(scratch) })
	if err := b.prepare(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// prepare copies the tiny guest to where every user can read it.
func (b *bench) prepare(ctx context.Context) error {
	if err := os.Chmod(b.scratch, 0o755); err != nil {
		return err
	}
	guest, err := guests.Tiny(ctx, "x86_64")
	if err != nil {
		return err
	}
	b.kernel, b.initrd = b.path("kernel"), b.path("initrd")
	return errors.Join(copyFile(guest.Kernel, b.kernel), copyFile(guest.Initrd, b.initrd))
}

func (b *bench) path(name string) string { return filepath.Join(b.scratch, name) }

// fresh is the path of a directory that no part has used.
func (b *bench) fresh(name string) string {
	b.used++
	return b.path(fmt.Sprintf("%s%d", name, b.used))
}

func (b *bench) onClose(undo func() error) { b.cleanup = append(b.cleanup, undo) }

// explain prints samples for those who want to see how they scatter.
func (b *bench) explain(what string, times samples) {
	if !b.verbose {
		return
	}
	fmt.Fprintf(os.Stderr, "  %s:", what)
	for _, took := range times {
		fmt.Fprintf(os.Stderr, " %d", took.Milliseconds())
	}
	fmt.Fprintln(os.Stderr, " ms")
}

// undo takes back what was set up since the mark, so that a part leaves nothing for the next one to run beside.
func (b *bench) undo(mark int) error {
	var errs []error
	for _, undo := range slices.Backward(b.cleanup[mark:]) {
		errs = append(errs, undo())
	}
	b.cleanup = b.cleanup[:mark]
	return errors.Join(errs...)
}

func (b *bench) close() error { return b.undo(0) }

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// runQuietly runs a command to its end; what it printed is in the error if it fails.
func runQuietly(cmd *exec.Cmd) error {
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, output)
	}
	return nil
}

// pause lets a time pass.
func pause(ctx context.Context, how time.Duration) error {
	select {
	case <-time.After(how):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
