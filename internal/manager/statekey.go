package manager

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
)

// A machine with encrypted disks has in its memory what is on them, and their keys. What is written
// down of its memory is encrypted, too, to a public key: so it can be written at any time, by a daemon that
// knows no passphrase, and read only by who can open one of the disks.
//
//	disk's master key ─HKDF─► seal ─AES-GCM─► identity ─age─► state.zst, memory.zst
//
// It holds for a passphrase that is changed, as that does not change the master key.

// statePurpose is what a disk's key is used for here.
const statePurpose = "panal machine state v1"

// stateKey is a key that states are encrypted to.
type stateKey struct {
	Recipient string `json:"recipient"`
	// Sealed is the identity that reads them, encrypted by each disk that could be opened
	// when it was made or later, by the drives' names.
	Sealed map[string][]byte `json:"sealed"`
}

// readStateKeys reads the keys of a machine; the last one is used.
func readStateKeys(dir folder.Folder) (keys []stateKey, err error) {
	text, err := os.ReadFile(dir.Path(folder.StateKeys))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &keys)
	}
	if err != nil {
		return nil, fmt.Errorf("read the keys of the machine's states: %w", err)
	}
	return keys, nil
}

// keepStateKey sees to it that each of the encrypted drives, of which one was opened just now, opens what
// is written of the memory from now on, as far as their passphrases are known.
func (m *Manager) keepStateKey(uuid string, dir folder.Folder, drives []api.Drive) error {
	seals, err := m.stateSeals(uuid, dir, drives)
	if len(seals) == 0 {
		return err
	}
	keys, err := readStateKeys(dir)
	if err != nil {
		return err
	}
	if len(keys) > 0 && len(seals) < encryptedOf(drives) && identityOf(keys[len(keys)-1], seals) == nil {
		return nil // the drives that are running open it
	}
	if len(keys) > 0 && len(openable(keys[len(keys)-1], seals)) == len(seals) {
		return nil
	}
	var identity *age.X25519Identity
	if len(keys) > 0 {
		identity = identityOf(keys[len(keys)-1], seals)
	}
	fresh := stateKey{Sealed: map[string][]byte{}}
	if identity == nil {
		if identity, err = age.GenerateX25519Identity(); err != nil {
			return err
		}
	} else {
		fresh, keys = keys[len(keys)-1], keys[:len(keys)-1]
	}
	fresh.Recipient = identity.Recipient().String()
	for drive, seal := range seals {
		nonce := make([]byte, seal.NonceSize())
		rand.Read(nonce)
		fresh.Sealed[drive] = seal.Seal(nonce, nonce, []byte(identity.String()), []byte(statePurpose))
	}
	text, err := json.MarshalIndent(append(keys, fresh), "", "  ")
	if err != nil {
		return err
	}
	if err := removeFile(dir.Path(folder.StateKeysNew)); err != nil {
		return err
	}
	if err := writeDurably(dir.Path(folder.StateKeysNew), text); err != nil {
		return err
	}
	return dir.Rename("", folder.StateKeysNew, folder.StateKeys)
}

// stateSeals are the ciphers that seal identities, by the drives' names: of those whose passphrases
// are known; the error tells of one that is not.
func (m *Manager) stateSeals(uuid string, dir folder.Folder, drives []api.Drive) (seals map[string]cipher.AEAD, failed error) {
	seals = map[string]cipher.AEAD{}
	for _, drive := range drives {
		top, there := topOf(dir, drive)
		if !drive.Encrypted || !there {
			continue
		}
		header, err := media.Header(top)
		if err != nil || header == nil {
			return nil, err
		}
		p, err := m.passphraseOf(uuid, drive)
		if errors.Is(err, disk.ErrLocked) {
			failed = lockedDrive(drive.Name, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		secret, err := p.keys.Derive(header, statePurpose)
		if err != nil {
			return nil, fmt.Errorf("drive %s: %w", drive.Name, err)
		}
		block, err := aes.NewCipher(secret)
		if err != nil {
			return nil, err
		}
		if seals[drive.Name], err = cipher.NewGCM(block); err != nil {
			return nil, err
		}
	}
	return seals, failed
}

// encryptedOf is how many drives are encrypted.
func encryptedOf(drives []api.Drive) (n int) {
	for _, drive := range drives {
		if drive.Encrypted {
			n++
		}
	}
	return n
}

// openable are the drives that open a key.
func openable(key stateKey, seals map[string]cipher.AEAD) (drives []string) {
	for drive, seal := range seals {
		if _, err := unseal(key.Sealed[drive], seal); err == nil {
			drives = append(drives, drive)
		}
	}
	return drives
}

func unseal(sealed []byte, seal cipher.AEAD) ([]byte, error) {
	n := seal.NonceSize()
	if len(sealed) < n {
		return nil, io.ErrUnexpectedEOF
	}
	return seal.Open(nil, sealed[:n], sealed[n:], []byte(statePurpose))
}

// identityOf is what reads the states of a key, nil where no drive opens it.
func identityOf(key stateKey, seals map[string]cipher.AEAD) *age.X25519Identity {
	for drive, seal := range seals {
		text, err := unseal(key.Sealed[drive], seal)
		if err != nil {
			continue
		}
		if identity, err := age.ParseX25519Identity(string(text)); err == nil && identity.Recipient().String() == key.Recipient {
			return identity
		}
	}
	return nil
}

// sealState is where a machine's state is written to, to come encrypted into w if the machine has
// encrypted drives. It is closed before w is.
func sealState(dir folder.Folder, drives []api.Drive, w io.Writer) (io.WriteCloser, error) {
	if encryptedOf(drives) == 0 {
		return unsealedState{w}, nil
	}
	keys, err := readStateKeys(dir)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, problem.New(api.KindLocked, "start it once more", "its disks are encrypted, and there is no key to encrypt its memory by")
	}
	recipient, err := age.ParseX25519Recipient(keys[len(keys)-1].Recipient)
	if err != nil {
		return nil, fmt.Errorf("the key of the machine's states: %w", err)
	}
	return age.Encrypt(w, recipient)
}

// unsealedState is written as it is.
type unsealedState struct{ io.Writer }

// Close does nothing.
func (unsealedState) Close() error { return nil }

// ageMagic is how an encrypted state begins.
const ageMagic = "age-encryption.org/"

// openState reads a state, which may be encrypted.
func (m *Manager) openState(uuid string, dir folder.Folder, drives []api.Drive, r io.Reader) (io.Reader, error) {
	from := bufio.NewReader(r)
	if head, _ := from.Peek(len(ageMagic)); !bytes.Equal(head, []byte(ageMagic)) {
		return from, nil
	}
	keys, err := readStateKeys(dir)
	if err != nil {
		return nil, err
	}
	seals, err := m.stateSeals(uuid, dir, drives)
	if len(seals) == 0 && err != nil {
		return nil, err
	}
	var identities []age.Identity
	for _, key := range keys {
		if identity := identityOf(key, seals); identity != nil {
			identities = append(identities, identity)
		}
	}
	if len(identities) == 0 {
		return nil, problem.New(api.KindLocked, "attach a disk again that the machine had when it was saved",
			"its memory is encrypted, and none of its disks has the key")
	}
	return age.Decrypt(from, identities...)
}
