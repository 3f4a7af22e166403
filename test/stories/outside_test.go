package stories

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/console"
	"github.com/panalvm/panal/test/harness"
)

// line is a console as a net.Conn, as far as the agent's client needs one: its
// end comes with the context it was opened under.
type line struct {
	*client.Console
	net.Conn
}

func (l line) Read(p []byte) (int, error)  { return l.Console.Read(p) }
func (l line) Write(p []byte) (int, error) { return l.Console.Write(p) }
func (l line) Close() error                { return l.Console.Close() }
func (l line) SetDeadline(time.Time) error { return l.Console.Close() }

func freePort(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "freeport VARIABLE")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], portOf(listener))
	ts.Check(listener.Close())
}

func listen(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "listen VARIABLE")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
	go hangUp(listener)
	ts.Setenv(args[0], portOf(listener))
}

// hangUp closes what is connected to a listener, until the listener is closed.
func hangUp(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

func portOf(listener net.Listener) string {
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

func signal(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "signal NAME PID")
	number := unix.SignalNum("SIG" + args[0])
	pid, err := strconv.Atoi(args[1])
	if err != nil || pid <= 1 || number == 0 {
		ts.Fatalf("usage: signal NAME PID")
	}
	ts.Check(unix.Kill(pid, number))
}

func gone(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "gone PID…")
	for _, arg := range args {
		pid, err := strconv.Atoi(arg)
		ts.Check(err)
		ts.Check(harness.AwaitEnd(pid, patience))
	}
}

func image(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, "image FILE SIZE TEXT")
	size, err := api.ParseSize(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[2]), 0o600))
	ts.Check(os.Truncate(ts.MkAbs(args[0]), int64(size)))
}

func edit(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, "edit FILE OLD NEW")
	before := ts.ReadFile(args[0])
	if !strings.Contains(before, args[1]) {
		ts.Fatalf("%s does not contain %q:\n%s", args[0], args[1], before)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(before, args[1], args[2], 1)), 0o600))
}

func scratch(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "scratch VARIABLE DIR")
	dir, err := os.MkdirTemp(args[1], "panal")
	ts.Check(err)
	ts.Defer(func() { _ = os.RemoveAll(dir) })
	ts.Setenv(args[0], dir)
}

func bounded(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "bounded BYTES DIR")
	most, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	entries, err := os.ReadDir(ts.MkAbs(args[1]))
	ts.Check(err)
	for _, entry := range entries {
		info, err := entry.Info()
		ts.Check(err)
		if info.Size() > most {
			ts.Fatalf("%s has %d bytes", entry.Name(), info.Size())
		}
	}
}

func printed(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "printed FILE TEXT")
	path := ts.MkAbs(args[0])
	watcher, err := console.NewWatcher()
	ts.Check(err)
	defer watcher.Close() //nolint:errcheck // it has told what was wanted
	grown, _, err := watcher.Watch(path)
	ts.Check(err)
	end := time.After(patience)
	for {
		text, err := os.ReadFile(path)
		ts.Check(err)
		if strings.Contains(string(text), args[1]) {
			return
		}
		select {
		case <-grown:
		case <-end:
			ts.Fatalf("%s lacks %q; its end is %q", args[0], args[1], text[max(0, len(text)-500):])
		}
	}
}

func magic(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "magic FILE BYTES")
	begin, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	if text := ts.ReadFile(args[0]); !strings.HasPrefix(text, begin) {
		ts.Fatalf("%s begins with %q", args[0], text[:min(len(text), 16)])
	}
}

// greeting tries to connect until the kernel has somebody to connect it to:
// nothing tells of a listener that is not there yet.
func greeting(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "greeting ADDRESS TEXT")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := dialPatiently(ctx, args[0])
	ts.Check(err)
	defer conn.Close()
	text := make([]byte, len(args[1]))
	ts.Check(conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(conn, text)
	ts.Check(err)
	if string(text) != args[1] {
		ts.Fatalf("it says %q", text)
	}
}

// dialPatiently is for a listener in another process that is still starting.
func dialPatiently(ctx context.Context, address string) (net.Conn, error) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

func mode(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, "mode FILE MODE GROUP")
	info, err := os.Lstat(ts.MkAbs(args[0]))
	ts.Check(err)
	group, err := user.LookupGroupId(strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Gid)))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] || group.Name != args[2] {
		ts.Fatalf("%s has mode %s and group %s", args[0], got, group.Name)
	}
}

func stopDaemon(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 0, "stopdaemon")
	ts.Check(worldOf(ts).home.StopDaemon())
}

// pick finds a value in JSON by its path: names and indexes with dots between.
// What is not there is empty; what is no plain value is its JSON.
func pick(text []byte, path string) (string, error) {
	var at any
	if err := json.Unmarshal(text, &at); err != nil {
		return "", fmt.Errorf("%w in %s", err, text)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch inside := at.(type) {
		case map[string]any:
			at = inside[name]
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index >= len(inside) {
				return "", nil
			}
			at = inside[index]
		default:
			return "", nil
		}
	}
	switch value := at.(type) {
	case nil:
		return "", nil
	case string:
		return value, nil
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64), nil
	}
	return asJSON(at), nil
}

func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
