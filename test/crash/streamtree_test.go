package crash

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/diskfile"
)

// growing imports the subject in place, from a tree of snapshots of VirtualBox's, takes one more and starts it on
// another branch, and notes what each reads as. The first of the images is large enough for a drawing in that can be cut off.
func (w *world) growing() error {
	if err := errors.Join(w.remove(subject), w.foreignTree(16<<20)); err != nil {
		return err
	}
	if err := w.with(func(c *client.Client) error {
		task, err := c.Import(w.ctx, api.ImportRequest{Source: w.foreignDir(), Name: subject, InPlace: true, Set: []string{
			"kernel.image=" + w.kernel.Image, "kernel.initrd=" + w.kernel.Initrd, "kernel.commandLine=" + w.kernel.CommandLine,
		}})
		return w.wait(c, task, err)
	}); err != nil {
		return err
	}
	if err := errors.Join(w.scribble(3), w.take("mine", api.TakeSnapshotRequest{}), w.scribble(4)); err != nil {
		return err
	}
	if err := errors.Join(w.restore("branch", api.RestoreSnapshotRequest{Force: true}), w.scribble(5)); err != nil {
		return err
	}
	var err error
	w.sums, err = w.treeSums()
	return err
}

func (w *world) foreignDir() string { return filepath.Join(w.images, "vbox") }

// foreignTree makes a machine of VirtualBox's, unless it is there: base.vdi, which the snapshot "one" holds, and above
// it branch.vdi, which "branch" holds, and now.vdi.
func (w *world) foreignTree(size int64) error {
	dir := w.foreignDir()
	if exists(dir) {
		return nil
	}
	err := errors.Join(os.Mkdir(dir, 0o700), w.original(filepath.Join(dir, "base.vdi"), size),
		os.WriteFile(filepath.Join(dir, "box.vbox"), []byte(foreignMachine), 0o600))
	for i, name := range []string{"branch.vdi", "now.vdi"} {
		if err == nil {
			err = foreignLayer(filepath.Join(dir, name), filepath.Join(dir, "base.vdi"), int64(i+1)<<20)
		}
	}
	return err
}

// foreignLayer makes a differencing image that holds something.
func foreignLayer(path, on string, at int64) error {
	place := diskfile.Place{Anywhere: true}
	if _, err := place.Create(path, diskfile.Make{Format: "vdi", Parent: on}); err != nil {
		return err
	}
	img, err := place.Open(path, diskfile.OpenOptions{Format: "vdi", Write: true})
	if err != nil {
		return err
	}
	_, err = img.(disk.Writer).WriteAt([]byte(strings.Repeat(filepath.Base(path), 1<<16)), at)
	return errors.Join(err, img.Close())
}

// foreignMachine describes the machine; it is as VirtualBox writes it.
var foreignMachine = fmt.Sprintf(`<?xml version="1.0"?>
<VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux">
 <Machine uuid="{1e5a4d3c-0000-4000-8000-00000000c001}" name="box" OSType="Other_64" currentSnapshot="{00000000-0000-4000-8000-0000000000b1}">
  <MediaRegistry><HardDisks><HardDisk uuid="{d1}" location="base.vdi" format="VDI"><HardDisk uuid="{d2}" location="branch.vdi" format="VDI"/><HardDisk uuid="{d3}" location="now.vdi" format="VDI"/></HardDisk></HardDisks></MediaRegistry>
  <Snapshot uuid="{00000000-0000-4000-8000-0000000000b1}" name="one" timeStamp="2024-01-01T10:00:00Z">%s
   <Snapshots><Snapshot uuid="{00000000-0000-4000-8000-0000000000b2}" name="branch" timeStamp="2024-01-02T10:00:00Z">%s</Snapshot></Snapshots>
  </Snapshot>%s
 </Machine>
</VirtualBox>`, foreignHardware("d1"), foreignHardware("d2"), foreignHardware("d3"))

