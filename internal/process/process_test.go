package process

import (
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestEndIsNoticedWithItsReason(t *testing.T) {
	p, err := Start(Spec{Path: "/bin/sh", Args: []string{"-c", "exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(patience(t)); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if !errors.As(p.How(), &exit) || exit.ExitCode() != 3 {
		t.Errorf("ended by %v", p.How())
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, ErrGone) {
		t.Errorf("signal to an ended process: %v", err)
	}
}

func TestProgramHasItsOwnSessionAndFiles(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(Spec{
		Path: "/bin/sh", Args: []string{"-c", `cut -d" " -f5,6 /proc/$$/stat >&3; echo $$ >&3`},
		Files: []*os.File{write},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	out := make([]byte, 200)
	n, _ := read.Read(out)
	<-p.Done()
	words := strings.Fields(string(out[:n]))
	if len(words) < 2 || words[0] != words[1] {
		t.Errorf("process group and session are %q", out[:n])
	}
}

func TestOtherPeoplesProcessIsHeldAndWatched(t *testing.T) {
	// The marked process is the shell's child, not ours.
	shell := exec.Command("/bin/sh", "-c", `sleep 987 & echo $!; wait`)
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	for _, c := range strings.TrimSpace(string(line[:n])) {
		pid = 10*pid + int(c-'0')
	}
	if _, err := Find(pid, "no such mark"); !errors.Is(err, ErrGone) {
		t.Errorf("another program was taken for it: %v", err)
	}
	p, err := Find(pid, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(patience(t)); err != nil {
		t.Fatal(err)
	}
	if err := shell.Wait(); err != nil {
		t.Log(err)
	}
	if _, err := Find(pid, ""); !errors.Is(err, ErrGone) {
		t.Errorf("an ended process was found: %v", err)
	}
}

func TestMissingProgramIsAnError(t *testing.T) {
	if _, err := Start(Spec{Path: "/nowhere/qemu"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestHandlesTellOfTheEndToWhomeverHasThem(t *testing.T) {
	p, err := Start(Spec{Path: "/bin/sleep", Args: []string{"60"}})
	if err != nil {
		t.Fatal(err)
	}
	handle, err := p.Handle()
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	copied, err := syscall.Dup(int(handle.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	held := Held(uintptr(copied))
	if p.HasEnded() || held.HasEnded() {
		t.Error("it has ended already")
	}
	if err := p.Kill(patience(t)); err != nil {
		t.Fatal(err)
	}
	if err := held.Wait(patience(t)); err != nil || !held.HasEnded() || !p.HasEnded() {
		t.Errorf("the end was not noticed: %v", err)
	}
	if _, err := p.Handle(); !errors.Is(err, ErrGone) {
		t.Errorf("a handle of what is gone: %v", err)
	}
}

// TestLocks starts a program that may lock memory, and one that is started after it and may not.
func TestLocks(t *testing.T) {
	most, err := MayLock()
	if err != nil || most <= 0 {
		t.Fatal(most, err)
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &before); err != nil {
		t.Fatal(err)
	}
	lower := unix.Rlimit{Cur: 1 << 20, Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &lower); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: before.Cur, Max: before.Max}) })
	for _, lock := range []bool{true, false} {
		log, err := os.CreateTemp(t.TempDir(), "log")
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		p, err := Start(Spec{Path: "/bin/sh", Args: []string{"-c", "ulimit -l"}, Log: log, Dir: "/", Lock: lock})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.How(); err != nil {
			t.Fatal(err)
		}
		said, err := os.ReadFile(log.Name())
		want := "1024"
		if lock {
			want = strconv.FormatInt(most>>10, 10)
			if most == math.MaxInt64 {
				want = "unlimited"
			}
		}
		if got := strings.TrimSpace(string(said)); err != nil || got != want {
			t.Errorf("started with %v it may lock %q KiB, want %s: %v", lock, got, want, err)
		}
	}
}
