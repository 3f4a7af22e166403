package stories

import (
	"context"
	"fmt"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/imageserver"
)

// process looks at a line of proc(5)'s status; of several values the first
// counts.
func process(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, "process PID FIELD VALUE")
	wanted := args[2]
	if args[1] == "Uid" {
		who, err := user.Lookup(wanted)
		ts.Check(err)
		wanted = who.Uid
	}
	for line := range strings.Lines(ts.ReadFile("/proc/" + args[0] + "/status")) {
		name, values, _ := strings.Cut(line, ":")
		if name != args[1] {
			continue
		}
		if got := strings.Fields(values); len(got) == 0 || got[0] != wanted {
			ts.Fatalf("%s of process %s is %q", args[1], args[0], got)
		}
		return
	}
	ts.Fatalf("process %s has no %s", args[0], args[1])
}

// peak checks how much memory a process has had at most.
func peak(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "peak PID SIZE")
	most, err := api.ParseSize(args[1])
	ts.Check(err)
	for line := range strings.Lines(ts.ReadFile("/proc/" + args[0] + "/status")) {
		var had int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &had); n == 1 && api.Size(had)*api.KiB > most {
			ts.Fatalf("process %s has had %s of memory, more than %s", args[0], api.Size(had)*api.KiB, most)
		}
	}
}

func daemonPID(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "daemonpid VARIABLE")
	c := worldOf(ts).home.Client()
	defer c.Close()
	info, err := c.Info(context.Background())
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(info.PID))
}

func serverPID(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "serverpid VARIABLE NAME")
	w := worldOf(ts)
	c := w.home.Client()
	defer c.Close()
	m, err := c.Get(context.Background(), args[1])
	ts.Check(err)
	server, err := imageserver.Dir(filepath.Join(w.home.Runtime, "i", m.Spec.UUID)).Find(m.Spec.UUID)
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(server.PID))
}

func revision(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "revision VARIABLE")
	value, err := pick([]byte(ts.ReadFile("stdout")), "revision")
	ts.Check(err)
	ts.Setenv(args[0], value)
}

func events(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "events REVISION COUNT")
	since, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := worldOf(ts).home.Client()
	defer c.Close()
	for event, err := range c.Events(ctx, since, client.EventFilter{}) {
		ts.Check(err)
		if event.Machine == nil {
			continue
		}
		fmt.Fprintln(ts.Stdout(), asJSON(event))
		if count--; count == 0 {
			return
		}
	}
}

func waitTask(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "waittask FILE")
	ts.Check(ts.Exec("panal", "task", "wait", strings.TrimSpace(ts.ReadFile(args[0]))))
}