func foreignHardware(disk string) string {
	return `<Hardware><CPU count="1"/><Memory RAMSize="192"/><StorageControllers><StorageController name="SATA" type="AHCI">` +
		`<AttachedDevice type="HardDisk" port="0" device="0"><Image uuid="{` + disk + `}"/></AttachedDevice></StorageController></StorageControllers></Hardware>`
}

// treeSums are the digests of what the subject and each of its snapshots read as, by its own spec.
func (w *world) treeSums() (map[string]string, error) {
	m := w.get(subject)
	sum, err := w.sum(m, nil)
	sums := map[string]string{"now": sum}
	for _, s := range m.Snapshots {
		var held api.Machine
		text, failure := os.ReadFile(filepath.Join(m.Folder, "snapshots", s.ID, "spec.json"))
		err = errors.Join(err, failure, json.Unmarshal(text, &held.Spec))
		held.Folder = m.Folder
		if slices.ContainsFunc(held.Spec.Drives, func(d api.Drive) bool { return d.Source == "" && s.Images[d.Name] == "" }) {
			return nil, fmt.Errorf("snapshot %s was changed meanwhile", s.Name)
		}
		sum, failure := w.sum(held, &s)
		sums[s.Name], err = sum, errors.Join(err, failure)
	}
	return sums, err
}

// independent tells whether a machine and its snapshots stand on images of its own only.
func independent(m api.Machine) bool {
	return ownAll(m) && !slices.ContainsFunc(m.Snapshots, func(s api.Snapshot) bool { return len(s.Sources) > 0 })
}

// grown checks that the subject and its snapshots read as they did; that what was drawn in goes on being drawn in, by
// itself where a daemon was killed; and that then all reads the same without the original, and nothing is over.
func (w *world) grown() {
	w.t.Helper()
	w.treeReads()
	if !strings.HasPrefix(w.killedAt, "stream.") && !independent(w.get(subject)) {
		if err := w.do(subject, (*client.Client).Stream); err != nil && !independent(w.get(subject)) {
			w.t.Errorf("stream again: %v", err)
		}
	}
	w.awaitSubject(func(m api.Machine) bool {
		images, err := os.ReadDir(filepath.Join(m.Folder, "disks"))
		return err == nil && independent(m) && m.Status.Task == "" && len(images) == 4 // base, branch, mine with what is below it, and now
	})
	away := w.foreignDir() + ".gone"
	w.must(os.Rename(w.foreignDir(), away))
	w.treeReads()
	w.nothingOver()
	ran := w.state() == api.StateRunning
	if ran {
		w.must(w.do(subject, (*client.Client).Stop))
	}
	w.must(w.do(subject, (*client.Client).Start))
	w.must(w.restore("mine", api.RestoreSnapshotRequest{Force: true}))
	w.sums["now"] = w.sums["mine"]
	w.treeReads()
	w.must(os.Rename(away, w.foreignDir()))
	if ran {
		w.must(w.do(subject, (*client.Client).Start))
	}
}

// treeReads checks what the subject and its snapshots read as. While images are merged in the background they are
// read once more.
func (w *world) treeReads() {
	w.t.Helper()
	for {
		before := w.get(subject).Revision
		sums, err := w.treeSums()
		if w.get(subject).Revision != before {
			continue
		}
		w.must(err)
		for name, want := range w.sums {
			if sums[name] != want {
				w.t.Errorf("%s does not read as it did", name)
			}
		}
		return
	}
}

// TestStreamTree draws in a tree while its machine runs, and kills the daemon at each place that it passes, or lets it fail
// there: where it passes one for each image, at that of the last but one.
func TestStreamTree(t *testing.T) {
	program := needs(t)
	t.Parallel()
	w := newWorld(t, program, still(t))
	op := operation{
		name: "stream a tree, running", before: api.StateRunning, after: api.StateRunning, same: true,
		ready: func(w *world) error {
			if err := errors.Join(w.growing(), w.do(subject, (*client.Client).Start)); err != nil {
				return err
			}
			w.servedPID = w.get(subject).Status.PID
			return nil
		},
		act:   func(w *world) error { return w.do(subject, (*client.Client).Stream) },
		check: (*world).grown,
	}
	times, seen := map[string]int{}, map[string]int{}
	places := w.learn(op)
	t.Logf("its places: %s", strings.Join(places, " "))
	for _, place := range places {
		times[place]++
	}
	for i, place := range places {
		if seen[place]++; seen[place] != max(1, times[place]-1) {
			continue
		}
		w.kill(op, i+1, place)
		if times[place] > 1 {
			w.fail(op, i+1, place)
		}
	}
}

