package stories

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/testenv"
)

// swapLock keeps stories of other runs from changing the host's swap at the same time.
const swapLock = "/run/lock/panal-test-swap"

// swapOn gives the host a swap file until the story's end.
func swapOn(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "swapon SIZE")
	size, err := api.ParseSize(args[0])
	ts.Check(err)
	w := worldOf(ts)
	lockSwap(ts)
	file := filepath.Join(w.home.Dir, "swap")
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	ts.Check(err)
	ts.Check(errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, int64(size)), f.Close()))
	useAsSwap(ts, file)
}

// lockSwap has this story alone change the host's swap, until its end.
func lockSwap(ts *testscript.TestScript) {
	testenv.Need(worldOf(ts).t, "mkswap")
	lock, err := os.OpenFile(swapLock, os.O_CREATE|os.O_RDWR, 0o600)
	ts.Check(err)
	ts.Defer(func() { _ = lock.Close() })
	ts.Check(unix.Flock(int(lock.Fd()), unix.LOCK_EX))
}

// useAsSwap swaps to a file or a device, before all others, until the story's end.
func useAsSwap(ts *testscript.TestScript, file string) {
	w := worldOf(ts)
	if out, err := exec.Command("mkswap", file).CombinedOutput(); err != nil {
		ts.Fatalf("mkswap: %v: %s", err, out)
	}
	if out, err := exec.Command("swapon", "--priority", "32000", file).CombinedOutput(); err != nil {
		w.t.Skipf("the host takes no swap here: %v: %s", err, out)
	}
	ts.Defer(func() {
		if out, err := exec.Command("swapoff", file).CombinedOutput(); err != nil {
			w.t.Errorf("swapoff: %v: %s", err, out)
		}
	})
}

// zram gives the host swap in compressed memory until the story's end: a device of its own, so that none that is there
// is touched.
func zram(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "zram SIZE")
	size, err := api.ParseSize(args[0])
	ts.Check(err)
	w := worldOf(ts)
	lockSwap(ts)
	const control = "/sys/class/zram-control"
	number, err := os.ReadFile(filepath.Join(control, "hot_add"))
	if err != nil {
		w.t.Skipf("the kernel has no zram: %v", err)
	}
	name := "zram" + strings.TrimSpace(string(number))
	ts.Defer(func() {
		if err := os.WriteFile(filepath.Join(control, "hot_remove"), number, 0); err != nil {
			w.t.Errorf("remove %s: %v", name, err)
		}
	})
	ts.Check(os.WriteFile(filepath.Join("/sys/block", name, "disksize"), []byte(strconv.FormatInt(int64(size), 10)), 0))
	useAsSwap(ts, filepath.Join("/dev", name))
}

// zswap switches compressed memory before swap on or off, until the story's end. It belongs to
// stories that have said swapon.
func zswap(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "zswap on|off")
	const file = "/sys/module/zswap/parameters/enabled"
	before, err := os.ReadFile(file)
	if err != nil {
		worldOf(ts).t.Skipf("the kernel has no zswap: %v", err)
	}
	value := map[string]string{"on": "Y", "off": "N"}[args[0]]
	ts.Check(os.WriteFile(file, []byte(value), 0))
	ts.Defer(func() { _ = os.WriteFile(file, []byte(strings.TrimSpace(string(before))), 0) })
}

// hugepages has the host keep so many huge pages of 2 MiB more until the story's end.
func hugepages(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "hugepages COUNT")
	count, err := api.ParseSize(args[0])
	ts.Check(err)
	testenv.HugePages(worldOf(ts).t, int(count))
}
