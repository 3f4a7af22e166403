package stories

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/test/guests"
)

// patience is how long anything that is waited for may take on a slow computer.
const patience = 3 * time.Minute

// commands are what the stories say; see the package comment.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":      exits,
	"needs":      needs,
	"tiny":       tiny,
	"up":         up,
	"ask":        ask,
	"capped":     capped,
	"pinned":     pinned,
	"nogroups":   nogroups,
	"cgrouptest": cgrouptest,
	"field":      field,
	"get":        get,
	"await":      await,
	"foreign":    foreign,
	"agentguest": agentGuest,
	"peak":       peak,
	"weigh":      weigh,
	"scaled":     scaled,
	"counts":     counts,
	"weighs":     weighs,
	"swapon":     swapOn,
	"herd":       herd,
	"stages":     stages,
	"zswap":      zswap,
	"zram":       zram,
	"hugepages":  hugepages,
	"nodes":      nodes,
	"process":    process,
	"daemonpid":  daemonPID,
	"revision":   revision,
	"events":     events,
	"waittask":   waitTask,
	"edit":       edit,
	"hostile":    hostile,
	"image":      image,
	"same":       same,
	"shallow":    shallow,
	"served":     served,
	"nfs":        serveNFS,
	"scratch":    scratch,
	"bounded":    bounded,
	"magic":      magic,
	"serverpid":  serverPID,
	"printed":    printed,
	"greeting":   greeting,
	"debian":     debian,
	"remember":   remember,
	"unchanged":  unchanged,
	"json":       jsonAt,
	"freeport":   freePort,
	"listen":     listen,
	"signal":     signal,
	"gone":       gone,
	"mode":       mode,
	"stopdaemon": stopDaemon,
}

// want checks the number of a command's arguments.
func want(ts *testscript.TestScript, neg bool, args []string, least int, usage string) {
	if neg || len(args) < least {
		ts.Fatalf("usage: %s", usage)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "exits CODE COMMAND…")
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func needs(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "needs PROGRAM…")
	for _, program := range args {
		testenv.Need(worldOf(ts).t, program)
	}
}

func tiny(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "tiny NAME [FLAG…]")
	flags := []string{
		"create", args[0], "--kernel", ts.Getenv("KERNEL"), "--initrd", ts.Getenv("INITRD"), "--append", ts.Getenv("APPEND"),
		"--memory", "192M", "--cpus", "1", "--set", "serials.serial1=new",
	}
	ts.Check(ts.Exec("panal", append(flags, args[1:]...)...))
}

// debian gives a story a disk that another program has written.
func debian(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "debian FILE [SUBFORMAT]")
	subformat := "monolithicSparse"
	if len(args) > 1 {
		subformat = args[1]
	}
	guest := testenv.DebianGuest(worldOf(ts).t)
	ts.Check(ts.Exec("qemu-img", "convert", "-O", "vmdk", "-o", "subformat="+subformat, guest.Path, args[0]))
}

func foreign(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "foreign ARCHITECTURE")
	testenv.Need(worldOf(ts).t, "qemu-system-"+args[0])
	guest := testenv.TinyGuest(worldOf(ts).t, args[0])
	ts.Setenv("FOREIGN_KERNEL", guest.Kernel)
	ts.Setenv("FOREIGN_INITRD", guest.Initrd)
	ts.Setenv("FOREIGN_APPEND", guest.Append)
}

// agentGuest lets tiny make machines whose guest runs QEMU's agent.
func agentGuest(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 0, "agentguest")
	ts.Setenv("INITRD", testenv.AgentGuest(worldOf(ts).t).Initrd)
}

// up waits for the guest's word that it has started. What earlier runs printed
// comes first, so it counts: each start says it once more.
func up(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "up NAME")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w := worldOf(ts)
	c := w.home.Client()
	defer c.Close()
	console, err := c.Console(ctx, args[0], client.ConsoleOptions{Scrollback: 4 << 20})
	ts.Check(err)
	defer console.Close() //nolint:errcheck // it has said what was wanted
	var seen strings.Builder
	for part := make([]byte, 16<<10); ; {
		n, err := console.Read(part)
		seen.Write(part[:n])
		if times := strings.Count(seen.String(), guests.UpLine); times > w.ups[args[0]] {
			w.ups[args[0]] = times
			return
		}
		if err != nil {
			ts.Fatalf("%s has not started: %v; it printed\n%s", args[0], err, seen.String())
		}
	}
}

