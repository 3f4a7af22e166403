package crash

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/test/harness"
)

// streamOperations draw in what the subject's disks stand on.
var streamOperations = []operation{
	{
		name: "stream", before: api.StateOff, after: api.StateOff, ready: (*world).standing,
		act:   func(w *world) error { return w.do(subject, (*client.Client).Stream) },
		check: (*world).streamed,
	},
	{
		name: "stream, running", before: api.StateRunning, after: api.StateRunning, same: true,
		ready: func(w *world) error {
			if err := errors.Join(w.standing(), w.do(subject, (*client.Client).Start)); err != nil {
				return err
			}
			w.servedPID = w.get(subject).Status.PID
			return nil
		},
		act:   func(w *world) error { return w.do(subject, (*client.Client).Stream) },
		check: (*world).streamed,
	},
}

// originals are images that the subject stands on: one that QEMU opens, and one that it
// is served.
var originals = []string{"original.qcow2", "original.vdi"}

// standing makes the subject anew, off, over two originals, and notes what it reads as.
func (w *world) standing() error {
	if err := w.remove(subject); err != nil {
		return err
	}
	var disks []api.DiskSource
	for _, name := range originals {
		path := filepath.Join(w.images, name)
		if err := w.original(path, 4<<20); err != nil {
			return err
		}
		disks = append(disks, api.DiskSource{Path: path})
	}
	if err := errors.Join(w.create(subject, disks...), w.scribble(7)); err != nil {
		return err
	}
	sum, err := w.sum(w.get(subject), nil)
	w.sums = map[string]string{"now": sum}
	return err
}

// original makes an image that holds something, unless it is there.
func (w *world) original(path string, size int64) error {
	if exists(path) {
		return nil
	}
	format := strings.TrimPrefix(filepath.Ext(path), ".")
	if _, err := (diskfile.Place{Anywhere: true}).Create(path, diskfile.Make{Format: format, Size: size * 2}); err != nil {
		return err
	}
	content := make([]byte, size)
	_, _ = rand.Read(content)
	img, err := (diskfile.Place{Anywhere: true}).Open(path, diskfile.OpenOptions{Format: format, Write: true})
	if err != nil {
		return err
	}
	_, err = img.(disk.Writer).WriteAt(content, size/2)
	return errors.Join(err, img.Close())
}

// ownAll tells whether a machine stands on its own images only.
func ownAll(m api.Machine) bool {
	return !slices.ContainsFunc(m.Spec.Drives, func(d api.Drive) bool { return d.Source != "" })
}

// streamed checks that the subject reads as it did, and that what was drawn in goes on being
// drawn in, by itself where a daemon was killed; then it needs the originals no more.
func (w *world) streamed() {
	w.t.Helper()
	if !strings.HasPrefix(w.killedAt, "stream.") && !ownAll(w.get(subject)) {
		if err := w.do(subject, (*client.Client).Stream); err != nil && !ownAll(w.get(subject)) {
			w.t.Errorf("stream again: %v", err)
		}
	}
	w.awaitSubject(func(m api.Machine) bool { return ownAll(m) && m.Status.Task == "" })
	for _, name := range originals {
		w.must(os.Rename(filepath.Join(w.images, name), filepath.Join(w.images, "gone."+name)))
	}
	w.opens()
	for _, name := range originals {
		w.must(os.Rename(filepath.Join(w.images, "gone."+name), filepath.Join(w.images, name)))
	}
}

// opens checks that the subject starts, and reads as it did. It runs then if it did.
func (w *world) opens() {
	w.t.Helper()
	ran := w.state() == api.StateRunning
	if ran {
		w.must(w.do(subject, (*client.Client).Stop))
	}
	w.reads("now", w.sums["now"])
	w.must(w.do(subject, (*client.Client).Start))
	w.must(w.do(subject, (*client.Client).Stop))
	w.reads("now", w.sums["now"])
	if ran {
		w.must(w.do(subject, (*client.Client).Start))
	}
}

// failures are why tasks have failed.
func (w *world) failures(c *client.Client) (why []string) {
	list, err := c.Tasks(w.ctx)
	if err != nil {
		return []string{err.Error()}
	}
	for _, task := range list.Tasks {
		if task.Error != nil {
			why = append(why, task.Kind+": "+task.Error.Error())
		}
	}
	return why
}

