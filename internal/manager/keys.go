package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/luks"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/keycommand"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
)

// keyring holds the passphrases that people gave: in memory, and nowhere else.
type keyring struct {
	mu    sync.Mutex // guards given
	given map[string]map[string]*passphrase
}

// passphrase is one with what it has opened.
type passphrase struct {
	text []byte
	keys *luks.Keys
}

func newPassphrase(text []byte) *passphrase { return &passphrase{text, luks.NewKeys(text)} }

// of is the passphrase of a machine's drive: that of the drive, or else of all.
func (k *keyring) of(uuid, drive string) *passphrase {
	k.mu.Lock()
	defer k.mu.Unlock()
	if own := k.given[uuid][drive]; own != nil {
		return own
	}
	return k.given[uuid][""]
}

// give keeps a passphrase for a drive of a machine, or for all where drive is empty.
func (k *keyring) give(uuid, drive string, p *passphrase) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.given == nil {
		k.given = map[string]map[string]*passphrase{}
	}
	if k.given[uuid] == nil {
		k.given[uuid] = map[string]*passphrase{}
	}
	if drive == "" {
		clear(k.given[uuid]) // of single drives: this one is for them too
	}
	k.given[uuid][drive] = p
}

// forget drops what was given for a machine.
func (k *keyring) forget(uuid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.given, uuid)
}

// driveKeys opens the images of a machine's drive, by what was given for it, else by the file or
// the command that it names. These are asked only when something encrypted is met.
type driveKeys struct {
	m     *Manager
	uuid  string
	drive api.Drive
}

func (m *Manager) driveKeys(uuid string, drive api.Drive) disk.Keys {
	return &driveKeys{m, uuid, drive}
}

// keysFor opens the images of a machine's drives.
func (m *Manager) keysFor(uuid string) func(api.Drive) disk.Keys {
	return func(drive api.Drive) disk.Keys { return m.driveKeys(uuid, drive) }
}

// Unlock finds the master key of a header.
func (k *driveKeys) Unlock(header []byte) (disk.Cipher, error) {
	p, err := k.m.passphraseOf(k.uuid, k.drive)
	if err != nil {
		return nil, err
	}
	return p.keys.Unlock(header)
}

// passphraseOf is the passphrase of a drive; disk.ErrLocked where nobody gave one.
func (m *Manager) passphraseOf(uuid string, drive api.Drive) (*passphrase, error) {
	if given := m.keys.of(uuid, drive.Name); given != nil {
		return given, nil
	}
	if object, err := m.inv.Get(m.base, uuid); err == nil {
		// A drive of a snapshot is opened as the machine's is.
		if now := driveNamed(object.Value.Spec.Drives, drive.Name); now != nil {
			drive.PassphraseFile, drive.KeyCommand = now.PassphraseFile, now.KeyCommand
		}
	}
	var text []byte
	var err error
	switch {
	case drive.PassphraseFile != "":
		text, err = readPassphrase(drive.PassphraseFile)
	case drive.KeyCommand != "":
		text, err = keycommand.Run(m.base, drive.KeyCommand, keycommand.Options{Within: keycommand.Within, Apart: true})
	default:
		return nil, disk.ErrLocked
	}
	if err != nil {
		return nil, problem.New(api.KindUnreadable, "", "the passphrase of drive %s: %s", drive.Name, err)
	}
	return newPassphrase(text), nil
}

// readPassphrase reads the first line of a file.
func readPassphrase(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, luks.MaxPassphrase+2))
	if err != nil {
		return nil, err
	}
	return keycommand.FirstLine(text, path)
}

// topOf is the image of a drive that is opened first, if it has any.
func topOf(dir folder.Folder, drive api.Drive) (media.Ref, bool) {
	stack := media.StackOf(drive, ownImage(dir, drive))
	if len(stack) == 0 {
		return media.Ref{}, false
	}
	return stack[0], true
}

// unlocked collects the passphrases of a machine's encrypted drives, and checks them.
func (m *Manager) unlocked(uuid string, dir folder.Folder, drives []api.Drive) (map[string][]byte, error) {
	found := map[string][]byte{}
	for _, drive := range drives {
		ref, there := topOf(dir, drive)
		if !drive.Encrypted || !there {
			continue
		}
		p, err := m.passphraseOf(uuid, drive)
		if err == nil {
			err = media.Unlock(ref, p.keys)
		}
		if err != nil {
			return nil, lockedDrive(drive.Name, err)
		}
		found[drive.Name] = p.text
	}
	return found, nil
}

// lockedDrive says that a drive cannot be opened.
func lockedDrive(drive string, err error) error {
	if errors.Is(err, disk.ErrLocked) {
		return problem.New(api.KindLocked, media.UnlockHelp, "drive %s is encrypted, and nobody gave its passphrase", drive)
	}
	return fmt.Errorf("drive %s: %w", drive, err)
}

