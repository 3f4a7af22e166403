package imageserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/internal/testenv"
)

// confinedEnv makes this test's program the confined process.
const confinedEnv = "PANAL_TEST_CONFINED"

// TestConfinedProcessesReachNothing runs this test once more as a process that
// confines itself, and then tries what a server must not be able to do.
func TestConfinedProcessesReachNothing(t *testing.T) {
	if dir := os.Getenv(confinedEnv); dir != "" {
		tryAll(dir)
		return
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0], "-test.run=^TestConfinedProcessesReachNothing$")
	command.Env = append(os.Environ(), confinedEnv+"="+dir)
	out, err := command.CombinedOutput()
	if strings.Contains(string(out), "unsupported") {
		testenv.Missing(t, "a kernel with Landlock, and a test built without cgo")
	}
	if err != nil || !strings.Contains(string(out), "confined") {
		t.Errorf("it ended with %v and said:\n%s", err, out)
	}
}

func tryAll(dir string) {
	open, err := os.Open(filepath.Join(dir, "file"))
	if err != nil {
		panic(err)
	}
	err = confine()
	if err == nil && !hasLandlock() {
		err = errors.ErrUnsupported
	}
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Println("unsupported")
		return
	}
	if err != nil {
		panic(err)
	}
	if _, err := open.ReadAt(make([]byte, 7), 0); err != nil {
		panic(fmt.Sprintf("what was open cannot be read: %v", err))
	}
	tries := map[string]func() error{
		"listen":        func() error { _, err := net.Listen("tcp", "127.0.0.1:0"); return err },
		"connect":       func() error { _, err := net.Dial("unix", dir); return err },
		"open a file":   func() error { _, err := os.Open(filepath.Join(dir, "file")); return err },
		"make a file":   func() error { return os.WriteFile(filepath.Join(dir, "new"), nil, 0o600) },
		"remove a file": func() error { return os.Remove(filepath.Join(dir, "file")) },
		"run a program": func() error { return exec.Command("/bin/true").Run() },
	}
	for what, try := range tries {
		if err := try(); !errors.Is(err, os.ErrPermission) {
			panic(fmt.Sprintf("%s: %v", what, err))
		}
	}
	if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || set != 1 {
		panic("the way to other rights is open")
	}
	fmt.Println("confined")
}

// hasLandlock tells whether the kernel can keep a process from its files.
func hasLandlock() bool {
	_, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return errno == 0
}
