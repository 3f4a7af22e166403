package snapshot

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
)

// world is a machine's tree and images as they come about by taking, restoring,
// deleting and merging, and what each snapshot must read as.
type world struct {
	tree    Tree
	images  Images
	layer   map[string]string // by image, its own writes
	current string
	want    map[string]string // by snapshot, the content
	next    int
}

func newWorld() *world {
	return &world{
		images: Images{"base": {}}, layer: map[string]string{"base": "0"}, current: "base", want: map[string]string{},
	}
}

// reads is what is read through an image: the writes of all that it stands on,
// and then its own.
func (w *world) reads(image string) string {
	if image == "" {
		return ""
	}
	return w.reads(w.images[image].Parent) + w.layer[image]
}

func (w *world) name() string {
	w.next++
	return strings.Repeat("a", 8-len(itoa(w.next))) + itoa(w.next)
}

func itoa(n int) string {
	text := ""
	for ; n > 0; n /= 10 {
		text = string(rune('0'+n%10)) + text
	}
	return text
}

func (w *world) branch(on string) {
	upper := w.name()
	w.images[upper], w.layer[upper] = Image{Parent: on}, ""
	w.current = upper
}

func (w *world) take() {
	id := w.name()
	w.want[id] = w.reads(w.current)
	w.tree = w.tree.Add(api.Snapshot{ID: id, Name: id, Taken: time.Unix(int64(w.next), 0), Images: map[string]string{"disk0": w.current}})
	w.branch(w.current)
}

func (w *world) write(t *rapid.T) {
	w.layer[w.current] += rapid.StringMatching("[a-z]").Draw(t, "write")
	image := w.images[w.current]
	image.Allocated++
	w.images[w.current] = image
}

func (w *world) needs(open, others map[string]bool) Needs {
	return Needs{Held: w.tree.Images(), Written: map[string]bool{w.current: true}, Open: open, Others: others}
}

func (w *world) drop(others map[string]bool) {
	for _, name := range w.images.Unneeded(w.needs(nil, others)) {
		delete(w.images, name)
		delete(w.layer, name)
	}
}

// merge carries a step out as the manager does, on the model.
func (w *world) merge(step Step) {
	if step.Way == Commit {
		w.layer[step.Lower] += w.layer[step.Upper]
		w.tree = w.tree.Replace(step.Upper, step.Lower)
		if w.current == step.Upper {
			w.current = step.Lower
		}
		delete(w.layer, step.Upper)
	} else {
		w.layer[step.Upper] = w.layer[step.Lower] + w.layer[step.Upper]
		delete(w.layer, step.Lower)
	}
	w.images = w.images.Apply(step)
}

func (w *world) check(t *rapid.T) {
	t.Helper()
	if err := (Tree{w.tree.Ordered(), w.tree.Current}).Check(); err != nil {
		t.Fatalf("the tree is none: %v", err)
	}
	for _, s := range w.tree.Snapshots {
		if got := w.reads(s.Images["disk0"]); got != w.want[s.ID] {
			t.Fatalf("snapshot %s reads %q, want %q", s.ID, got, w.want[s.ID])
		}
	}
	for name, image := range w.images {
		if _, known := w.images[image.Parent]; image.Parent != "" && !known {
			t.Fatalf("%s stands on %s, which is gone", name, image.Parent)
		}
	}
}

// TestEverySnapshotReadsAsItDid takes, writes, restores and deletes at random, merges all
// that can be merged, and looks at every snapshot and the present state after each step.
func TestEverySnapshotReadsAsItDid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now := ""
			switch rapid.SampledFrom([]string{"take", "write", "restore", "delete", "subtree"}).Draw(t, "step") {
			case "take":
				w.take()
			case "write":
				w.write(t)
			case "restore":
				if len(w.tree.Snapshots) > 0 {
					s := rapid.SampledFrom(w.tree.Snapshots).Draw(t, "to")
					w.tree.Current = s.ID
					w.branch(s.Images["disk0"])
					w.drop(nil)
				}
			case "delete", "subtree":
				if len(w.tree.Snapshots) == 0 {
					break
				}
				ids := []string{rapid.SampledFrom(w.tree.Snapshots).Draw(t, "gone").ID}
				if rapid.Bool().Draw(t, "children") {
					ids = w.tree.Below(ids[0])
				}
				w.tree = w.tree.Remove(ids...)
			}
			now = w.reads(w.current)
			w.mergeAll(t)
			if got := w.reads(w.current); got != now {
				t.Fatalf("the present state reads %q, want %q", got, now)
			}
			w.check(t)
		}
	})
}

