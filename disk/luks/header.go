package luks

import (
	"bytes"
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

const formatName = "luks"

// The header (LUKS 1.2.3, figures 1 to 3).
const (
	magic       = "LUKS\xba\xbe"
	headerBytes = 592
	slots       = 8
	slotAt      = 208
	slotBytes   = 48
	slotOn      = 0x00ac71f3
	slotOff     = 0x0000dead
	sector      = disk.CipherSector
	saltBytes   = 32
	digestBytes = 20

	maxStripes    = 1 << 16
	maxIterations = 1 << 28 // minutes; more is there to keep us busy
	maxHeader     = 64 << 20
)

// header is the fixed part.
type header struct {
	cipher, mode, hash string
	payload            int64 // where the disk begins, bytes
	keyBytes           int
	digest             [digestBytes]byte
	salt               [saltBytes]byte
	iterations         int
	uuid               string
	slots              [slots]slot
}

// slot is a key slot.
type slot struct {
	on         bool
	iterations int
	salt       [saltBytes]byte
	at         int64 // of its key material, bytes
	stripes    int
}

// Is tells whether something begins as a header of version 1 does.
func Is(head []byte) bool {
	return len(head) >= headerBytes && string(head[:6]) == magic && binary.BigEndian.Uint16(head[6:]) == 1
}

// decode reads the fixed part of a header.
func decode(p []byte) (h header, err error) {
	be := binary.BigEndian
	if !Is(p) {
		return h, disk.Corrupt(formatName, 0, "no LUKS header of version 1")
	}
	h.cipher, h.mode, h.hash = text(p[8:40]), text(p[40:72]), text(p[72:104])
	h.payload, h.keyBytes = int64(be.Uint32(p[104:]))*sector, int(be.Uint32(p[108:]))
	copy(h.digest[:], p[112:132])
	copy(h.salt[:], p[132:164])
	h.iterations, h.uuid = int(be.Uint32(p[164:])), text(p[168:208])
	for i := range h.slots {
		s := p[slotAt+i*slotBytes:]
		h.slots[i] = slot{
			on: be.Uint32(s) == slotOn, iterations: int(be.Uint32(s[4:])),
			at: int64(be.Uint32(s[40:])) * sector, stripes: int(be.Uint32(s[44:])),
		}
		copy(h.slots[i].salt[:], s[8:40])
	}
	return h, h.check()
}

// check refuses what we do not know, and what would keep us busy.
func (h *header) check() error {
	if _, err := hashOf(h.hash); err != nil {
		return err
	}
	if h.cipher != "aes" || h.mode != "xts-plain64" && h.mode != "xts-plain" {
		return disk.Unsupported(formatName, "the cipher is %s-%s; aes-xts-plain64 can be read", h.cipher, h.mode)
	}
	switch {
	case h.keyBytes != 32 && h.keyBytes != 48 && h.keyBytes != 64:
		return disk.Corrupt(formatName, 108, "a master key of %d bytes for AES in XTS", h.keyBytes)
	case h.iterations < 1 || h.iterations > maxIterations:
		return disk.Corrupt(formatName, 164, "%d iterations for the digest", h.iterations)
	case h.payload < headerBytes || h.payload > maxHeader:
		return disk.Corrupt(formatName, 104, "the payload begins at %d", h.payload)
	}
	for i, s := range h.slots {
		at := int64(slotAt + i*slotBytes)
		switch {
		case !s.on:
		case s.iterations < 1 || s.iterations > maxIterations:
			return disk.Corrupt(formatName, at+4, "%d iterations", s.iterations)
		case s.stripes < 1 || s.stripes > maxStripes:
			return disk.Corrupt(formatName, at+44, "%d stripes", s.stripes)
		case s.at < headerBytes || s.at+h.material(s) > h.payload:
			return disk.Corrupt(formatName, at+40, "key material at %d, outside of the header", s.at)
		}
	}
	return nil
}

// material is how long the key material of a slot is, in whole sectors.
func (h *header) material(s slot) int64 {
	return (int64(s.stripes)*int64(h.keyBytes) + sector - 1) &^ (sector - 1)
}

// encode writes the fixed part into the begin of p.
func (h *header) encode(p []byte) {
	be := binary.BigEndian
	clear(p[:headerBytes])
	copy(p, magic)
	be.PutUint16(p[6:], 1)
	copy(p[8:40], h.cipher)
	copy(p[40:72], h.mode)
	copy(p[72:104], h.hash)
	be.PutUint32(p[104:], uint32(h.payload/sector))
	be.PutUint32(p[108:], uint32(h.keyBytes))
	copy(p[112:], h.digest[:])
	copy(p[132:], h.salt[:])
	be.PutUint32(p[164:], uint32(h.iterations))
	copy(p[168:207], h.uuid)
	for i, s := range h.slots {
		q := p[slotAt+i*slotBytes:]
		be.PutUint32(q, slotOff)
		if s.on {
			be.PutUint32(q, slotOn)
		}
		be.PutUint32(q[4:], uint32(s.iterations))
		copy(q[8:40], s.salt[:])
		be.PutUint32(q[40:], uint32(s.at/sector))
		be.PutUint32(q[44:], uint32(s.stripes))
	}
}

func text(p []byte) string {
	s, _, _ := bytes.Cut(p, []byte{0})
	return string(s)
}
