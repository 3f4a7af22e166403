package cli_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/panalvm/panal/internal/cli"
)

var update = flag.Bool("update", false, "renew the golden parts of the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"panal": panal, "nbdresize": nbdResize})
}

// panal is the program, with a daemon that does what the test's environment
// says.
func panal() {
	ctx, stop := cli.Interruptible(context.Background())
	code := cli.New(cli.Hooks{Version: "1.2.3", Daemon: testDaemon}).Execute(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// testDaemon is what the command line starts in tests: FAKE_DAEMON is a script
// for a fake daemon to answer by, or "silent" for one that ends without a word,
// "dying" for one that has only its log to speak to, or "sorry" for one that
// says why it cannot run. Each start is noted in a file.
func testDaemon(ctx context.Context, o cli.DaemonOptions) error {
	starts, err := os.OpenFile(filepath.Join(o.Data, "starts"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	session, _ := syscall.Getpgid(0)
	fmt.Fprintln(starts, "started", session == os.Getpid())
	starts.Close()
	script := os.Getenv("FAKE_DAEMON")
	switch script {
	case "silent":
		os.Exit(7)
	case "dying":
		fmt.Fprintln(os.Stderr, "panic: what a pity")
		os.Exit(7)
	case "sorry":
		return fmt.Errorf("the disk\nis on fire")
	}
	lines, err := os.ReadFile(script)
	if err != nil {
		return err
	}
	f, err := newFake(filepath.Dir(script), o.Socket, string(lines))
	if err != nil {
		return err
	}
	defer f.server.Close()
	o.Ready(nil)
	f.await(ctx, "GET /v1/host", 1) // the story's end
	return nil
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Deadline:            time.Now().Add(3 * time.Minute),
		Setup:               setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serve, "await": await, "requests": requests, "exits": exits, "table": table,
			"image": makeImage, "cut": cut, "poke": poke, "files": files,
		},
		Condition: has,
	})
}

// setUp starts a fake daemon, with a socket whose path is short enough.
func setUp(env *testscript.Env) error {
	dir, err := os.MkdirTemp("", "pc")
	if err != nil {
		return err
	}
	env.Defer(func() { _ = os.RemoveAll(dir) })
	f, err := newFake(env.WorkDir, filepath.Join(dir, "s"), "")
	if err != nil {
		return err
	}
	env.Defer(f.close)
	env.Values["fake"] = f
	env.Setenv("PANAL_SOCKET", f.socket)
	env.Setenv("PANAL_RUNTIME", filepath.Join(dir, "run"))
	env.Setenv("PANAL_DATA", filepath.Join(env.WorkDir, "data"))
	env.Setenv("SHORT", dir)
	return nil
}

func fakeOf(ts *testscript.TestScript) *fake { return ts.Value("fake").(*fake) }

// serve FILE: the fake daemon answers by this script, too.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	fakeOf(ts).load(ts.ReadFile(args[0]))
}

// await METHOD PATH [N]: until the fake daemon has been asked this (N times).
func await(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	n := 1
	if len(args) > 2 {
		n, _ = strconv.Atoi(args[2])
	}
	if !fakeOf(ts).await(ctx, args[0]+" "+args[1], n) {
		ts.Fatalf("nobody asked for %s %s", args[0], args[1])
	}
}

// requests FILE: writes the requests other than GET, with their bodies.
func requests(ts *testscript.TestScript, _ bool, args []string) {
	f := fakeOf(ts)
	f.mu.Lock()
	defer f.mu.Unlock()
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), f.bodies.Bytes(), 0o600))
	f.bodies.Reset()
}

// exits CODE COMMAND…: runs a command and wants its exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		var number int
		if _, scanErr := fmt.Sscanf(err.Error(), "exit status %d", &number); scanErr != nil {
			ts.Fatalf("%v", err)
		}
		code = number
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// relative matches times that depend on the clock.
var relative = regexp.MustCompile(`\d+ (day|hour|minute|second)s?`)

// table FILE WANT: compares, with times that depend on the clock and the working
// directory replaced.
func table(ts *testscript.TestScript, _ bool, args []string) {
	got := relative.ReplaceAllString(ts.ReadFile(args[0]), "TIME")
	got = strings.ReplaceAll(got, ts.MkAbs("."), "WORK")
	if want := ts.ReadFile(args[1]); got != want {
		ts.Fatalf("%s is\n%s\nwant\n%s", args[0], got, want)
	}
}
