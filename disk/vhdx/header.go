package vhdx

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"unicode/utf16"

	"github.com/panalvm/panal/disk"
)

const name = "vhdx"

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	tib = int64(1) << 40
)

// Places and lengths of the header section, [MS-VHDX] 2.2.
const (
	identifierLength = 64 * kib
	headerSection    = mib
	headerLength     = 4 * kib
	creatorLength    = 512
	signature        = "vhdxfile"
)

// headerPlaces are the two headers' offsets, [MS-VHDX] 2.2.2.
var headerPlaces = [2]int64{64 * kib, 128 * kib}

// Highest sizes, [MS-VHDX] 2.6.2.
const maxVirtual = 64 * tib

// header is one of the two headers, [MS-VHDX] 2.2.2.
type header struct {
	sequence   uint64
	fileWrite  guid // changes before the first change to the file after opening
	dataWrite  guid // changes before the first change that a guest can see
	log        guid // of the entries that must be replayed; zero if none must
	logVersion uint16
	version    uint16
	logLength  int64
	logOffset  int64
}

// sum is the CRC-32C of p with the four bytes at off taken for zero.
func sum(p []byte, off int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	crc := crc32.Update(0, table, p[:off])
	crc = crc32.Update(crc, table, make([]byte, 4))
	return crc32.Update(crc, table, p[off+4:])
}

// decodeHeader reads a header that lies at off.
func decodeHeader(p []byte, off int64) (header, error) {
	if string(p[:4]) != "head" {
		return header{}, disk.Corrupt(name, off, "there is no header: its signature is %q", p[:4])
	}
	if want, have := binary.LittleEndian.Uint32(p[4:]), sum(p, 4); want != have {
		return header{}, disk.Corrupt(name, off+4, "the header's checksum is %#08x, and its content gives %#08x", want, have)
	}
	return header{
		sequence:   binary.LittleEndian.Uint64(p[8:]),
		fileWrite:  guidAt(p[16:]),
		dataWrite:  guidAt(p[32:]),
		log:        guidAt(p[48:]),
		logVersion: binary.LittleEndian.Uint16(p[64:]),
		version:    binary.LittleEndian.Uint16(p[66:]),
		logLength:  int64(binary.LittleEndian.Uint32(p[68:])),
		logOffset:  int64(binary.LittleEndian.Uint64(p[72:])),
	}, nil
}

func (h header) encode() []byte {
	p := make([]byte, headerLength)
	copy(p, "head")
	binary.LittleEndian.PutUint64(p[8:], h.sequence)
	copy(p[16:], h.fileWrite[:])
	copy(p[32:], h.dataWrite[:])
	copy(p[48:], h.log[:])
	binary.LittleEndian.PutUint16(p[64:], h.logVersion)
	binary.LittleEndian.PutUint16(p[66:], h.version)
	binary.LittleEndian.PutUint32(p[68:], uint32(h.logLength))
	binary.LittleEndian.PutUint64(p[72:], uint64(h.logOffset))
	binary.LittleEndian.PutUint32(p[4:], sum(p, 4))
	return p
}

// check tells what is wrong with what the header says.
func (h header) check(off, size int64) error {
	switch {
	case h.version != 1:
		return disk.Unsupported(name, "version %d of the format is not known; only 1 is", h.version)
	case h.logLength%mib != 0 || h.logOffset%mib != 0 || h.logLength > 0 && h.logOffset < headerSection:
		return disk.Corrupt(name, off+68, "the log cannot lie at %#x with %#x bytes", h.logOffset, h.logLength)
	case h.logOffset > size || h.logLength > size-h.logOffset:
		return disk.Corrupt(name, off+68, "the log at %#x with %#x bytes goes beyond the end of the file at %#x", h.logOffset, h.logLength, size)
	case !h.log.zero() && h.logVersion != 0:
		return disk.Unsupported(name, "its log has version %d; only 0 is known, so it cannot be replayed: close the image with the program that wrote it", h.logVersion)
	case !h.log.zero() && h.logLength == 0:
		return disk.Corrupt(name, off+68, "the header says that the log is to be replayed, and names none")
	}
	return nil
}

// headers are both headers of a file.
type headers struct {
	header
	slot   int      // which of the two rules
	faults [2]error // what is wrong with each
}

// readHeaders reads both headers and chooses the one that rules: among those
// that are valid the one with the higher sequence number, [MS-VHDX] 2.2.2.
func readHeaders(f disk.File) (headers, error) {
	size, err := f.Size()
	if err != nil {
		return headers{}, err
	}
	chosen := headers{slot: -1}
	for i, off := range headerPlaces {
		p, err := disk.ReadFull(f, off, headerLength, name, "header")
		if err != nil {
			return headers{}, err
		}
		h, err := decodeHeader(p, off)
		if err == nil {
			err = h.check(off, size)
		}
		if chosen.faults[i] = err; err == nil && (chosen.slot < 0 || h.sequence > chosen.sequence) {
			chosen.slot, chosen.header = i, h
		}
	}
	if chosen.slot < 0 {
		return headers{}, chosen.faults[0]
	}
	return chosen, nil
}

// creator is the name of the program that made the file, [MS-VHDX] 2.2.1.
func creator(identifier []byte) string {
	return strings.TrimSpace(fromUTF16(identifier[8 : 8+creatorLength]))
}

// identifier makes a file type identifier.
func identifier(creator string) []byte {
	p := make([]byte, identifierLength)
	copy(p, signature)
	copy(p[8:8+creatorLength-2], toUTF16(creator))
	return p
}

// fromUTF16 reads UTF-16 up to the first zero.
func fromUTF16(p []byte) string {
	units := make([]uint16, 0, len(p)/2)
	for ; len(p) >= 2; p = p[2:] {
		u := binary.LittleEndian.Uint16(p)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

func toUTF16(text string) []byte {
	units := utf16.Encode([]rune(text))
	p := make([]byte, 0, 2*len(units))
	for _, u := range units {
		p = binary.LittleEndian.AppendUint16(p, u)
	}
	return p
}
