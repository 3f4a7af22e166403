package crash

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/diskfile"
)

// Names of operations that other tests know as well.
const (
	movedFar  = "move, running, to another file system"
	movedLive = "move a medium, running"
)

// placeOperations move what machines and media are to other places.
var placeOperations = []operation{
	{
		name: "move", before: api.StateOff, after: api.StateOff,
		ready: func(w *world) error { return w.placed(filepath.Join(w.Dir, "elsewhere")) },
		act:   func(w *world) error { return w.moveTo(filepath.Join(w.Dir, "elsewhere")) },
		check: func(w *world) { w.movedWholly(filepath.Join(w.Dir, "elsewhere")) },
	},
	{
		name: "move, to another file system", before: api.StateOff, after: api.StateOff,
		ready: func(w *world) error { return w.placed(w.far()) },
		act:   func(w *world) error { return w.moveTo(w.far()) },
		check: func(w *world) { w.movedWholly(w.far()) },
	},
	{
		name: "move, running", before: api.StateRunning, between: api.StateSaved, after: api.StateRunning, final: true, resumes: true,
		ready: func(w *world) error { return w.placedRunning(filepath.Join(w.Dir, "elsewhere")) },
		act:   func(w *world) error { return w.moveTo(filepath.Join(w.Dir, "elsewhere")) },
		check: func(w *world) { w.movedRunning(filepath.Join(w.Dir, "elsewhere")) },
	},
	{
		name: movedFar, before: api.StateRunning, between: api.StateSaved, after: api.StateRunning, final: true, resumes: true,
		ready: func(w *world) error { return w.placedRunning(w.far(), "tpm.version=2.0") },
		act:   func(w *world) error { return w.moveTo(w.far()) },
		check: func(w *world) { w.movedRunning(w.far()) },
	},
	{
		name: "register", before: absent, after: api.StateOff,
		ready: func(w *world) error {
			elsewhere := filepath.Join(w.Dir, "elsewhere")
			return errors.Join(w.placed(elsewhere), w.moveTo(elsewhere), w.unregister())
		},
		act: func(w *world) error {
			return w.with(func(c *client.Client) error {
				_, err := c.Register(w.ctx, api.RegisterRequest{Folder: filepath.Join(w.Dir, "elsewhere", subject)})
				return err
			})
		},
		check: func(w *world) {
			if w.state() != absent {
				w.setWholly() // which is refused when machine.json is not the machine's
			}
		},
	},
	{
		name: "move a medium", before: absent, after: absent,
		ready: (*world).mediumAdded,
		act:   (*world).moveMedium,
		check: (*world).mediumSomewhere,
	},
	{
		name: "compact a medium", before: api.StateOff, after: api.StateOff, ready: (*world).wasteful,
		act:   (*world).compactMedium,
		check: (*world).compactedWholly,
	},
	{
		name: "move a medium, attached", before: api.StateOff, after: api.StateOff,
		ready: func(w *world) error { return w.onMedium(api.StateOff) },
		act: func(w *world) error {
			from, to := w.livePlaces()
			return w.moveLive(from, to)
		},
		check: (*world).diskSomewhere,
	},
	{
		name: movedLive, before: api.StateRunning, after: api.StateRunning, same: true,
		ready: func(w *world) error { return w.onMedium(api.StateRunning) },
		act: func(w *world) error {
			from, to := w.livePlaces()
			return w.moveLive(from, to)
		},
		check: (*world).diskSomewhere,
	},
}

// livePlaces are where the disk of a running subject is, and where it is to go.
func (w *world) livePlaces() (from, to string) {
	return filepath.Join(w.images, "live.qcow2"), filepath.Join(w.images, "live-moved.qcow2")
}

func (w *world) moveLive(from, to string) error {
	return w.with(func(c *client.Client) error {
		_, err := c.MoveMedium(w.ctx, from, api.MoveMediumRequest{Path: to})
		return err
	})
}

