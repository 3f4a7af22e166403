package qmp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/qmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const hello = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}` + "\r\n"

// fakeQEMU is the other end of a Client's connection.
type fakeQEMU struct {
	t    *testing.T
	conn *net.UnixConn
	in   *bufio.Reader
}

// command is what the fake received.
type command struct {
	Execute   string          `json:"execute"`
	Arguments json.RawMessage `json:"arguments"`
	ID        json.RawMessage `json:"id"`
}

// socketPair returns both ends of a Unix stream socket.
func socketPair(t *testing.T) (ours, theirs *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]*net.UnixConn, 2)
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socketpair")
		conn, err := net.FileConn(file)
		_ = file.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		ends[i] = conn.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// start connects a Client to a fake QEMU and gets both through the greeting.
func start(t *testing.T) (*qmp.Client, *fakeQEMU) {
	t.Helper()
	ours, theirs := socketPair(t)
	fake := &fakeQEMU{t: t, conn: theirs, in: bufio.NewReader(theirs)}
	go func() {
		fake.send(hello)
		fake.reply(fake.receive(), `"return": {}`)
	}()
	client, err := qmp.New(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client, fake
}

func (f *fakeQEMU) send(text string) {
	if _, err := io.WriteString(f.conn, text); err != nil {
		f.t.Errorf("fake qemu: send: %v", err)
	}
}

func (f *fakeQEMU) receive() command {
	var c command
	line, err := f.in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c)
	}
	if err != nil {
		f.t.Errorf("fake qemu: receive %q: %v", line, err)
	}
	return c
}

// receiveWithFile reads one command, byte by byte as QEMU does, and keeps the
// files that come with it.
func (f *fakeQEMU) receiveWithFile() (command, []*os.File) {
	var line []byte
	var files []*os.File
	one, oob := make([]byte, 1), make([]byte, 64)
	for len(line) == 0 || line[len(line)-1] != '\n' {
		n, oobn, _, _, err := f.conn.ReadMsgUnix(one, oob)
		if err != nil || n == 0 {
			f.t.Errorf("fake qemu: receive with file: %v", err)
			return command{}, nil
		}
		line = append(line, one...)
		files = append(files, openRights(f.t, oob[:oobn])...)
	}
	var c command
	if err := json.Unmarshal(line, &c); err != nil {
		f.t.Errorf("fake qemu: %q: %v", line, err)
	}
	return c, files
}

func openRights(t *testing.T, oob []byte) []*os.File {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		t.Error(err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			t.Error(err)
		}
		for _, fd := range fds {
			file := os.NewFile(uintptr(fd), "received")
			t.Cleanup(func() { _ = file.Close() })
			files = append(files, file)
		}
	}
	return files
}

// reply answers c with a member like `"return": {}`.
func (f *fakeQEMU) reply(c command, member string) {
	f.send(`{` + member + `, "id": ` + string(c.ID) + `}` + "\r\n")
}

// background runs do, whose error the returned function waits for.
func background(do func() error) func() error {
	result := make(chan error, 1)
	go func() { result <- do() }()
	return func() error { return <-result }
}

func execute(ctx context.Context, c *qmp.Client, name string, result any) func() error {
	return background(func() error { return c.Execute(ctx, name, nil, result) })
}

// wantEnd waits for the connection's end and checks why it came.
func wantEnd(t *testing.T, c *qmp.Client, reasons ...error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case <-c.Done():
	case <-ctx.Done():
		t.Fatal("the connection did not end")
	}
	for _, reason := range append(reasons, qmp.ErrClosed) {
		if !errors.Is(c.Err(), reason) {
			t.Errorf("Err() = %v, want it to be %v", c.Err(), reason)
		}
	}
}
