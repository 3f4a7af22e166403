package crash

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/internal/media"
)

// snapshotOperations are those on snapshots. After each accident every
// snapshot that is listed, and the machine itself, reads as it did, nothing is left over,
// and the operation can be done again.
var snapshotOperations = []operation{
	{
		name: "take a snapshot", before: api.StateOff, after: api.StateOff, ready: (*world).branched,
		act:   func(w *world) error { return w.take("new", api.TakeSnapshotRequest{}) },
		check: func(w *world) { w.takenWholly("new") },
	},
	{
		name: "take a snapshot of a saved machine", before: api.StateSaved, after: api.StateSaved,
		ready: func(w *world) error {
			return errors.Join(w.branched(), w.do(subject, (*client.Client).Start), w.do(subject, (*client.Client).Save))
		},
		act:   func(w *world) error { return w.take("new", api.TakeSnapshotRequest{}) },
		check: func(w *world) { w.takenWholly("new") },
	},
	{
		name: "take a snapshot, running", before: api.StateRunning, after: api.StateRunning, same: true,
		ready: func(w *world) error { return errors.Join(w.branched(), w.do(subject, (*client.Client).Start)) },
		act:   func(w *world) error { return w.take("new", api.TakeSnapshotRequest{}) },
		check: func(w *world) { w.takenWholly("new") },
	},
	{
		name: "take a snapshot with memory", before: api.StateRunning, after: api.StateRunning, same: true,
		ready: func(w *world) error { return errors.Join(w.branched(), w.do(subject, (*client.Client).Start)) },
		act:   func(w *world) error { return w.take("new", api.TakeSnapshotRequest{Memory: true}) },
		check: func(w *world) { w.takenWholly("new") },
	},
	{
		name: "restore", before: api.StateOff, after: api.StateOff, ready: (*world).branched,
		act: func(w *world) error { return w.restore("first", api.RestoreSnapshotRequest{Force: true}) },
		check: func(w *world) {
			w.restoredWholly()
			w.must(w.restore("second", api.RestoreSnapshotRequest{Force: true}))
			w.reads("now", w.sums["second"])
		},
	},
	{
		name: "restore, keeping what runs", before: api.StateRunning, between: api.StateSaved, after: api.StateOff, final: true,
		ready: func(w *world) error { return errors.Join(w.branched(), w.do(subject, (*client.Client).Start)) },
		act: func(w *world) error {
			return w.restore("first", api.RestoreSnapshotRequest{Keep: true, KeepName: "kept"})
		},
		check: func(w *world) { w.restoredWholly() },
	},
	{
		name: "delete a snapshot", before: api.StateOff, after: api.StateOff, ready: (*world).branched,
		act: func(w *world) error { return w.drop("first") },
		check: func(w *world) {
			w.readable()
			if err := w.drop("first"); err != nil && client.KindOf(err) != api.KindNotFound {
				w.t.Error(err)
			}
			w.must(w.drop("second"))
			w.readable()
			w.nothingOver()
		},
	},
	{
		name: "delete a snapshot, running", before: api.StateRunning, after: api.StateRunning, same: true,
		ready: func(w *world) error { return errors.Join(w.branched(), w.do(subject, (*client.Client).Start)) },
		act:   func(w *world) error { return w.drop("third") },
		check: func(w *world) {
			w.readable()
			if err := w.drop("third"); err != nil && client.KindOf(err) != api.KindNotFound {
				w.t.Error(err)
			}
			w.must(w.drop("first"))
			w.readable()
			w.must(w.drop("second"))
			w.readable()
			w.nothingOver()
		},
	},
	{
		name: "shorten chains, running", before: api.StateRunning, after: api.StateRunning, same: true,
		ready: func(w *world) error {
			return errors.Join(w.deep(), w.do(subject, (*client.Client).Start), w.depth("2"))
		},
		act:   func(w *world) error { return w.drop("fourth") },
		check: func(w *world) { w.shallow() },
	},
}

// deep is branched with further snapshots.
func (w *world) deep() error {
	if err := errors.Join(w.depth(""), w.branched()); err != nil {
		return err
	}
	for _, name := range []string{"fourth", "fifth", "sixth"} {
		w.sums[name] = w.sums["now"]
		if err := w.take(name, api.TakeSnapshotRequest{}); err != nil {
			return err
		}
	}
	return nil
}