// mergeAll merges until nothing is left to merge, on a machine that runs or not, and
// looks whether what is left is as little as can be.
func (w *world) mergeAll(t *rapid.T) {
	w.drop(nil)
	running := rapid.Bool().Draw(t, "running")
	before := len(w.images)
	for {
		open := map[string]bool{}
		if running {
			open = w.images.Reachable(map[string]bool{w.current: true})
		}
		needs := w.needs(open, nil)
		step, found := w.images.Next(needs)
		if !found {
			break
		}
		if step.Live != open[step.Upper] || step.Live && step.Way == Pull && step.Upper != w.current {
			t.Fatalf("QEMU cannot do %+v", step)
		}
		w.merge(step)
		if before--; len(w.images) != before {
			t.Fatalf("after %+v there are %d images, want %d", step, len(w.images), before)
		}
		w.check(t)
	}
	children := w.images.children()
	for name := range w.images {
		if !w.tree.Images()[name] && name != w.current && len(children[name]) < 2 {
			t.Fatalf("%s is held by nothing, has %d images on it, and is left", name, len(children[name]))
		}
	}
}

// TestWhatOthersStandOnStays holds that images which other machines stand on
// neither vanish nor change.
func TestWhatOthersStandOnStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for range rapid.IntRange(1, 8).Draw(t, "snapshots") {
			w.take()
			w.write(t)
		}
		var names []string
		for name := range w.images {
			names = append(names, name)
		}
		slices.Sort(names)
		other := rapid.SampledFrom(names).Draw(t, "other")
		others, want := map[string]bool{other: true}, w.reads(other)
		for _, s := range slices.Clone(w.tree.Snapshots) {
			if rapid.Bool().Draw(t, "delete") {
				w.tree = w.tree.Remove(s.ID)
			}
		}
		w.drop(others)
		for {
			step, found := w.images.Next(w.needs(nil, others))
			if !found {
				break
			}
			w.merge(step)
			w.check(t)
			if _, kept := w.images[other]; !kept {
				t.Fatalf("%s is gone after %+v", other, step)
			}
			if got := w.reads(other); got != want {
				t.Fatalf("%s reads %q after %+v, want %q", other, got, step, want)
			}
		}
	})
}

// TestWhatIsServedIsNotNamed holds that no running machine is made to draw in what stands right on an image that
// is served to it.
func TestWhatIsServedIsNotNamed(t *testing.T) {
	images := Images{"disk0.vdi": {Fixed: true}, "a": {Parent: "disk0.vdi", Allocated: 1}, "b": {Parent: "a", Allocated: 9}}
	needs := Needs{Held: map[string]bool{"disk0.vdi": true}, Written: map[string]bool{"b": true}, Open: images.Reachable(map[string]bool{"b": true})}
	if step, found := images.Next(needs); !found || step.Way != Commit {
		t.Errorf("%+v, %t", step, found)
	}
	images["disk0.vdi"], needs.Open = Image{}, nil
	if step, found := images.Next(needs); !found || step.Way != Pull {
		t.Errorf("%+v, %t", step, found)
	}
}

func TestRemovingKeepsWhoCameAfterWhom(t *testing.T) {
	var tree Tree
	for _, id := range []string{"aaaaaaa1", "aaaaaaa2", "aaaaaaa3", "aaaaaaa4"} {
		tree = tree.Add(api.Snapshot{ID: id, Name: id})
	}
	tree = tree.Remove("aaaaaaa2", "aaaaaaa4")
	if tree.Current != "aaaaaaa3" || len(tree.Snapshots) != 2 || tree.Snapshots[1].Parent != "aaaaaaa1" {
		t.Errorf("%+v", tree)
	}
	if below := tree.Below("aaaaaaa1"); len(below) != 2 {
		t.Errorf("below the root there are %v", below)
	}
}