// Unlock keeps a passphrase for a machine's encrypted drives.
func (m *Manager) Unlock(ctx context.Context, ref string, request api.UnlockRequest) (api.Machine, error) {
	object, err := m.inv.Find(ctx, ref)
	if err != nil {
		return api.Machine{}, err
	}
	spec, dir := object.Value.Spec, m.folderOf(object)
	given := newPassphrase([]byte(request.Passphrase))
	if request.Drive != "" && driveNamed(spec.Drives, request.Drive) == nil {
		return api.Machine{}, noDrive(spec, request.Drive)
	}
	opened := false
	for _, drive := range spec.Drives {
		top, there := topOf(dir, drive)
		if !drive.Encrypted || !there || request.Drive != "" && drive.Name != request.Drive {
			continue
		}
		if err := media.Unlock(top, given.keys); err != nil {
			return api.Machine{}, fmt.Errorf("unlock %s: drive %s: %w", spec.Name, drive.Name, err)
		}
		opened = true
	}
	if !opened {
		return api.Machine{}, problem.New(api.KindWrongState, "", "unlock %s: nothing of it is encrypted", spec.Name)
	}
	m.keys.give(object.Key, request.Drive, given)
	if object.Value.Merging {
		m.mergeLater(object.Key) // which may have waited for it
	}
	return inventory.AsMachine(object), nil
}

// Lock forgets the passphrases of a machine's drives.
func (m *Manager) Lock(ctx context.Context, ref string) (api.Machine, error) {
	object, err := m.inv.Find(ctx, ref)
	if err != nil {
		return api.Machine{}, err
	}
	m.keys.forget(object.Key)
	return inventory.AsMachine(object), nil
}

// encryptAll has all images encrypted that are made for a new machine's disks.
func encryptAll(spec *api.Spec) error {
	for i := range spec.Drives {
		drive := &spec.Drives[i]
		switch {
		case drive.Kind != api.Disk || drive.Encrypted:
		case hasImage(*drive) || drive.Mode == api.Own && drive.Source != "":
			return problem.New(api.KindUnsupported, "`panal medium copy --encrypt` makes an encrypted copy",
				"drive %s: image %s is not encrypted, and used as it is", drive.Name, drive.Source)
		default:
			drive.Encrypted = true
		}
	}
	return nil
}

// takeKey checks the passphrase of a request, empty for none, for a drive that is to come to a machine, or
// for all of them; then keeps it. Images that are to be made encrypted need one.
func (m *Manager) takeKey(spec api.Spec, name, text string) error {
	given, useful := newPassphrase([]byte(text)), false
	for _, drive := range spec.Drives {
		if !drive.Encrypted || name != "" && drive.Name != name {
			continue
		}
		if n, err := passphrasesOf(drive); err != nil {
			return fmt.Errorf("drive %s: %w", drive.Name, err)
		} else if n > 0 && text != "" {
			err = media.Unlock(media.RefOf(drive), given.keys)
			if err != nil {
				return fmt.Errorf("drive %s: %w", drive.Name, err)
			}
		} else if n == 0 && text == "" {
			if _, err := m.passphraseOf(spec.UUID, drive); err != nil {
				return lockedDrive(drive.Name, err)
			}
		}
		useful = true
	}
	switch {
	case text == "":
		return nil
	case !useful:
		return problem.New(api.KindInvalid, "add --encrypt", "a passphrase was given, and no disk is encrypted")
	case len(text) > luks.MaxPassphrase:
		return problem.New(api.KindInvalid, "", "the passphrase has %d bytes; %d are the most", len(text), luks.MaxPassphrase)
	}
	m.keys.give(spec.UUID, name, given)
	return nil
}

// passphrasesOf is how many passphrases open what a drive is made from.
func passphrasesOf(drive api.Drive) (int, error) {
	if drive.Source == "" {
		return 0, nil
	}
	return media.Passphrases(media.RefOf(drive))
}

// headerFor makes the LUKS header of an image that is made for a drive, nil where it is not to
// be encrypted.
func (m *Manager) headerFor(uuid string, drive api.Drive) ([]byte, error) {
	if !drive.Encrypted {
		return nil, nil
	}
	if n, err := passphrasesOf(drive); err != nil || n > 0 {
		return nil, err // what stands on an encrypted image has its key
	}
	p, err := m.passphraseOf(uuid, drive)
	if err != nil {
		return nil, lockedDrive(drive.Name, err)
	}
	seal, err := media.NewSeal(p.text)
	if err != nil {
		return nil, err
	}
	return seal.Header, nil
}

// notRunning refuses what would write down in the clear what a running machine has encrypted.
func notRunning(drives []api.Drive, what string) error {
	for _, drive := range drives {
		if drive.Encrypted {
			return problem.New(api.KindUnsupported, "do it while the machine is off",
				"drive %s is encrypted: to %s while the guest writes, what it overwrites would have to be kept in the clear", drive.Name, what)
		}
	}
	return nil
}
