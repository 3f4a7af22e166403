package stories

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/test/harness"
)

// dial is a command of a user, and what comes of it.
type dial struct {
	command string
	code    int
	said    string // a pattern; empty where nothing is to be said but that it is done
}

// noGroup is how a warning begins that tells why something cannot be done.
const noGroup = `this host offers Panal no control group with the controller `

// dials are all that can be turned of a running machine's CPUs and memory. A user's daemon does it, or does what is next to it
// and says so, or refuses it.
var dials = []dial{
	{"set web cap=50", 0, `CPU time: its cap or limit cannot be set as it is: ` + noGroup + `cpu: .*; instead of to 50% of a CPU it is held to whole CPUs, 1 of them`},
	{"set web cap=0", 1, `cap: is 0; it must be 1 to 100`},
	{"set web cap= cpu.reservation=20%", 0, ``},
	{"set web cpu.reservation=900%", 1, `cpu.reservation: is 900%`},
	{"set web cpu.shares=50", 0, ``},
	{"set web cpu.shares=100", 0, `its shares cannot be raised again before its next start: ` + noGroup + `cpu`},
	{"set web cpu.shares=500", 0, `more than the usual shares cannot be given: ` + noGroup + `cpu`},
	{"set web cpu.pin=0 cpu.shares=", 0, ``},
	{"set web cpu.pin=4000", 1, `names 4000, and the CPUs that run on this host are`},
	{"set web cpus=2", 0, ``},
	{"set web cpus=9", 1, `cpu.count: is 9; it must be 1 to 2`},
	{"set web cpus=0", 1, `CPU 0 is always there`},
	{"set web memory=320M", 0, ``},
	{"set web balloon=40M", 0, ``},
	{"set web balloon=300M", 1, `less than the 64M that every guest keeps`},
	{"set web memory=2G", 1, `above memory.maximum`},
	{"set web balloon=", 0, ``},
	{"set web memory.limit=600M", 0, `memory: memory.limit is not held: ` + noGroup + `memory`},
	{"set web memory.limit= memory.reserve=64M", 0, `memory: memory.reserve is held when machines are started .*` + noGroup + `memory`},
	{"set web memory.reserve=900T", 1, `memory.reserve`},
	{"set web memory.reserve= memory.swap=50M", 0, `memory: what is swapped is the kernel.s choice.*` + noGroup + `memory`},
	{"set web memory.swap= memory.sharing=on", 0, `memory: memory.sharing`},
	{"set web memory.sharing= memory.nodes=0", 1, `memory.nodes of a running machine cannot change: ` + noGroup + `cpuset`},
	{"set web memory.control=automatic memory.minimum=192M", 0, ``},
	{"set web memory.locked=on", 1, `memory.locked`},
	{"top", 0, `web +running`},
	{"host show", 0, `memory +no +.*; instead: nothing limits what a machine takes`},
}

// TestUsersDials turns every dial of CPU and memory by the daemon of a user without privileges, on a real guest.
func TestUsersDials(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become a user whom nobody has delegated anything")
	}
	program, guest := needProgram(t), testenv.TinyGuest(t, "x86_64")
	home := harness.NewHome(t)
	kernel, initrd := filepath.Join(home.Dir, "kernel"), filepath.Join(home.Dir, "initrd")
	for file, from := range map[string]string{kernel: guest.Kernel, initrd: guest.Initrd} {
		text, err := os.ReadFile(from)
		if err = errors.Join(err, os.WriteFile(file, text, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(home.Dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	try := func(d dial) {
		t.Helper()
		said, err := asUser(home, program, strings.Fields(d.command)...).CombinedOutput()
		code := 0
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			code = ended.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		wanted := regexp.MustCompile(d.said)
		silent := d.said == "" && code == 0 && strings.Contains(string(said), "warning")
		if code != d.code || !wanted.Match(said) || silent {
			t.Errorf("panal %s: exit code %d, want %d, and %q:\n%s", d.command, code, d.code, d.said, said)
		}
	}
	create := asUser(home, program, "create", "web", "--kernel", kernel, "--initrd", initrd, "--append", guest.Append, "--memory", "256M", "--cpus", "1",
		"--set", "cpu.maximum=2", "--set", "memory.maximum=512M", "--no-network", "--start")
	if said, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	try(dial{"console web --until panal-tiny: --scrollback 1M --timeout 2m", 0, ""})
	for _, d := range dials {
		try(d)
	}
	try(dial{"stop web", 0, ""})
}
