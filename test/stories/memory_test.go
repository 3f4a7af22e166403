package stories

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/panalvm/panal/client"

	"github.com/panalvm/panal/api"
)

// weigh notes what the host has given a process, whatever that says itself: its
// proportional part of the pages that it has, as the kernel counts them.
func weigh(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "weigh NAME PID…")
	has := weightOf(ts, args[1:])
	worldOf(ts).weights[args[0]] = has
	ts.Logf("%s: the host has given %d MiB", args[0], has/api.MiB)
}

// weighs waits until what processes have has come so far from what was noted. The
// kernel tells nobody of such changes, so that it is asked again and again.
func weighs(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 5, "weighs less|more SIZE than NAME PID…")
	by, err := api.ParseSize(args[1])
	ts.Check(err)
	before, now := worldOf(ts).weights[args[3]], api.Size(0)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for again := time.NewTicker(100 * time.Millisecond); ; {
		now = weightOf(ts, args[4:])
		if args[0] == "less" && before-now >= by || args[0] == "more" && now-before >= by {
			again.Stop()
			ts.Logf("the host has given %d MiB, and had given %d", now/api.MiB, before/api.MiB)
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			ts.Fatalf("the processes have %d MiB, and had %d", now/api.MiB, before/api.MiB)
		}
	}
}

// counts waits until a figure of a machine's statistics is more than nothing: the kernel lets go of what files hold before
// it moves other memory out, so that the first of it need not show.
func counts(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "counts NAME PATH")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := worldOf(ts).home.Client()
	defer c.Close()
	for again := time.NewTicker(100 * time.Millisecond); ; {
		stats, err := c.Stats(ctx, args[0])
		ts.Check(err)
		value, err := pick([]byte(asJSON(stats)), args[1])
		ts.Check(err)
		if value != "" && value != "0" {
			again.Stop()
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			ts.Fatalf("%s of %s is nothing", args[1], args[0])
		}
	}
}

func weightOf(ts *testscript.TestScript, pids []string) (all api.Size) {
	for _, pid := range pids {
		has, err := weight(pid)
		ts.Check(err)
		all += has
	}
	return all
}

// weight is a process's proportional set size.
func weight(pid string) (api.Size, error) {
	text, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kib); n == 1 {
			return api.Size(kib) * api.KiB, nil
		}
	}
	return 0, fmt.Errorf("the kernel does not say what process %s has", pid)
}

// scaled puts a part of a size in MiB into the environment: a sixth, or where PANAL_FULL_SCALE is set in the environment of
// the tests all of it, or the last size: small guests have less of their memory for programs than large ones.
func scaled(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 2 {
		args = append(args, args[1])
	}
	want(ts, neg, args, 3, "scaled VARIABLE MIB [FULL]")
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	size /= 6
	if os.Getenv("PANAL_FULL_SCALE") != "" {
		size, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	ts.Setenv(args[0], strconv.Itoa(size))
}

// stages waits for the host to make room for memory by one thing after another, in this order, and prints why.
func stages(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "stages REVISION STAGE…")
	since, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := worldOf(ts).home.Client()
	defer c.Close()
	next := args[1:]
	for event, err := range c.Events(ctx, since, client.EventFilter{}) {
		if err != nil {
			ts.Fatalf("waiting for the host's memory to come to %s: %v", next[0], err)
		}
		if event.Memory == nil || string(event.Memory.Stage) != next[0] {
			continue
		}
		fmt.Fprintln(ts.Stdout(), asJSON(event))
		if next = next[1:]; len(next) == 0 {
			return
		}
	}
}