func TestTreesFromOutsideAreChecked(t *testing.T) {
	good := api.Snapshot{ID: "aaaaaaa1", Name: "a"}
	for says, tree := range map[string]Tree{
		"no ID":          {Snapshots: []api.Snapshot{{ID: "../../..", Name: "a"}}},
		"have the ID":    {Snapshots: []api.Snapshot{good, {ID: good.ID, Name: "b"}}},
		"have the name":  {Snapshots: []api.Snapshot{good, {ID: "aaaaaaa2", Name: "a"}}},
		"not before it":  {Snapshots: []api.Snapshot{{ID: "aaaaaaa2", Name: "b", Parent: good.ID}, good}},
		"present state":  {Snapshots: []api.Snapshot{good}, Current: "aaaaaaa9"},
		"be printed":     {Snapshots: []api.Snapshot{{ID: good.ID, Name: "a\n"}}},
		"needs a name":   {Snapshots: []api.Snapshot{{ID: good.ID}}},
		"begins or ends": {Snapshots: []api.Snapshot{{ID: good.ID, Name: " a"}}},
	} {
		if err := tree.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}

func TestFreeNames(t *testing.T) {
	tree := Tree{Snapshots: []api.Snapshot{{Name: "snapshot1"}, {Name: "100%"}, {Name: "100% (2)"}}}
	for wanted, want := range map[string]string{"": "snapshot2", "new": "new", "snapshot1": "snapshot1 (2)", "100%": "100% (3)"} {
		if got := tree.Free(wanted); got != want {
			t.Errorf("for %q it is %q, want %q", wanted, got, want)
		}
	}
}

// What is left out of snapshots, now or then, is what it is now: going back neither loses what it holds nor lets it write
// what a snapshot held when it was not left out.
func TestRestoredLeavesWhatIsLeftOut(t *testing.T) {
	disk := func(file string, mode api.WriteMode) api.Spec {
		return api.Spec{Drives: []api.Drive{{Name: "disk0", Kind: api.Disk, Mode: api.Own, WriteMode: mode, File: file}}}
	}
	for name, c := range map[string]struct{ now, held, want api.Spec }{
		"in, now and then": {disk("now", ""), disk("then", api.Normal), disk("then", api.Normal)},
		"left out now":     {disk("now", api.Writethrough), disk("then", ""), disk("now", api.Writethrough)},
		"left out then":    {disk("now", ""), disk("then", api.Immutable), disk("now", "")},
		"left out of both": {disk("now", api.Immutable), disk("then", api.Writethrough), disk("now", api.Immutable)},
		"not there now":    {api.Spec{}, disk("then", api.Writethrough), disk("then", api.Writethrough)},
	} {
		if got := Restored(c.now, c.held); !slices.Equal(filesAndModes(got), filesAndModes(c.want)) {
			t.Errorf("%s: %v, want %v", name, filesAndModes(got), filesAndModes(c.want))
		}
	}
}

func filesAndModes(spec api.Spec) (all []string) {
	for _, drive := range spec.Drives {
		all = append(all, drive.File+" "+string(drive.WriteMode))
	}
	return all
}

func TestRestoredKeepsWhatPeopleSay(t *testing.T) {
	held := api.Spec{Name: "old", CPU: api.CPU{Count: 1}, Drives: []api.Drive{
		{Name: "disk0", Kind: api.Disk, Mode: api.Own, File: "disks/disk0.qcow2"},
		{Name: "scratch", Kind: api.Disk, Mode: api.Own, WriteMode: api.Writethrough, File: "disks/was.qcow2"},
	}}
	now := api.Spec{Name: "new", Description: "said", CPU: api.CPU{Count: 4}, Drives: []api.Drive{
		{Name: "scratch", Kind: api.Disk, Mode: api.Own, WriteMode: api.Writethrough, File: "disks/is.qcow2"},
	}}
	got := Restored(now, held)
	if got.Name != "new" || got.Description != "said" || got.CPU.Count != 1 || len(got.Drives) != 2 {
		t.Errorf("%+v", got)
	}
	if got.Drives[0].File != "disks/disk0.qcow2" || got.Drives[1].File != "disks/is.qcow2" {
		t.Errorf("the drives are %+v", got.Drives)
	}
	changes := SpecChanges(held, now)
	var fields []string
	for _, change := range changes {
		fields = append(fields, change.Field)
	}
	if !slices.Contains(fields, "cpu.count") || !slices.Contains(fields, "drives.disk0.kind") || slices.Contains(fields, "drives.scratch.file") {
		t.Errorf("%v", fields)
	}
}
