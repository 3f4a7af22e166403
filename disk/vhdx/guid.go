package vhdx

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// guid is an identifier as it lies in the file: its first three groups are
// little endian.
type guid [16]byte

func newGUID() guid { return swap(uuid.New()) }

// parseGUID reads 8-4-4-4-12, with braces or without.
func parseGUID(text string) (guid, error) {
	u, err := uuid.Parse(text)
	return swap(u), err
}

// wellKnown is a guid that stands in the specification.
func wellKnown(text string) guid { return swap(uuid.MustParse(text)) }

// guidAt reads the guid at the beginning of p.
func guidAt(p []byte) guid { return guid(p[:16]) }

// String is lower case and without braces.
func (g guid) String() string { return uuid.UUID(swap(g)).String() }

func (g guid) zero() bool { return g == guid{} }

// swap turns the order of the first three groups around; it is its own
// inverse.
func swap(in [16]byte) guid {
	out := guid(in)
	binary.LittleEndian.PutUint32(out[0:], binary.BigEndian.Uint32(in[0:]))
	binary.LittleEndian.PutUint16(out[4:], binary.BigEndian.Uint16(in[4:]))
	binary.LittleEndian.PutUint16(out[6:], binary.BigEndian.Uint16(in[6:]))
	return out
}
