package media

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/luks"
)

// UnlockHelp is what to do about an encrypted image whose passphrase nobody gave.
const UnlockHelp = "give it with --passphrase-file or --key-command, by `panal unlock`, or name passphraseFile or keyCommand in the drive"

// Seal is how a new image is encrypted.
type Seal struct {
	Header []byte    // LUKS, with the passphrases that open it
	Keys   disk.Keys // opens the header
}

// NewSeal encrypts by a new key, which the passphrase opens.
func NewSeal(passphrase []byte) (*Seal, error) {
	header, err := luks.New(passphrase, 0)
	if err != nil {
		return nil, err
	}
	return &Seal{Header: header, Keys: luks.NewKeys(passphrase)}, nil
}

// SealOf encrypts as an image is, for copies of it; nil where it is not.
func SealOf(ref Ref, keys disk.Keys) (*Seal, error) {
	header, err := Header(ref)
	if err != nil || header == nil {
		return nil, err
	}
	return &Seal{Header: header, Keys: keys}, nil
}

// Header is the LUKS header of an image; nil if it is not encrypted.
func Header(ref Ref) (header []byte, err error) {
	img, _, err := OpenImage(ref, OpenOptions{Alone: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	return disk.EncryptionHeader(img)
}

// Unlock checks that keys open an encrypted image; of one that is not encrypted they open
// everything.
func Unlock(ref Ref, keys disk.Keys) error {
	header, err := Header(ref)
	if err != nil || header == nil {
		return err
	}
	if _, err := keys.Unlock(header); err != nil {
		return explain(ref.Path, err)
	}
	return nil
}

// Passphrases is how many passphrases open an image; 0 if it is not encrypted.
func Passphrases(ref Ref) (int, error) {
	header, err := Header(ref)
	if err != nil || header == nil {
		return 0, err
	}
	return luks.Passphrases(header)
}

// Rekeying is a change of the passphrases that open images.
type Rekeying struct {
	Given  []byte // one that opens them
	Add    []byte // one that is to open them too; nil for none
	Remove []byte // one that is not to open them any more; nil for none
	// Step is called with what was done: "image" after each image that was changed, "added" when all have the new
	// passphrase and none has lost the old one. Its error ends the change.
	Step func(done string) error
}

// The steps of a change of passphrases.
const (
	RekeyedImage = "image"
	RekeyedAdded = "added"
)

// Rekey changes the passphrases of images that have one header, also while a machine runs on them. At every moment
// each image opens with a passphrase that stays: the new one comes into all before the old one goes from any. Doing
// it again after it was cut off completes it.
func Rekey(refs []Ref, change Rekeying) error {
	if change.Step == nil {
		change.Step = func(string) error { return nil }
	}
	if change.Add != nil {
		if err := change.add(refs); err != nil {
			return err
		}
	}
	if change.Remove == nil {
		return nil
	}
	return change.remove(refs)
}

func (c Rekeying) add(refs []Ref) error {
	if err := c.reheader(refs, func(header []byte) ([]byte, error) {
		if _, err := luks.MasterKey(header, c.Add); err == nil {
			return header, nil // of an attempt that was cut off
		}
		return luks.Add(header, c.Given, c.Add, 0)
	}); err != nil {
		return err
	}
	return c.Step(RekeyedAdded)
}

func (c Rekeying) remove(refs []Ref) error {
	var found bool
	var wrong error
	err := c.reheader(refs, func(header []byte) ([]byte, error) {
		left, err := luks.Remove(header, c.Remove)
		if errors.Is(err, disk.ErrWrongPassphrase) {
			wrong = err
			return header, nil // an attempt that was cut off may have taken it out of this one
		}
		found = found || err == nil
		return left, err
	})
	if err == nil && !found && c.Add == nil {
		err = explain(refs[0].Path, wrong)
	}
	return err
}

// reheader changes the one header of several images.
func (c Rekeying) reheader(refs []Ref, change func([]byte) ([]byte, error)) error {
	known := map[string][]byte{} // by what they were: random salts make each change another one
	for _, ref := range refs {
		header, err := Header(ref)
		if err != nil {
			return err
		}
		changed, done := known[string(header)]
		if !done {
			if changed, err = change(header); err != nil {
				return explain(ref.Path, err)
			}
			known[string(header)] = changed
		}
		if bytes.Equal(changed, header) {
			continue
		}
		if err := setHeader(ref, changed); err != nil {
			return fmt.Errorf("image %s: %w", ref.Path, err)
		}
		if err := c.Step(RekeyedImage); err != nil {
			return err
		}
	}
	return nil
}

// setHeader writes a header. QEMU reads it when it opens an image, and never writes it.
func setHeader(ref Ref, header []byte) error {
	img, _, err := OpenImage(ref, OpenOptions{Write: true, InUse: true, Alone: true})
	if err != nil {
		return err
	}
	e, ok := img.(disk.Encrypted)
	if !ok {
		return errors.Join(errors.ErrUnsupported, img.Close())
	}
	return errors.Join(e.SetEncryptionHeader(header), img.Close())
}
