package luks

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// How new headers are, as QEMU makes them: AES-256 in XTS, SHA-256.
const (
	newKeyBytes = 64
	newStripes  = 4000
	align       = 4096
	// Iterations is how often a passphrase of a new slot is hashed: about half a second's work,
	// and what is recommended against guessing (OWASP, 2023).
	Iterations = 600_000
	// digestIterations is for the digest of the master key, which nobody guesses.
	digestIterations = 1000
)

// MaxPassphrase bounds passphrases, in bytes.
const MaxPassphrase = 512

// ErrNoSlot says that all key slots are in use.
var ErrNoSlot = errors.New("all 8 key slots are in use; take a passphrase away first")

// ErrLastSlot says that a passphrase is the only one.
var ErrLastSlot = errors.New("it is the only passphrase, and without one nobody can read the disk any more")

// New makes the header of a new encrypted image, with a master key of its own that the
// passphrase opens. Iterations 0 is Iterations.
func New(passphrase []byte, iterations int) ([]byte, error) {
	h := header{cipher: "aes", mode: "xts-plain64", hash: "sha256", keyBytes: newKeyBytes, iterations: digestIterations, uuid: uuid.NewString()}
	for i := range h.slots {
		h.slots[i] = slot{stripes: newStripes}
		step := (h.material(h.slots[i]) + align - 1) &^ (align - 1)
		h.slots[i].at = align + int64(i)*step
		h.payload = h.slots[i].at + step
	}
	key := make([]byte, newKeyBytes)
	rand.Read(key)
	rand.Read(h.salt[:])
	digest, err := h.stretch(key, h.salt[:], h.iterations, digestBytes)
	if err != nil {
		return nil, err
	}
	copy(h.digest[:], digest)
	p := make([]byte, h.payload)
	return p, h.put(p, 0, key, passphrase, iterations)
}

// put opens slot i to a passphrase.
func (h *header) put(p []byte, i int, key, passphrase []byte, iterations int) error {
	if len(passphrase) == 0 || len(passphrase) > MaxPassphrase {
		return disk.Usage("a passphrase has from 1 to %d bytes, and this one has %d", MaxPassphrase, len(passphrase))
	}
	if iterations == 0 {
		iterations = Iterations
	}
	s := &h.slots[i]
	s.on, s.iterations = true, iterations
	if s.stripes == 0 {
		s.stripes = newStripes
	}
	if s.at < headerBytes || s.at+h.material(*s) > min(h.payload, int64(len(p))) {
		return disk.Corrupt(formatName, int64(slotAt+i*slotBytes+40), "key material at %d, outside of the header", s.at)
	}
	rand.Read(s.salt[:])
	if err := h.fill(p, *s, passphrase, key); err != nil {
		return err
	}
	h.encode(p)
	return nil
}

// Add returns a header that a further passphrase opens.
func Add(p, passphrase, further []byte, iterations int) ([]byte, error) {
	key, _, err := unlock(p, passphrase)
	if err != nil {
		return nil, err
	}
	h, err := decode(p)
	if err != nil {
		return nil, err
	}
	for i, s := range h.slots {
		if !s.on {
			p = bytes.Clone(p)
			return p, h.put(p, i, key, further, iterations)
		}
	}
	return nil, ErrNoSlot
}

// Remove returns a header that a passphrase does not open any more.
func Remove(p, passphrase []byte) ([]byte, error) {
	_, at, err := unlock(p, passphrase)
	if err != nil {
		return nil, err
	}
	h, err := decode(p)
	if err != nil {
		return nil, err
	}
	if len(h.used()) == 1 {
		return nil, ErrLastSlot
	}
	p = bytes.Clone(p)
	s := &h.slots[at]
	rand.Read(p[s.at : s.at+h.material(*s)])
	s.on, s.iterations, s.salt = false, 0, [saltBytes]byte{}
	h.encode(p)
	return p, nil
}

// SameKey tells whether two headers keep one master key: they have the digest, its salt and the UUID in common,
// whatever passphrases open them.
func SameKey(a, b []byte) bool {
	return Is(a) && Is(b) && bytes.Equal(a[112:slotAt], b[112:slotAt])
}

// used are the slots that are in use.
func (h *header) used() (used []int) {
	for i, s := range h.slots {
		if s.on {
			used = append(used, i)
		}
	}
	return used
}

// Passphrases is how many key slots of a header are in use.
func Passphrases(p []byte) (int, error) {
	h, err := decode(p)
	return len(h.used()), err
}

// MasterKey is the key that a header keeps: who has it needs no passphrase.
func MasterKey(p, passphrase []byte) ([]byte, error) {
	key, _, err := unlock(p, passphrase)
	return key, err
}

// Keys opens images by a passphrase. What it opened once opens at once again: stretching a
// passphrase takes half a second, and the images of a chain have one header.
type Keys struct {
	passphrase []byte

	mu    sync.Mutex // guards known; held while a header is opened, so that all wait for the one
	known map[[sha256.Size]byte]opened
}

// opened is what a header keeps.
type opened struct {
	key    []byte
	cipher disk.Cipher
}

// NewKeys opens by a passphrase.
func NewKeys(passphrase []byte) *Keys {
	return &Keys{passphrase: bytes.Clone(passphrase), known: map[[sha256.Size]byte]opened{}}
}

// Unlock finds the master key of a header.
func (k *Keys) Unlock(p []byte) (disk.Cipher, error) {
	o, err := k.open(p)
	return o.cipher, err
}

// Derive makes a further key of 32 bytes, for another purpose, of the master key of a header: all headers of
// one master key give the same. Nothing of the master key can be told from it.
func (k *Keys) Derive(p []byte, purpose string) ([]byte, error) {
	o, err := k.open(p)
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha256.New, o.key, nil, purpose, 32)
}

func (k *Keys) open(p []byte) (o opened, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	sum := sha256.Sum256(p)
	if o, ok := k.known[sum]; ok {
		return o, nil
	}
	if o.key, _, err = unlock(p, k.passphrase); err != nil {
		return opened{}, err
	}
	h, err := decode(p)
	if err != nil {
		return opened{}, err
	}
	if o.cipher, err = h.sectorCipher(o.key); err != nil {
		return opened{}, err
	}
	k.known[sum] = o
	return o, nil
}