// onMedium has the subject, off or running, on a disk that it writes where it lies, at the first place.
func (w *world) onMedium(state api.State) error {
	from, to := w.livePlaces()
	if w.state() == state {
		if drives := w.get(subject).Spec.Drives; len(drives) == 1 && drives[0].Source == to {
			return w.moveLive(to, from)
		} else if len(drives) == 1 && drives[0].Source == from {
			return nil
		}
	}
	if err := w.remove(subject); err != nil {
		return err
	}
	_, _ = os.Remove(from), os.Remove(to)
	if _, err := (diskfile.Place{}).Create(from, diskfile.Make{Format: "qcow2", Size: 8 << 20}); err != nil {
		return err
	}
	if err := w.create(subject, api.DiskSource{Path: from, Mode: api.Attach}); err != nil || state == api.StateOff {
		return err
	}
	return w.do(subject, (*client.Client).Start)
}

// diskSomewhere checks that the disk of the subject is where its spec says, and nowhere
// else, and that one that was not moved can be.
func (w *world) diskSomewhere() {
	from, to := w.livePlaces()
	at := w.get(subject).Spec.Drives[0].Source
	if at != from && at != to || exists(from) != (at == from) || exists(to) != (at == to) {
		w.t.Errorf("the disk is at %q; %s is there: %t, %s: %t", at, from, exists(from), to, exists(to))
	}
	if at == from {
		if err := w.moveLive(from, to); err != nil {
			w.t.Errorf("move it again: %v", err)
		}
	}
}

// wastefulDisk is a disk whose file holds more than it needs.
func (w *world) wastefulDisk() string { return filepath.Join(w.images, "wasteful.qcow2") }

// wasteful makes the subject anew with a disk of which most that its file holds is zeros.
func (w *world) wasteful() error {
	path := w.wastefulDisk()
	if err := w.remove(subject); err != nil {
		return err
	}
	_ = os.Remove(path)
	if _, err := (diskfile.Place{}).Create(path, diskfile.Make{Format: "qcow2", Size: 8 << 20}); err != nil {
		return err
	}
	img, err := (diskfile.Place{}).Open(path, diskfile.OpenOptions{Write: true})
	if err != nil {
		return err
	}
	content := make([]byte, 4<<20)
	copy(content[3<<20:], "kept")
	_, err = img.(disk.Writer).WriteAt(content, 0)
	return errors.Join(err, img.Close(), w.create(subject, api.DiskSource{Path: path, Mode: api.Attach}))
}

func (w *world) compactMedium() error {
	return w.with(func(c *client.Client) error {
		task, err := c.CompactMedium(w.ctx, w.wastefulDisk())
		return w.wait(c, task, err)
	})
}

// compactedWholly checks that the disk reads as it did, and can be compacted.
func (w *world) compactedWholly() {
	img, err := (diskfile.Place{}).Open(w.wastefulDisk(), diskfile.OpenOptions{})
	w.must(err)
	content := make([]byte, 4<<20)
	_, err = img.ReadAt(content, 0)
	if w.must(errors.Join(err, img.Close())); string(content[3<<20:3<<20+4]) != "kept" || len(bytes.Trim(content, "\x00")) != 4 {
		w.t.Error("the disk does not read as it did")
	}
	if err := w.compactMedium(); err != nil {
		w.t.Errorf("compact it again: %v", err)
	}
	if info, err := os.Stat(w.wastefulDisk()); err != nil || info.Size() > 1<<20 {
		w.t.Errorf("its file has %d bytes, %v", info.Size(), err)
	}
}

// far is a directory on another file system than the daemon's.
func (w *world) far() string {
	if w.farDir == "" {
		dir, err := os.MkdirTemp("/dev/shm", "panal-crash-")
		w.must(err)
		w.t.Cleanup(func() { _ = os.RemoveAll(dir) })
		w.farDir = dir
	}
	return w.farDir
}