// depth sets how deep chains may be.
func (w *world) depth(bound string) error {
	return w.with(func(c *client.Client) error {
		_, err := c.ChangeHost(w.ctx, api.ChangeHostRequest{Set: []string{"snapshots.depth=" + bound}})
		return err
	})
}

// shallow checks that all snapshots read as they did, and that once what was begun is done the subject's
// chains are short, and nothing is over.
func (w *world) shallow() {
	w.t.Helper()
	w.readable()
	if err := w.drop("fourth"); err != nil && client.KindOf(err) != api.KindNotFound {
		w.t.Error(err)
	}
	w.must(w.drop("second"))
	w.awaitSubject(func(m api.Machine) bool { // merging goes on in the background, where it had to give way
		return m.Status.Task == "" && !slices.ContainsFunc(m.Spec.Drives, func(drive api.Drive) bool {
			layers, err := media.OwnLayers(m.Folder, drive.File)
			return err != nil || len(layers) > 3 // 2, and one that QEMU cannot open itself
		})
	})
	w.readable()
	w.nothingOver()
	w.must(w.depth(""))
}

// branched makes the subject anew, off, with three snapshots on two branches and
// what was written since, and notes what each of them reads as. One of its disks is served.
func (w *world) branched() error {
	w.sums = map[string]string{}
	own := filepath.Join(w.images, "own.vdi")
	if err := errors.Join(w.remove(subject), os.RemoveAll(own)); err != nil {
		return err
	}
	if _, err := (diskfile.Place{}).Create(own, diskfile.Make{Format: "vdi", Size: 8 << 20}); err != nil {
		return err
	}
	if err := w.create(subject, api.DiskSource{Path: w.image()}, api.DiskSource{Path: own, Mode: api.Own}); err != nil {
		return err
	}
	for i, name := range []string{"first", "second", "", "third", "now"} {
		if name == "" {
			if err := w.restore("first", api.RestoreSnapshotRequest{Force: true}); err != nil {
				return err
			}
			continue
		}
		if err := w.scribble(byte(i + 1)); err != nil {
			return err
		}
		sum, err := w.sum(w.get(subject), nil)
		if err != nil {
			return err
		}
		w.sums[name] = sum
		if name == "now" {
			break
		}
		if err := w.take(name, api.TakeSnapshotRequest{}); err != nil {
			return err
		}
	}
	return nil
}

// scribble writes to each disk of the subject as its guest would.
func (w *world) scribble(value byte) (err error) {
	m := w.get(subject)
	for _, drive := range m.Spec.Drives {
		img, err := (diskfile.Place{Anywhere: true}).Open(filepath.Join(m.Folder, drive.File), diskfile.OpenOptions{Format: media.LayerFormat(drive.File), Write: true})
		if err != nil {
			return err
		}
		block := make([]byte, 1<<16)
		for i := range block {
			block[i] = value
		}
		_, err = img.(disk.Writer).WriteAt(block, int64(value)<<16+512)
		if err := errors.Join(err, img.Close()); err != nil {
			return err
		}
	}
	return nil
}

