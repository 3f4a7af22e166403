// Package stories tells what people do with Panal, as scripts that run the real
// program, its daemon and QEMU. Each script in testdata is one story, in a home
// of its own. Beside testscript's own commands they use these:
//
//	exits CODE COMMAND…       runs a command, which must exit with this code
//	needs PROGRAM…            skips the story where a program is missing
//	tiny NAME [FLAG…]         panal create: a small machine with the tiny guest
//	up NAME                   waits until the tiny guest has started
//	ask NAME REQUEST…         asks the tiny guest's agent; the answer is the standard output
//	field NAME PATH VALUE     panal show --json has this value there, as in status.state
//	get VARIABLE NAME PATH    puts what panal show --json has there into the environment
//	await NAME PATH VALUE     waits for the event that brings a field to a value
//	remember FILE…            notes the checksums of files
//	unchanged FILE…           compares them
//	json PATH VALUE           the standard output is JSON and has this value there
//	freeport VARIABLE         puts a port that nobody listens on into the environment
//	listen VARIABLE           listens on a port until the story's end
//	signal NAME PID           sends a signal, as KILL
//	gone PID…                 waits until processes have ended
//	mode FILE MODE GROUP      the file has these permissions and belongs to this group
//	debian FILE [SUBFORMAT]   writes the Debian guest's disk as VMDK, with qemu-img
//	bounded BYTES DIR         no file in the directory is larger
//	printed FILE TEXT         waits until a file that grows has the text in it
//	magic FILE BYTES          the file begins with these bytes, escaped as in Go
//	greeting ADDRESS TEXT     who listens there says this first; waits for the listener
//	image FILE SIZE TEXT      makes a file of a size that begins with a text
//	same THING                panal import of it makes a machine whose disk is seed.raw, and it is deleted
//	scratch VARIABLE DIR      makes a directory there, until the story's end
//	edit FILE OLD NEW         replaces the first OLD, in place
//	process PID FIELD VALUE   /proc/PID/status says so; for Uid, VALUE is a user's name
//	peak PID SIZE             a process has never had more memory than that
//	scaled VARIABLE MIB [FULL]  puts a sixth of a size into the environment, or all, or FULL, where PANAL_FULL_SCALE is set
//	weigh NAME PID…           notes what memory the host has given processes
//	weighs less|more SIZE than NAME PID…  they have so much less, or more, now
//	swapon SIZE               gives the host a swap file until the story's end, as root
//	zram SIZE                 gives the host swap in compressed memory until the story's end, as root
//	zswap on|off              switches compressed memory before swap, until the story's end
//	hugepages COUNT           has the host keep so many huge pages of 2 MiB more until the story's end
//	nodes NAME LIST           the kernel lets the machine's process take memory from these nodes
//	herd COUNT MIB PERCENT    starts machines alike that share so much memory, and waits until so much of what could be is saved
//	hostile ATTACK            makes a folder with something harmful, and sets THING to what is to be imported
//	daemonpid VARIABLE        puts the daemon's PID into the environment
//	serverpid VARIABLE NAME   waits for the machine's image server and puts its PID into the environment
//	revision VARIABLE         puts the revision of the JSON on standard output into it
//	events REVISION COUNT     prints so many events of machines after a revision
//	waittask FILE             panal task wait, for the task whose ID the file holds
//	nfs VARIABLE DIR          serves a directory over NFS until the story ends, and puts the address into the environment
//	foreign ARCHITECTURE      sets FOREIGN_KERNEL, _INITRD and _APPEND, or skips the story
//	agentguest                the tiny guest of this story runs QEMU's guest agent
//	stopdaemon                stops the daemon, and waits until it has ended
//
// KERNEL, EFIKERNEL, INITRD and APPEND are the tiny guest's, HOME_DIR is the home's directory,
// and PANAL the program.
package stories

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/panalvm/panal/api"
	hostprocess "github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/test/guests"
	"github.com/panalvm/panal/test/harness"
)

var goOn = flag.Bool("continue", false, "go on with a story after a step that failed")

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

func TestStories(t *testing.T) {
	guest := testenv.TinyGuest(t, "x86_64")
	testenv.Need(t, "qemu-system-x86_64")
	testenv.Need(t, "qemu-img")
	program, err := harness.Panal()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		ContinueOnError:     *goOn,
		Setup:               func(env *testscript.Env) error { return setUp(env, program, guest) },
		Condition:           condition,
		Cmds:                commands,
	})
}

// world is what a story's commands work with.
type world struct {
	t       testing.TB
	home    *harness.Home
	program string
	digests map[string]string   // of files that were remembered
	ups     map[string]int      // how many starts of a guest were seen
	weights map[string]api.Size // what memory processes had
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value("world").(*world) }

func setUp(env *testscript.Env, program string, guest guests.TinyGuest) error {
	t := env.T().(testing.TB)
	home := harness.NewHome(t)
	env.Values["world"] = &world{t: t, home: home, program: program, digests: map[string]string{}, ups: map[string]int{}, weights: map[string]api.Size{}}
	env.Vars = append(env.Vars, home.Env()...)
	env.Setenv("PATH", harness.Path(program))
	env.Setenv("PANAL", program)
	env.Setenv("HOME_DIR", home.Dir)
	env.Setenv("KERNEL", guest.Kernel)
	env.Setenv("EFIKERNEL", guest.EFIKernel)
	env.Setenv("INITRD", guest.Initrd)
	env.Setenv("APPEND", guest.Append)
	// QEMU's user passes through to images that it must open by their paths.
	for dir := env.WorkDir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// condition knows of [root], and of [locks]: a daemon may let QEMU lock any amount of memory.
func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "locks":
		most, err := hostprocess.MayLock()
		return most == math.MaxInt64, err
	}
	return false, nil
}