// awaitSubject waits until the subject is as it should be.
func (w *world) awaitSubject(is func(api.Machine) bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	c := w.Client()
	defer c.Close()
	m, err := c.Get(ctx, subject)
	w.must(err)
	if is(m) {
		return
	}
	for event, err := range c.Events(ctx, m.Revision, client.EventFilter{Machine: m.Spec.UUID}) {
		if err != nil {
			w.t.Fatalf("the subject did not become what it should, last it was %+v with %+v: %v; its tasks failed by %q", m.Status, m.Spec.Drives, err, w.failures(c))
		}
		if event.Machine != nil {
			if m = *event.Machine; is(m) {
				return
			}
		}
	}
}

// TestStreamCancelled cancels drawing in: the subject stands on what it stood on, also with
// the next daemon, until it is asked for again.
func TestStreamCancelled(t *testing.T) {
	program := needs(t)
	w := newWorld(t, program, still(t))
	w.must(w.standing())
	w.restart("wait:stream.drawn")
	ended := w.cancel(true, func(c *client.Client) (api.Task, error) { return c.Stream(w.ctx, subject) })
	if ended.State != api.TaskCancelled {
		t.Errorf("the task is %s: %v", ended.State, ended.Error)
	}
	w.restart("")
	w.must(w.set(subject, "description=changed")) // after which what has given way goes on
	w.sound()
	if m := w.get(subject); ownAll(m) || m.Status.Task != "" {
		t.Errorf("what was cancelled goes on: %+v", m.Status)
	}
	w.reads("now", w.sums["now"])
	w.must(w.do(subject, (*client.Client).Stream))
	w.streamed()
}

// TestStreamGivesWay asks for other things while disks are drawn in: they are done at once, and
// drawing in goes on after them.
func TestStreamGivesWay(t *testing.T) {
	program := needs(t)
	w := newWorld(t, program, still(t))
	w.must(w.standing())
	w.restart("wait:stream.drawn")
	began := func() {
		w.awaitSubject(func(m api.Machine) bool { return m.Status.Task != "" })
	}
	w.must(w.with(func(c *client.Client) error { _, err := c.Stream(w.ctx, subject); return err }))
	for _, step := range []func() error{
		func() error { return w.set(subject, "description=changed") },
		func() error { return w.do(subject, (*client.Client).Start) },
		func() error { return w.do(subject, (*client.Client).Save) },
		func() error { return w.do(subject, (*client.Client).Start) },
		func() error { return w.do(subject, (*client.Client).Stop) },
		func() error { return w.exportTo(subject, w.exportsDir()+"/", false) },
	} {
		w.must(step())
		if w.state() != api.StateSaved {
			began() // again
		}
	}
	w.restart("")
	w.awaitSubject(func(m api.Machine) bool { return ownAll(m) && m.Status.Task == "" })
	w.streamed()
}

// TestStreamGuestEnds ends the subject's process while its disks are drawn in: that goes on
// without it.
func TestStreamGuestEnds(t *testing.T) {
	program := needs(t)
	w := newWorld(t, program, still(t))
	w.must(w.remove(subject))
	path := filepath.Join(w.images, "large.vdi")
	w.must(w.original(path, 512<<20))
	w.must(errors.Join(w.create(subject, api.DiskSource{Path: path}), w.scribble(7)))
	sum, err := w.sum(w.get(subject), nil)
	w.must(err)
	w.sums = map[string]string{"now": sum}
	w.must(w.do(subject, (*client.Client).Start))
	c := w.Client()
	defer c.Close()
	begun, err := c.Stream(w.ctx, subject)
	w.must(err)
	killed := false
	ended, err := c.WaitTask(w.ctx, begun, func(task api.Task) {
		if task.Progress.Done > 0 && !killed {
			killed = true
			w.must(harness.Kill(w.get(subject).Status.PID))
		}
	})
	if !killed || err == nil && client.TaskError(ended) == nil {
		t.Logf("it was done before the process could be ended: %v, %+v", err, ended)
	}
	w.awaitSubject(func(m api.Machine) bool {
		return m.Status.State == api.StateOff && ownAll(m) && m.Status.Task == ""
	})
	w.must(os.Remove(path))
	w.opens()
}