// sum is a digest of what a snapshot of the subject reads as; of none, of what the machine
// does.
func (w *world) sum(m api.Machine, s *api.Snapshot) (string, error) {
	digest := sha256.New()
	for _, drive := range m.Spec.Drives {
		if s != nil {
			drive.File = s.Images[drive.Name]
		}
		img, err := media.OpenLayers(m.Folder, drive, false, nil)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(digest, io.NewSectionReader(img, 0, img.Size()))
		if err := errors.Join(err, img.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// reads checks what the subject, or a snapshot of it, reads as. Images that are merged in the
// background while they are read are read once more.
func (w *world) reads(name string, want ...string) {
	w.t.Helper()
	var got string
	var err error
	for m := w.get(subject); ; {
		var of *api.Snapshot
		for i, s := range m.Snapshots {
			if s.Name == name {
				of = &m.Snapshots[i]
			}
		}
		got, err = w.sum(m, of)
		now := w.get(subject)
		if now.Revision == m.Revision {
			break
		}
		m = now
	}
	if err != nil {
		w.t.Errorf("%s cannot be read: %v", name, err)
	} else if !slices.Contains(want, got) {
		w.t.Errorf("%s does not read as it did", name)
	}
}

// readable checks that all snapshots and the machine read as they did.
func (w *world) readable() {
	w.t.Helper()
	for _, s := range w.get(subject).Snapshots {
		if want := w.sums[s.Name]; want != "" {
			w.reads(s.Name, want)
		} else {
			w.reads(s.Name, w.sums["now"])
		}
		if s.HasMemory() != exists(w.get(subject).Folder, "snapshots", s.ID, "memory.zst") {
			w.t.Errorf("that %s has memory is %t, and its file says otherwise", s.Name, s.HasMemory())
		}
	}
	w.reads("now", w.sums["now"])
}

// takenWholly checks that a snapshot was taken or not, and takes and deletes
// another.
func (w *world) takenWholly(name string) {
	w.t.Helper()
	w.readable()
	w.must(w.take("again", api.TakeSnapshotRequest{}))
	w.readable()
	for _, s := range w.get(subject).Snapshots {
		if s.Name == "again" || s.Name == name {
			w.must(w.drop(s.Name))
		}
	}
	w.readable()
	if w.state() != api.StateRunning {
		w.nothingOver()
	}
}

// restoredWholly checks that the subject is what it was or what it was to
// become, and that what was to be kept is.
func (w *world) restoredWholly() {
	w.t.Helper()
	m := w.get(subject)
	for _, s := range m.Snapshots {
		want := w.sums[s.Name]
		if s.Name == "kept" {
			want = w.sums["now"]
		}
		w.reads(s.Name, want)
	}
	if current := m.Snapshots[slices.IndexFunc(m.Snapshots, func(s api.Snapshot) bool { return s.ID == m.Snapshot })]; current.Name == "first" {
		w.reads("now", w.sums["first"])
	} else {
		w.reads("now", w.sums["now"])
	}
	w.nothingOver()
}

// nothingOver checks that the subject's folder holds the images that are needed
// and no others, and folders of the snapshots that there are.
func (w *world) nothingOver() {
	w.t.Helper()
	m := w.get(subject)
	needed, held := map[string]bool{}, []string{}
	note := func(file string) {
		layers, err := media.OwnLayers(m.Folder, file)
		if err != nil {
			w.t.Error(err)
		}
		for _, layer := range layers {
			needed[filepath.Base(layer.File)] = true
		}
	}
	for _, drive := range m.Spec.Drives {
		note(drive.File)
	}
	for _, s := range m.Snapshots {
		held = append(held, s.ID)
		for _, file := range s.Images {
			note(file)
		}
	}
	w.holdsOnly(filepath.Join(m.Folder, "disks"), slices.Collect(maps.Keys(needed)))
	w.holdsOnly(filepath.Join(m.Folder, "snapshots"), held)
	for _, part := range []string{"saved", "nvram", "tpm"} {
		if !exists(m.Folder, part) {
			w.t.Errorf("the folder has no %s", part)
		}
	}
}

func (w *world) take(name string, request api.TakeSnapshotRequest) error {
	request.Name = name
	return w.with(func(c *client.Client) error {
		task, err := c.TakeSnapshot(w.ctx, subject, request)
		return w.wait(c, task, err)
	})
}

func (w *world) restore(name string, request api.RestoreSnapshotRequest) error {
	return w.with(func(c *client.Client) error {
		task, err := c.RestoreSnapshot(w.ctx, subject, name, request)
		return w.wait(c, task, err)
	})
}

func (w *world) drop(name string) error {
	return w.with(func(c *client.Client) error {
		task, err := c.DeleteSnapshot(w.ctx, subject, name, api.DeleteSnapshotRequest{})
		return w.wait(c, task, err)
	})
}

// merging tells whether a task works on images in the background, or had to leave that to one.
func merging(task api.Task) bool {
	return task.Kind == "machine.stream" || task.Kind == "snapshot.merge" || task.Kind == "snapshot.delete" && task.State == api.TaskDone
}

// mergingNow tells whether the task with an ID does.
func (w *world) mergingNow(id string) bool {
	found := false
	w.must(w.with(func(c *client.Client) error {
		task, err := c.Task(context.WithoutCancel(w.ctx), id)
		found = strings.HasPrefix(task.Kind, "snapshot.merge") || task.Kind == "machine.stream"
		return err
	}))
	return found
}
