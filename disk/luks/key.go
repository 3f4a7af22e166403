package luks

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"math"

	"golang.org/x/crypto/xts"

	"github.com/panalvm/panal/disk"
)

func hashOf(name string) (func() hash.Hash, error) {
	switch name {
	case "sha1":
		return sha1.New, nil
	case "sha256":
		return sha256.New, nil
	case "sha512":
		return sha512.New, nil
	}
	return nil, disk.Unsupported(formatName, "the hash is %s; sha1, sha256 and sha512 can be read", name)
}

// stretch makes a key of a passphrase (PBKDF2).
func (h *header) stretch(passphrase, salt []byte, iterations, n int) ([]byte, error) {
	sum, err := hashOf(h.hash)
	if err != nil {
		return nil, err
	}
	return pbkdf2.Key(sum, string(passphrase), salt, iterations, n)
}

// unlock finds the master key, and the slot that a passphrase opens.
func unlock(p, passphrase []byte) (key []byte, at int, err error) {
	h, err := decode(p)
	if err != nil {
		return nil, 0, err
	}
	for i, s := range h.slots {
		if !s.on {
			continue
		}
		if s.at+h.material(s) > int64(len(p)) {
			return nil, 0, disk.Corrupt(formatName, s.at, "key material beyond the end of the header")
		}
		key, err := h.open(p, s, passphrase)
		if err != nil {
			return nil, 0, err
		}
		digest, err := h.stretch(key, h.salt[:], h.iterations, digestBytes)
		if err != nil {
			return nil, 0, err
		}
		if subtle.ConstantTimeCompare(digest, h.digest[:]) == 1 {
			return key, i, nil
		}
	}
	return nil, 0, disk.ErrWrongPassphrase
}

// open gives what a passphrase makes of a slot: the master key, if it is the slot's.
func (h *header) open(p []byte, s slot, passphrase []byte) ([]byte, error) {
	sectors, err := h.slotCipher(s, passphrase)
	if err != nil {
		return nil, err
	}
	material := append([]byte(nil), p[s.at:s.at+h.material(s)]...)
	sectors.Decrypt(material, 0)
	return h.merge(material[:s.stripes*h.keyBytes]), nil
}

// fill puts the master key into a slot of p, for a passphrase.
func (h *header) fill(p []byte, s slot, passphrase, key []byte) error {
	sectors, err := h.slotCipher(s, passphrase)
	if err != nil {
		return err
	}
	material := p[s.at : s.at+h.material(s)]
	clear(material)
	copy(material, h.split(key, s.stripes))
	sectors.Encrypt(material, 0)
	return nil
}

func (h *header) slotCipher(s slot, passphrase []byte) (*sectorCipher, error) {
	key, err := h.stretch(passphrase, s.salt[:], s.iterations, h.keyBytes)
	if err != nil {
		return nil, err
	}
	return h.sectorCipher(key)
}

// split cuts a key into stripes, all of which are needed for it (LUKS 1.2.3, 2.4).
func (h *header) split(key []byte, stripes int) []byte {
	n := len(key)
	out := make([]byte, n*stripes)
	rand.Read(out[:n*(stripes-1)])
	mixed := h.mix(out[:n*(stripes-1)], n)
	subtle.XORBytes(out[n*(stripes-1):], mixed, key)
	return out
}

// merge undoes split.
func (h *header) merge(stripes []byte) []byte {
	n := h.keyBytes
	last := len(stripes) - n
	key := make([]byte, n)
	subtle.XORBytes(key, h.mix(stripes[:last], n), stripes[last:])
	return key
}

// mix folds stripes of n bytes into one.
func (h *header) mix(stripes []byte, n int) []byte {
	mixed := make([]byte, n)
	for ; len(stripes) > 0; stripes = stripes[n:] {
		subtle.XORBytes(mixed, mixed, stripes[:n])
		h.diffuse(mixed)
	}
	return mixed
}

// diffuse hashes p in place, in pieces of the hash's length that are numbered.
func (h *header) diffuse(p []byte) {
	sum, err := hashOf(h.hash)
	if err != nil {
		return // it was checked
	}
	digest := sum()
	for i := uint32(0); len(p) > 0; i++ {
		n := min(len(p), digest.Size())
		digest.Reset()
		digest.Write(binary.BigEndian.AppendUint32(nil, i))
		digest.Write(p[:n])
		copy(p[:n], digest.Sum(nil))
		p = p[n:]
	}
}

// sectorCipher is AES in XTS with the sectors' numbers.
type sectorCipher struct {
	xts  *xts.Cipher
	mask uint64 // of the numbers
}

func (h *header) sectorCipher(key []byte) (*sectorCipher, error) {
	block := func(key []byte) (cipher.Block, error) { return aes.NewCipher(key) }
	x, err := xts.NewCipher(block, key)
	if err != nil {
		return nil, err
	}
	c := &sectorCipher{x, math.MaxUint64}
	if h.mode == "xts-plain" {
		c.mask = math.MaxUint32
	}
	return c, nil
}

// Encrypt encrypts sectors.
func (c *sectorCipher) Encrypt(p []byte, off int64) { c.each(p, off, c.xts.Encrypt) }

// Decrypt decrypts sectors.
func (c *sectorCipher) Decrypt(p []byte, off int64) { c.each(p, off, c.xts.Decrypt) }

func (c *sectorCipher) each(p []byte, off int64, do func(to, from []byte, sector uint64)) {
	for number := uint64(off / sector); len(p) > 0; number++ {
		do(p[:sector], p[:sector], number&c.mask)
		p = p[sector:]
	}
}
