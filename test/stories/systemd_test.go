package stories

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/test/harness"
)

// TestSocketActivation starts the daemon as systemd does: with a socket that
// listens already, and another to say on that it is ready.
func TestSocketActivation(t *testing.T) {
	program := needProgram(t)
	home := harness.NewHome(t)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: home.Socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	passed, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()
	notify := filepath.Join(home.Dir, "notify")
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()

	// LISTEN_PID is the daemon's own PID, so a shell sets it and becomes the daemon.
	daemon := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" daemon`, program)
	daemon.Env = append(os.Environ(), append(home.Env(), "LISTEN_FDS=1", "NOTIFY_SOCKET="+notify, "PATH="+harness.Path(program))...)
	daemon.ExtraFiles = []*os.File{passed}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	hear(t, heard, "READY=1")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := home.Client()
	defer c.Close()
	info, err := c.Info(ctx)
	if err != nil || info.PID != daemon.Process.Pid {
		t.Errorf("process %d answers: %v; want %d", info.PID, err, daemon.Process.Pid)
	}
	if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hear(t, heard, "STOPPING=1")
	if err := daemon.Wait(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	if _, err := os.Lstat(home.Socket); err != nil {
		t.Errorf("systemd's socket is not the daemon's to remove: %v", err)
	}
}

// hear waits for a word to systemd.
func hear(t *testing.T, from *net.UnixConn, word string) {
	t.Helper()
	if err := from.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 4096)
	for {
		n, err := from.Read(message)
		if err != nil {
			t.Fatalf("%s was not said: %v", word, err)
		}
		if strings.Contains(string(message[:n]), word) {
			return
		}
	}
}

// nobody is a user, and a group, without any privilege.
const nobody = 65534

// asUser is a command as that user, who lives in the home.
func asUser(home *harness.Home, program string, args ...string) *exec.Cmd {
	command := exec.Command(program, args...)
	command.Env = append(os.Environ(), append(home.Env(), "HOME="+home.Dir, "PATH="+harness.Path(program))...)
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return command
}

// TestUsersDaemon runs the daemon as an ordinary user: only that user may talk
// to it, and QEMU runs as that user too.
func TestUsersDaemon(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user; the stories are run as this one")
	}
	program := needProgram(t)
	home := harness.NewHome(t)
	if err := os.Chown(home.Dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	panal := func(args ...string) string {
		t.Helper()
		said, err := asUser(home, program, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("panal %s: %v: %s", strings.Join(args, " "), err, said)
		}
		return string(said)
	}
	panal("create", "mine", "--new-disk", "64M", "--memory", "128M", "--start")
	info, err := os.Stat(home.Socket)
	if err != nil || info.Mode().Perm() != 0o600 || info.Sys().(*syscall.Stat_t).Uid != nobody {
		t.Errorf("the socket is %v: %v", info, err)
	}
	pid, err := pick([]byte(panal("show", "mine", "--json")), "status.pid")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := os.Stat("/proc/" + pid)
	if err != nil || owner.Sys().(*syscall.Stat_t).Uid != nobody {
		t.Errorf("QEMU is not the user's process: %v", err)
	}
	panal("stop", "mine")
	panal("delete", "mine")
}

func needProgram(t *testing.T) string {
	t.Helper()
	testenv.Need(t, "qemu-system-x86_64")
	testenv.Need(t, "qemu-img")
	program, err := harness.Panal()
	if err != nil {
		t.Fatal(err)
	}
	return program
}
