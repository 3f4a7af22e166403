package guest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/panalvm/panal/internal/guest"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// fakeAgent is the guest's end of a Client's connection.
type fakeAgent struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

type command struct {
	Execute   string          `json:"execute"`
	Arguments json.RawMessage `json:"arguments"`
}

func start(t *testing.T) (*guest.Client, *fakeAgent) {
	t.Helper()
	ours, theirs := socketPair(t)
	client := guest.New(ours)
	t.Cleanup(func() { _, _ = client.Close(), theirs.Close() })
	return client, &fakeAgent{t: t, conn: theirs, in: bufio.NewReader(theirs)}
}

// socketPair returns both ends of a Unix stream socket. It has a buffer, as the
// port has; net.Pipe would block a peer that writes before it reads.
func socketPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]net.Conn, 2)
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socketpair")
		ends[i], err = net.FileConn(file)
		_ = file.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

// receive returns the next command; ok is false at the connection's end.
func (f *fakeAgent) receive() (c command, ok bool) {
	line, err := f.in.ReadBytes('\n')
	if err != nil {
		return command{}, false
	}
	// What came before a delimiter is forgotten, as the agent does.
	line = line[bytes.LastIndexByte(line, 0xff)+1:]
	if err := json.Unmarshal(line, &c); err != nil {
		f.t.Errorf("fake agent: %q: %v", line, err)
	}
	return c, true
}

func (f *fakeAgent) send(text string) {
	_, _ = io.WriteString(f.conn, text)
}

// sync answers a guest-sync-delimited.
func (f *fakeAgent) sync(c command) {
	var arguments struct{ ID int64 }
	if err := json.Unmarshal(c.Arguments, &arguments); c.Execute != "guest-sync-delimited" || err != nil {
		f.t.Errorf("fake agent: got %s %s, want guest-sync-delimited", c.Execute, c.Arguments)
	}
	f.send(fmt.Sprintf("\xff{\"return\": %d}\n", arguments.ID))
}

// serve synchronizes whenever asked, and answers any other command with the
// next of answers.
func (f *fakeAgent) serve(answers ...string) <-chan command {
	received := make(chan command, len(answers))
	go func() {
		defer close(received)
		for len(answers) > 0 {
			c, ok := f.receive()
			switch {
			case !ok:
				return
			case c.Execute == "guest-sync-delimited":
				f.sync(c)
			default:
				received <- c
				f.send(answers[0])
				answers = answers[1:]
			}
		}
	}()
	return received
}