// ask talks to the agent on the machine's second serial line, as any client of
// the daemon could.
func ask(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] ask NAME REQUEST…")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := worldOf(ts).home.Client()
	defer c.Close()
	console, err := c.Console(ctx, args[0], client.ConsoleOptions{Serial: "serial1", Scrollback: -1})
	ts.Check(err)
	agent := guests.NewAgent(line{Console: console})
	defer agent.Close() //nolint:errcheck // what was said was heard
	answer, err := agent.Ask(ctx, strings.Join(args[1:], " "))
	fmt.Fprintln(ts.Stdout(), strings.Join(answer, "\n"))
	switch {
	case neg && errors.Is(err, guests.ErrRefused):
		fmt.Fprintln(ts.Stderr(), err)
	case neg && err == nil:
		ts.Fatalf("the guest did it")
	default:
		ts.Check(err)
	}
}

func field(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] field NAME PATH VALUE")
	}
	ts.Check(ts.Exec("panal", "show", args[0], "--json"))
	value, err := pick([]byte(ts.ReadFile("stdout")), args[1])
	ts.Check(err)
	if (value == args[2]) == neg {
		ts.Fatalf("%s of %s is %q", args[1], args[0], value)
	}
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, "get VARIABLE NAME PATH")
	ts.Check(ts.Exec("panal", "show", args[1], "--json"))
	value, err := pick([]byte(ts.ReadFile("stdout")), args[2])
	ts.Check(err)
	ts.Setenv(args[0], value)
}

// await looks at the machine once, and then at every event after that. It prints the machine as it was then: what holds may
// not hold for long.
func await(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, "await NAME PATH VALUE")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := worldOf(ts).home.Client()
	defer c.Close()
	m, err := c.Get(ctx, args[0])
	ts.Check(err)
	if holds(ts, m, args[1], args[2]) {
		fmt.Fprintln(ts.Stdout(), asJSON(m))
		return
	}
	last := ""
	for event, err := range c.Events(ctx, m.Revision, client.EventFilter{Machine: m.Spec.UUID}) {
		if err != nil {
			ts.Fatalf("%s of %s did not become %q; last it was %s: %v", args[1], args[0], args[2], last, err)
		}
		if event.Machine != nil && holds(ts, *event.Machine, args[1], args[2]) {
			fmt.Fprintln(ts.Stdout(), asJSON(*event.Machine))
			return
		}
		if event.Machine != nil {
			last = asJSON(event.Machine.Status)
		}
	}
}

func holds(ts *testscript.TestScript, m api.Machine, path, value string) bool {
	at, err := pick([]byte(asJSON(m)), path)
	ts.Check(err)
	return at == value
}

func remember(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "remember FILE…")
	for _, file := range args {
		worldOf(ts).digests[ts.MkAbs(file)] = digest(ts, file)
	}
}

func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "unchanged FILE…")
	for _, file := range args {
		before, known := worldOf(ts).digests[ts.MkAbs(file)]
		if !known {
			ts.Fatalf("%s was not remembered", file)
		}
		if after := digest(ts, file); after != before {
			ts.Fatalf("%s has changed: its SHA-256 was %s and is %s", file, before, after)
		}
	}
}

func digest(ts *testscript.TestScript, file string) string {
	in, err := os.Open(ts.MkAbs(file))
	ts.Check(err)
	defer in.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, in)
	ts.Check(err)
	return hex.EncodeToString(sum.Sum(nil))
}

func jsonAt(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "json PATH VALUE")
	value, err := pick([]byte(ts.ReadFile("stdout")), args[0])
	ts.Check(err)
	if !slices.Contains(args[1:], value) {
		ts.Fatalf("%s is %q, want %q", args[0], value, args[1:])
	}
}
