package guests_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/testenv"
)

// vm is a QEMU process with some of its character devices as sockets.
type vm struct {
	t    *testing.T
	ctx  context.Context
	cmd  *exec.Cmd
	dir  string
	logs bytes.Buffer
	done chan struct{}
}

// patience bounds a test that hangs; no test waits for it otherwise.
const patience = 150 * time.Second

// newVM prepares a machine; line adds lines to it and start starts it.
func newVM(t *testing.T) *vm {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return &vm{t: t, ctx: ctx, dir: testenv.SocketDir(t), done: make(chan struct{})}
}

// line makes a listening socket for QEMU to connect to, so that nothing the guest says is lost, and returns the
// argument of -chardev for it.
func (v *vm) line(name string) (chardev string, listener net.Listener) {
	v.t.Helper()
	path := filepath.Join(v.dir, name)
	listener, err := net.Listen("unix", path)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { listener.Close() })
	return "socket,id=" + name + ",path=" + path, listener
}

// start runs QEMU until the test ends.
func (v *vm) start(program string, args ...string) {
	v.t.Helper()
	v.cmd = exec.CommandContext(v.ctx, program, args...)
	v.cmd.Stdout, v.cmd.Stderr = &v.logs, &v.logs
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	go func() {
		v.cmd.Wait() //nolint:errcheck // its state says it
		close(v.done)
	}()
	v.t.Cleanup(func() {
		v.cmd.Process.Kill() //nolint:errcheck // it may have ended
		<-v.done
		if v.t.Failed() {
			v.t.Logf("QEMU said: %s", v.logs.String())
		}
	})
}

// accept waits for QEMU's connection.
func (v *vm) accept(listener net.Listener) net.Conn {
	v.t.Helper()
	stop := context.AfterFunc(v.ctx, func() { listener.Close() })
	defer stop()
	go func() { // QEMU that ends at once never connects
		<-v.done
		listener.Close()
	}()
	conn, err := listener.Accept()
	if err != nil {
		v.t.Fatalf("QEMU does not connect: %v", err)
	}
	v.t.Cleanup(func() { conn.Close() })
	return conn
}

// console is what a guest prints on its serial line.
type console struct {
	v    *vm
	conn net.Conn
	seen []byte
}

// await reads until the guest prints text, and forgets all up to there.
func (c *console) await(text string) {
	c.v.t.Helper()
	stop := context.AfterFunc(c.v.ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // cannot fail
	defer stop()
	piece := make([]byte, 4096)
	for {
		if _, after, ok := bytes.Cut(c.seen, []byte(text)); ok {
			c.seen = after
			return
		}
		n, err := c.conn.Read(piece)
		c.seen = append(c.seen, piece[:n]...)
		if err != nil && n == 0 {
			c.v.t.Fatalf("wait for %q on the console: %v; the guest said:\n%s", text, err, c.seen)
		}
	}
}

// enter types a line.
func (c *console) enter(text string) {
	c.v.t.Helper()
	if _, err := io.WriteString(c.conn, text+"\n"); err != nil {
		c.v.t.Fatal(err)
	}
}

// awaitEnd waits until QEMU has ended by itself. It goes on reading what the guest prints, since a guest whose line
// nobody reads stands still.
func (c *console) awaitEnd() {
	v := c.v
	v.t.Helper()
	go io.Copy(io.Discard, c.conn) //nolint:errcheck // it ends with QEMU
	select {
	case <-v.done:
		if !v.cmd.ProcessState.Success() {
			v.t.Fatalf("QEMU ended with %v", v.cmd.ProcessState)
		}
	case <-v.ctx.Done():
		v.t.Fatal("the guest does not power off")
	}
}

// scratch makes a file with content, for a disk.
func scratch(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
