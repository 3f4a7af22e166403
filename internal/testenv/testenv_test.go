package testenv

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// recorder stands in for a test and keeps how it was ended. Skip and Fatal end the goroutine, as testing's own do.
type recorder struct {
	testing.TB
	ended  string // "skip", "fatal", or nothing
	reason string
}

func (r *recorder) Helper() {}

func (r *recorder) Skip(args ...any) {
	r.ended, r.reason = "skip", args[0].(string)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) {
	r.ended, r.reason = "fatal", args[0].(string)
	runtime.Goexit()
}

// ending runs f as a test would be run and returns how it ended.
func ending(t *testing.T, f func(testing.TB)) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

func TestNeedFindsAProgramOnThePath(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "a-program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got := Need(t, "a-program"); got != program {
		t.Errorf("Need returned %q, want %q", got, program)
	}
}

func TestNeedSkipsLocallyAndFailsInCI(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for ci, want := range map[string]string{"true": "fatal", "": "skip", "false": "skip"} {
		t.Setenv("CI", ci)
		got := ending(t, func(tb testing.TB) { Need(tb, "qemu-system-s390x-of-nowhere") })
		if got.ended != want {
			t.Errorf("with CI=%q a missing program ended the test with %q, want %q", ci, got.ended, want)
		}
		if !strings.Contains(got.reason, "qemu-system-s390x-of-nowhere") {
			t.Errorf("the reason %q does not name the program", got.reason)
		}
	}
}

func TestAdviceNamesThePackage(t *testing.T) {
	for program, want := range map[string]string{
		"qemu-img":            "qemu-utils",
		"qemu-system-riscv64": "qemu-system-riscv",
		"swtpm":               "swtpm",
	} {
		if got := advice(program); !strings.Contains(got, "make deps") || !strings.Contains(got, want+")") {
			t.Errorf("advice for %s is %q, want the package %s", program, got, want)
		}
	}
	if got := advice("no-such-program"); !strings.Contains(got, "packages.txt") {
		t.Errorf("advice for an unknown program is %q, want the file to add it to", got)
	}
}

func TestPackageTableNamesEachProgramOnce(t *testing.T) {
	groups := map[string]bool{"run": true, "guests": true, "test": true, "lint": true, "bench": true}
	seen := map[string]string{}
	for _, p := range parsePackages(packageTable) {
		if !groups[p.group] {
			t.Errorf("package %s is in group %q, which scripts/deps does not know", p.name, p.group)
		}
		for _, program := range p.programs {
			if other := seen[program]; other != "" {
				t.Errorf("program %s is said to come from %s and from %s", program, other, p.name)
			}
			seen[program] = p.name
		}
	}
}

func TestSocketDirHoldsALongSocketName(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), strings.Repeat("long", 20)))
	dir := SocketDir(t)
	listener, err := net.Listen("unix", filepath.Join(dir, strings.Repeat("s", 80)))
	if err != nil {
		t.Fatalf("listen below %s: %v", dir, err)
	}
	listener.Close()
}
