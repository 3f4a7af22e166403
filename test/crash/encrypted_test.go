package crash

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/luks"
	"github.com/panalvm/panal/internal/diskfile"
)

// encryptedOperations are those on what is encrypted at rest.
var encryptedOperations = []operation{
	{
		name: "create, encrypted", before: absent, after: api.StateOff,
		ready: func(w *world) error { return w.remove(subject) },
		act:   (*world).createEncrypted,
		check: (*world).sourceKept,
	},
	{
		name: "change a passphrase, running", before: api.StateRunning, after: api.StateRunning, same: true,
		ready: (*world).runningEncrypted,
		act:   (*world).rekeyRunning,
		check: (*world).opensStill,
	},
	{
		name: "copy a medium, encrypted", before: absent, after: absent,
		ready: func(w *world) error {
			_, to := w.copyPlaces()
			err := w.with(func(c *client.Client) error {
				_, err := c.RemoveMedium(w.ctx, to, api.RemoveMediumRequest{DeleteFile: true})
				return err
			})
			if client.KindOf(err) == api.KindNotFound {
				err = nil
			}
			return errors.Join(err, w.remove(subject))
		},
		act:   (*world).copyEncrypted,
		check: (*world).copiedWholly,
	},
}

// The two passphrases that the subject's disks have in turn.
var passphrases = [2]string{"tick", "tock"}

func (w *world) createEncrypted() error {
	return w.with(func(c *client.Client) error {
		task, err := c.Create(w.ctx, api.CreateRequest{
			Spec: w.spec(subject), Disks: []api.DiskSource{{Path: w.image()}}, Encrypt: true, Passphrase: passphrases[0],
		})
		return w.wait(c, task, err)
	})
}

// runningEncrypted brings the subject to run on an encrypted disk with a snapshot, which is two images.
func (w *world) runningEncrypted() error {
	if w.state() == api.StateRunning && len(w.sealed()) == 2 {
		return nil
	}
	return errors.Join(w.remove(subject), w.createEncrypted(), w.do(subject, (*client.Client).Start), w.with(func(c *client.Client) error {
		task, err := c.TakeSnapshot(w.ctx, subject, api.TakeSnapshotRequest{Name: "one"})
		return w.wait(c, task, err)
	}))
}

// rekeyRunning changes the subject's passphrase, if it has one: in the random walk it may be any machine, or none.
func (w *world) rekeyRunning() error {
	m, err := w.find(subject)
	if err != nil {
		return err
	}
	if len(m.Spec.Drives) == 0 || !m.Spec.Drives[0].Encrypted {
		return errors.New("the subject is not encrypted")
	}
	return w.rekey(w.opening())
}

// sealed are the subject's encrypted images: in the random walk there may be others beside them.
func (w *world) sealed() []string {
	images, err := filepath.Glob(filepath.Join(w.get(subject).Folder, "disks", "*.qcow2"))
	w.must(err)
	return slices.DeleteFunc(images, func(path string) bool { return len(w.headerOf(path)) == 0 })
}

// headerOf is what an image has its key in; empty for one that is not encrypted.
func (w *world) headerOf(path string) []byte {
	w.t.Helper()
	img, err := (diskfile.Place{}).Open(path, diskfile.OpenOptions{Alone: true, Unlocked: true})
	w.must(err)
	defer img.Close()
	header, err := disk.EncryptionHeader(img)
	w.must(err)
	return header
}

// openedBy tells which of the passphrases open an image.
func (w *world) openedBy(path string) (by []string) {
	w.t.Helper()
	header := w.headerOf(path)
	if known, ok := w.known[string(header)]; ok {
		return known
	}
	for _, text := range passphrases {
		switch _, err := luks.MasterKey(header, []byte(text)); {
		case err == nil:
			by = append(by, text)
		case !errors.Is(err, disk.ErrWrongPassphrase):
			w.t.Errorf("%s: %v", path, err)
		}
	}
	w.known = map[string][]string{string(header): by} // to try one takes half a second, and most are equal
	return by
}

// opening is a passphrase that opens all of the subject's images; empty if none does.
func (w *world) opening() string {
	common := passphrases[:]
	for _, path := range w.sealed() {
		if by := w.openedBy(path); len(by) == 1 {
			if len(common) == 1 && common[0] != by[0] {
				return ""
			}
			common = by
		}
	}
	return common[0]
}

// rekey changes a passphrase into the other one.
func (w *world) rekey(from string) error {
	to := passphrases[0]
	if from == to {
		to = passphrases[1]
	}
	return w.with(func(c *client.Client) error {
		_, err := c.ChangePassphrase(w.ctx, w.sealed()[0], api.MediumPassphraseRequest{Passphrase: from, Add: to, Remove: true})
		return err
	})
}

// opensStill checks that one passphrase opens all images, that a change can be done again, and that QEMU
// opens what comes above them then.
func (w *world) opensStill() {
	from := w.opening()
	if from == "" {
		w.t.Error("no passphrase opens all images")
		return
	}
	if err := w.rekey(from); err != nil {
		w.t.Errorf("change the passphrase again: %v", err)
	}
	for _, path := range w.sealed() {
		if by := w.openedBy(path); len(by) != 1 || by[0] == from {
			w.t.Errorf("%s opens by %q", path, by)
		}
	}
	err := w.with(func(c *client.Client) error {
		task, err := c.TakeSnapshot(w.ctx, subject, api.TakeSnapshotRequest{Name: "two"})
		if err := w.wait(c, task, err); err != nil {
			return err
		}
		task, err = c.DeleteSnapshot(w.ctx, subject, "two", api.DeleteSnapshotRequest{})
		return w.wait(c, task, err)
	})
	if err != nil {
		w.t.Errorf("a snapshot with the new passphrase: %v", err)
	}
}

// copyPlaces are what is copied, and where to.
func (w *world) copyPlaces() (from, to string) {
	return w.image(), filepath.Join(w.images, "secret.qcow2")
}

func (w *world) copyEncrypted() error {
	from, to := w.copyPlaces()
	return w.with(func(c *client.Client) error {
		task, err := c.MakeMedium(w.ctx, api.MakeMediumRequest{Source: from, Path: to, Encrypt: true, Passphrase: passphrases[0]})
		return w.wait(c, task, err)
	})
}

// copiedWholly checks that there is a copy that opens, and is known, or none.
func (w *world) copiedWholly() {
	_, to := w.copyPlaces()
	var known bool
	w.must(w.with(func(c *client.Client) error {
		_, err := c.Medium(w.ctx, to)
		if known = err == nil; client.KindOf(err) == api.KindNotFound {
			err = nil
		}
		return err
	}))
	if known != exists(to) {
		w.t.Errorf("the copy is known: %t, and there: %t", known, exists(to))
	}
	if known && len(w.openedBy(to)) != 1 {
		w.t.Error("the copy does not open")
	}
	if parts, err := filepath.Glob(filepath.Join(w.images, "*.part*")); err != nil || len(parts) > 0 {
		w.t.Errorf("left: %q, %v", parts, err)
	}
	if entries, err := os.ReadDir(w.images); err != nil || len(entries) > 3 {
		w.t.Errorf("left: %v, %v", entries, err)
	}
}