// placed makes the subject anew where machines are, and an empty directory that it
// can go to.
func (w *world) placed(dir string) error {
	if err := errors.Join(w.remove(subject), os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	return w.create(subject, api.DiskSource{Path: w.image()})
}

// placedRunning makes the subject anew, with snapshots, where machines are, lets it run, and makes an empty directory that it can
// go to.
func (w *world) placedRunning(dir string, values ...string) error {
	if err := errors.Join(w.remove(subject), os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	if err := w.branched(); err != nil {
		return err
	}
	if len(values) > 0 {
		if err := w.set(subject, values...); err != nil {
			return err
		}
	}
	return w.do(subject, (*client.Client).Start)
}

// movedRunning is movedWholly for a machine with snapshots that goes on, whose images are merged then as if it had not moved.
func (w *world) movedRunning(dir string) {
	w.readable()
	w.movedWholly(dir)
	w.must(w.drop("third"))
	w.readable()
	w.nothingOver()
}

func (w *world) moveTo(dir string) error {
	return w.do(subject, func(c *client.Client, ctx context.Context, ref string) (api.Task, error) {
		return c.Move(ctx, ref, api.MoveRequest{Directory: dir})
	})
}

func (w *world) unregister() error {
	return w.do(subject, func(c *client.Client, ctx context.Context, ref string) (api.Task, error) {
		return c.Delete(ctx, ref, api.DeleteRequest{KeepFiles: true})
	})
}

// movedWholly checks that the folder is in one of the two places and that nothing is in the
// other, and that a machine that was not moved can be.
func (w *world) movedWholly(dir string) {
	folder := w.get(subject).Folder
	moved := filepath.Dir(folder) == dir
	entries, err := os.ReadDir(dir)
	w.must(err)
	if len(entries) > 1 || (len(entries) == 1) != moved {
		w.t.Errorf("the machine is in %s, and %s holds %v", folder, dir, entries)
	}
	if moved {
		return
	}
	if err := w.moveTo(dir); err != nil {
		w.t.Errorf("move it again: %v", err)
	}
}

// mediumPlaces are where the medium is, and where it is to go.
func (w *world) mediumPlaces() (from, to string) {
	return filepath.Join(w.images, "medium.vdi"), filepath.Join(w.images, "moved.vdi")
}

// mediumAdded makes an image anew and makes it known.
func (w *world) mediumAdded() error {
	from, to := w.mediumPlaces()
	return errors.Join(w.remove(subject), w.with(func(c *client.Client) error {
		known, err := c.Media(w.ctx)
		for _, m := range known.Media {
			if m.Location == from || m.Location == to {
				_, removing := c.RemoveMedium(w.ctx, m.UUID, api.RemoveMediumRequest{DeleteFile: true})
				err = errors.Join(err, removing)
			}
		}
		if err != nil {
			return err
		}
		if _, err := (diskfile.Place{}).Create(from, diskfile.Make{Format: "vdi", Size: 8 << 20}); err != nil {
			return err
		}
		_, err = c.AddMedium(w.ctx, api.AddMediumRequest{Path: from})
		return err
	}))
}

func (w *world) moveMedium() error {
	from, to := w.mediumPlaces()
	return w.with(func(c *client.Client) error {
		_, err := c.MoveMedium(w.ctx, from, api.MoveMediumRequest{Path: to})
		return err
	})
}

// mediumSomewhere checks that the image is where its record says, and nowhere
// else, and that one that was not moved can be.
func (w *world) mediumSomewhere() {
	from, to := w.mediumPlaces()
	at := ""
	w.must(w.with(func(c *client.Client) error {
		known, err := c.Media(w.ctx)
		for _, m := range known.Media {
			if m.Location == from || m.Location == to {
				at += m.Location
			}
		}
		return err
	}))
	if at != from && at != to || exists(from) != (at == from) || exists(to) != (at == to) {
		w.t.Errorf("the medium is known at %q; %s is there: %t, %s: %t", at, from, exists(from), to, exists(to))
	}
	if at == from {
		if err := w.moveMedium(); err != nil {
			w.t.Errorf("move it again: %v", err)
		}
	}
}
