package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/client"
)

// What moving machines in and out is to be.
const (
	exportGoal  = 8               // times faster than by hand
	importGoal  = 3               // likewise
	inPlaceGoal = 2 * time.Second // more than a machine of ours
	spaceGoal   = 64 << 20        // bytes that an import takes for a time
)

// appliances measures moving a machine out and in, against what people do by hand:
// qemu-img, sha256sum and tar.
type appliances struct {
	*bench
	ctx    context.Context
	panal  *panal
	source string // the raw disk
	ova    string // made by hand
	made   int    // machines
	rounds int
}

// measureAppliance measures export, import, and import in place.
func measureAppliance(ctx context.Context, b *bench) (err error) {
	mark := len(b.cleanup)
	defer func() { err = errors.Join(err, b.undo(mark)) }()
	a := &appliances{bench: b, ctx: ctx, source: b.path("machine.raw"), ova: b.path("theirs.ova"), rounds: max(b.rounds/3, 1)}
	b.onClose(func() error { return os.Remove(a.source) })
	if err := makeDisk(a.source, diskSize/b.divisor, diskData/b.divisor); err != nil {
		return err
	}
	if a.panal, err = newPanal(ctx, b); err != nil {
		return err
	}
	if err := runQuietly(a.panal.command("create", "web", "--disk", a.source, "--memory", "512M")); err != nil {
		return err
	}
	for _, measure := range []func() error{a.exports, a.imports, a.inPlace} {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

// byHand runs a script; its arguments are $1 and so on.
func (a *appliances) byHand(script string, args ...string) error {
	return runQuietly(exec.CommandContext(a.ctx, "bash", append([]string{"-ec", script, "by-hand"}, args...)...))
}

// packByHand makes an OVA as people do. The descriptor is that of our own export.
const packByHand = `mkdir "$2"; cd "$2"; tar xf "$3" web.ovf
qemu-img convert -O vmdk -o subformat=streamOptimized "$1" web-disk0.vmdk
sha256sum --tag web.ovf web-disk0.vmdk | sed 's/^SHA256 (\(.*\)) = /SHA256(\1)= /' > web.mf
tar cf "$4" web.ovf web-disk0.vmdk web.mf; sync "$4"; cd ..; rm -r "$2"`

// exports writes the machine out.
func (a *appliances) exports() error {
	ours, work := a.path("web.ova"), a.path("packing")
	defer os.Remove(ours)
	out := func() error { return runQuietly(a.panal.command("export", "web", ours, "--force")) }
	if err := out(); err != nil {
		return err
	}
	times, err := inTurn(a.rounds, timed(out), timed(func() error { return a.byHand(packByHand, a.source, work, ours, a.ova) }))
	if err != nil {
		return err
	}
	a.explain("ours", times[0])
	a.explain("by hand", times[1])
	a.goal("export to OVA", "qemu-img, sha256sum, tar", times, exportGoal)
	return a.sameDisk(ours)
}

// sameDisk has others unpack and compare what we wrote.
func (a *appliances) sameDisk(ova string) error {
	return a.byHand(`mkdir "$2"; tar xf "$1" -C "$2"; qemu-img compare -F raw "$2/web-disk0.vmdk" "$3"; rm -r "$2"`, ova, a.path("unpacked"), a.source)
}

func (a *appliances) goal(work, peer string, times []samples, goal float64) {
	faster := times[1].over(times[0])
	a.report.add(row{
		work: work, ours: milliseconds(times[0].median()), peer: peer + " " + milliseconds(times[1].median()),
		compared: fmt.Sprintf("%.1f times", faster), goal: fmt.Sprintf("≥ %g times", goal), met: faster >= goal,
	})
}

// imports takes what others made in, to a machine that can be started.
func (a *appliances) imports() error {
	var most int64
	ours := func() (took time.Duration, err error) {
		name := a.name()
		held, err := spaceDuring(a.scratch, func() error {
			took, err = timed(func() error { return runQuietly(a.panal.command("import", a.ova, "--name", name, "--new-uuid")) })()
			return err
		})
		most = max(most, held)
		return took, errors.Join(err, a.discard(name))
	}
	work := a.path("unpacking")
	theirs := func() error {
		return a.byHand(`mkdir "$1"; tar xf "$2" -C "$1"; qemu-img convert -O qcow2 "$1/web-disk0.vmdk" "$1/disk.qcow2"; sync "$1/disk.qcow2"`, work, a.ova)
	}
	times, err := inTurn(a.rounds, ours, func() (time.Duration, error) {
		took, err := timed(theirs)()
		return took, errors.Join(err, os.RemoveAll(work))
	})
	if err != nil {
		return err
	}
	a.goal("import of an OVA", "tar, qemu-img", times, importGoal)
	a.report.add(row{work: "space that an import takes beside its disk", ours: megabytes(most), goal: "< 64 MiB", met: most < spaceGoal})
	return nil
}

// name is one that no machine has had.
func (a *appliances) name() string {
	a.made++
	return fmt.Sprintf("in%d", a.made)
}

func (a *appliances) discard(name string) error {
	return runQuietly(a.panal.command("delete", "--force", name))
}

// inPlace starts a machine from an OVA that stays where it is, and one of ours.
func (a *appliances) inPlace() error {
	kernel := []string{"--set", "kernel.image=" + a.kernel, "--set", "kernel.initrd=" + a.initrd, "--set", "kernel.commandLine=" + commandLine}
	foreign := func() (time.Duration, error) {
		name := a.name()
		took, err := a.untilSpoken(name, append([]string{"import", a.ova, "--name", name, "--new-uuid", "--in-place", "--start"}, kernel...)...)
		return took, errors.Join(err, a.discard(name))
	}
	if err := runQuietly(a.panal.command(append([]string{"set", "web"}, kernel[1], kernel[3], kernel[5])...)); err != nil {
		return err
	}
	native := func() (time.Duration, error) {
		took, err := a.untilSpoken("web", "start", "web")
		return took, errors.Join(err, a.panal.powerOff(a.ctx, "web"))
	}
	times, err := inTurn(a.rounds, foreign, native)
	if err != nil {
		return err
	}
	more := medianDifference(times[0], times[1])
	a.report.add(row{
		work: "import --in-place to the guest's first output", ours: milliseconds(times[0].median()), peer: "start of a machine of ours " + milliseconds(times[1].median()),
		compared: milliseconds(more) + " more", goal: "< 2000 ms more", met: more < inPlaceGoal,
	})
	return nil
}

// untilSpoken is the time until a command has started a machine and its guest has
// said something.
func (a *appliances) untilSpoken(name string, args ...string) (time.Duration, error) {
	began := time.Now()
	if err := runQuietly(a.panal.command(args...)); err != nil {
		return 0, fmt.Errorf("panal %s: %w", strings.Join(args, " "), err)
	}
	console, err := a.panal.client.Console(a.ctx, name, client.ConsoleOptions{})
	if err != nil {
		return 0, err
	}
	defer console.Close()
	_, err = console.Read(make([]byte, 1))
	return time.Since(began), err
}

// spaceEvery is how often free space is looked at.
const spaceEvery = 50 * time.Millisecond

// spaceDuring is how much more space was taken at any time during some work than
// at its end.
func spaceDuring(dir string, work func() error) (int64, error) {
	least := freeSpace(dir)
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(spaceEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				least = min(least, freeSpace(dir))
			case <-stop:
				return
			}
		}
	})
	err := work()
	close(stop)
	watching.Wait()
	return max(freeSpace(dir)-least, 0), err
}

func freeSpace(dir string) int64 {
	var stat unix.Statfs_t
	if unix.Statfs(filepath.Clean(dir), &stat) != nil {
		return 0
	}
	return int64(stat.Bavail) * stat.Bsize
}
