package crash

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// driven brings the subject up with a controller that takes drives while it runs, and with
// as many drives beside its own as there are names.
func (w *world) driven(state api.State, drives ...string) error {
	if err := w.remove(subject); err != nil {
		return err
	}
	if err := w.create(subject); err != nil {
		return err
	}
	if err := w.set(subject, "controllers.scsi0=new", "controllers.scsi0.type=virtio-scsi"); err != nil {
		return err
	}
	for _, name := range drives {
		if err := w.attach(name); err != nil {
			return err
		}
	}
	if state == api.StateOff {
		return nil
	}
	return w.do(subject, (*client.Client).Start)
}

// attach attaches a drive with an image of its own.
func (w *world) attach(name string) error {
	return w.do(subject, func(c *client.Client, ctx context.Context, ref string) (api.Task, error) {
		return c.Attach(ctx, ref, api.AttachRequest{Drive: api.Drive{Name: name, Controller: "scsi0", Kind: api.Disk, Source: w.image()}})
	})
}

// detach takes a drive out again.
func (w *world) detach(name string) error {
	return w.do(subject, func(c *client.Client, ctx context.Context, ref string) (api.Task, error) {
		return c.Detach(ctx, ref, api.DetachRequest{Drive: name})
	})
}

// reattachable checks that the drive is the machine's with an image, or not at all, and that
// what was not done can be done: QEMU must have nothing that the machine has not.
func (w *world) reattachable() {
	has := false
	for _, drive := range w.get(subject).Spec.Drives {
		has = has || drive.Name == "extra"
	}
	image := filepath.Join(w.get(subject).Folder, "disks", "extra.qcow2")
	if has && !exists(image) {
		w.t.Error("the drive has no image")
	}
	if state := w.state(); state != api.StateOff && state != api.StateRunning {
		return
	}
	if has {
		if err := w.detach("extra"); err != nil {
			w.t.Errorf("detach what was attached: %v", err)
		}
	}
	if err := os.RemoveAll(image); err != nil {
		w.t.Error(err)
	}
	if err := w.attach("extra"); err != nil {
		w.t.Errorf("attach again: %v", err)
	}
}

// disc makes an image that is a disc.
func (w *world) disc(name string) string {
	path := filepath.Join(w.images, name)
	if !exists(path) {
		w.must(os.WriteFile(path, make([]byte, 1<<20), 0o644))
	}
	return path
}

// withDisc runs the subject with an optical drive and what is to be in it.
func (w *world) withDisc(source string) error {
	if w.state() == api.StateRunning && len(w.get(subject).Spec.Drives) == 1 {
		if source == "" {
			return w.eject()
		}
		return w.insert()
	}
	if err := errors.Join(w.remove(subject), w.create(subject)); err != nil {
		return err
	}
	return errors.Join(w.do(subject, func(c *client.Client, ctx context.Context, ref string) (api.Task, error) {
		return c.Attach(ctx, ref, api.AttachRequest{Drive: api.Drive{Name: "cd", Kind: api.Optical, Source: source, Mode: api.ReadOnly}})
	}), w.do(subject, (*client.Client).Start))
}

// insert does not wait for the guest, which has the drive locked while it looks at a medium.
func (w *world) insert() error {
	return w.do(subject, func(c *client.Client, ctx context.Context, ref string) (api.Task, error) {
		return c.Insert(ctx, ref, api.InsertRequest{Drive: "cd", Source: w.disc("disc.iso"), Force: true})
	})
}

func (w *world) eject() error {
	return w.do(subject, func(c *client.Client, ctx context.Context, ref string) (api.Task, error) {
		return c.Eject(ctx, ref, api.EjectRequest{Drive: "cd", Force: true})
	})
}

// discSomewhere checks that QEMU has in the drive what the machine has: what is there comes
// out and goes in again.
func (w *world) discSomewhere() {
	source := w.get(subject).Spec.Drives[0].Source
	if source != "" && source != w.disc("disc.iso") {
		w.t.Errorf("the drive holds %q", source)
	}
	if err := errors.Join(w.eject(), w.insert(), w.eject()); err != nil {
		w.t.Error(err)
	}
}