// TestStreamTreeKilled draws in a tree of a machine that is off, with a daemon that is killed, the next one, too,
// and so on. Each goes on by itself where the one before was.
func TestStreamTreeKilled(t *testing.T) {
	program := needs(t)
	t.Parallel()
	w := newWorld(t, program, still(t))
	w.must(w.growing())
	w.restart("kill:stream.layer-begun@2")
	w.must(w.with(func(c *client.Client) error { _, err := c.Stream(w.ctx, subject); return err }))
	w.died(nil)
	for _, place := range []string{"stream.layer-drawn@2", "stream.put-on@2", "stream.spec-rewritten@2"} {
		w.begin("kill:" + place)
		w.died(nil)
	}
	w.begin("")
	w.killedAt = "stream."
	w.grown()
}

// TestStreamTreeCancelled cancels drawing in a tree: all stands on what it stood on, and when it is asked for again, what
// was drawn in is not drawn in another time.
func TestStreamTreeCancelled(t *testing.T) {
	program := needs(t)
	t.Parallel()
	w := newWorld(t, program, still(t))
	w.must(w.growing())
	w.restart("kill:stream.layer-begun@2")
	w.must(w.with(func(c *client.Client) error { _, err := c.Stream(w.ctx, subject); return err }))
	w.died(nil)
	w.begin("wait:stream.layer-begun") // it goes on by itself, to there
	w.awaitSubject(func(m api.Machine) bool { return m.Status.Task != "" })
	going := w.get(subject).Status.Task
	ended := w.cancel(true, func(c *client.Client) (api.Task, error) { return c.Task(w.ctx, going) })
	if ended.State != api.TaskCancelled || ended.Error == nil || !strings.Contains(ended.Error.Help, "goes on there") {
		t.Errorf("the task is %s: %v", ended.State, ended.Error)
	}
	w.restart("fail:stream.layer-begun@3")
	w.sound()
	w.treeReads()
	w.must(w.do(subject, (*client.Client).Stream))
	w.grown()
}

// TestStreamTreeGivesWay asks for other things while a tree is drawn in, which change it: they are done at once, and
// drawing in goes on after them with what there is then.
func TestStreamTreeGivesWay(t *testing.T) {
	program := needs(t)
	t.Parallel()
	w := newWorld(t, program, still(t))
	for _, place := range []string{"stream.layer-begun@3", "stream.put-on", "stream.spec-rewritten@2"} {
		w.must(w.growing())
		w.restart("wait:" + place)
		w.must(w.with(func(c *client.Client) error { _, err := c.Stream(w.ctx, subject); return err }))
		w.must(w.drop("one"))
		delete(w.sums, "one")
		w.treeReads()
		w.must(w.take("new", api.TakeSnapshotRequest{}))
		w.sums["new"] = w.sums["now"]
		w.must(w.restore("branch", api.RestoreSnapshotRequest{Force: true}))
		w.sums["now"] = w.sums["branch"]
		w.treeReads()
		w.must(w.drop("branch"))
		delete(w.sums, "branch")
		w.restart("")
		w.awaitSubject(func(m api.Machine) bool { return independent(m) && m.Status.Task == "" })
		away := w.foreignDir() + ".gone"
		w.must(os.Rename(w.foreignDir(), away))
		w.treeReads()
		w.must(w.do(subject, (*client.Client).Start))
		w.must(os.Rename(away, w.foreignDir()))
		if t.Failed() {
			t.Fatalf("after it gave way at %s", place)
		}
	}
}
