// Package gpt writes GUID partition tables (UEFI specification 2.10, section 5.3).
//
//	sector 0        protective MBR; its first 440 bytes are left to a boot loader
//	sector 1        header
//	sectors 2–33    128 entries of 128 bytes
//	…               partitions
//	last 33         the entries and the header again
package gpt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"

	"github.com/google/uuid"
)

// SectorSize is the size of a logical block, in bytes.
const SectorSize = 512

const (
	entries      = 128
	entrySize    = 128
	entrySectors = entries * entrySize / SectorSize
	headerSize   = 92
	firstUsable  = 2 + entrySectors
	nameUnits    = 36
)

// Types of partitions.
var (
	BIOSBoot   = uuid.MustParse("21686148-6449-6e6f-744e-656564454649")
	EFISystem  = uuid.MustParse("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
	LinuxRoot  = uuid.MustParse("4f68bce3-e8cd-4db1-96e7-fbcaf984b709") // for x86-64
	headerText = []byte("EFI PART")
)

// Partition is one entry of the table. Start and Size are in bytes and must be whole sectors.
type Partition struct {
	Name  string
	Type  uuid.UUID
	ID    uuid.UUID
	Start int64
	Size  int64
}

// Write writes both copies of the table for a disk of size bytes; it leaves the boot code in sector 0 alone.
func Write(w io.WriterAt, size int64, id uuid.UUID, partitions []Partition) error {
	sectors := uint64(size / SectorSize)
	table, err := encode(sectors, partitions)
	if err != nil {
		return err
	}
	primary := header(sectors, id, table, 1, sectors-1, 2)
	backup := header(sectors, id, table, sectors-1, 1, sectors-1-entrySectors)
	for _, piece := range []struct {
		at   int64
		data []byte
	}{
		{440, protectiveMBR(sectors)},
		{SectorSize, primary},
		{2 * SectorSize, table},
		{int64(sectors-1-entrySectors) * SectorSize, table},
		{int64(sectors-1) * SectorSize, backup},
	} {
		if _, err := w.WriteAt(piece.data, piece.at); err != nil {
			return fmt.Errorf("write partition table: %w", err)
		}
	}
	return nil
}

// encode lays out the entries.
func encode(sectors uint64, partitions []Partition) ([]byte, error) {
	if len(partitions) > entries {
		return nil, fmt.Errorf("write partition table: %d partitions, at most %d fit", len(partitions), entries)
	}
	table := make([]byte, entries*entrySize)
	for i, p := range partitions {
		first, last := uint64(p.Start/SectorSize), uint64((p.Start+p.Size)/SectorSize)-1
		if first < firstUsable || last < first || last >= sectors-1-entrySectors {
			return nil, fmt.Errorf("write partition table: partition %q does not fit on the disk", p.Name)
		}
		entry := table[i*entrySize : (i+1)*entrySize]
		copy(entry, mixedEndian(p.Type))
		copy(entry[16:], mixedEndian(p.ID))
		binary.LittleEndian.PutUint64(entry[32:], first)
		binary.LittleEndian.PutUint64(entry[40:], last)
		for unit, code := range utf16.Encode([]rune(p.Name)) {
			if unit == nameUnits {
				break
			}
			binary.LittleEndian.PutUint16(entry[56+2*unit:], code)
		}
	}
	return table, nil
}

// header makes one of the two headers, for the sector self, with the entries from sector first.
func header(sectors uint64, id uuid.UUID, table []byte, self, other, first uint64) []byte {
	h := make([]byte, SectorSize)
	copy(h, headerText)
	le := binary.LittleEndian
	le.PutUint32(h[8:], 0x00010000) // revision 1.0
	le.PutUint32(h[12:], headerSize)
	le.PutUint64(h[24:], self)
	le.PutUint64(h[32:], other)
	le.PutUint64(h[40:], firstUsable)
	le.PutUint64(h[48:], sectors-2-entrySectors)
	copy(h[56:], mixedEndian(id))
	le.PutUint64(h[72:], first)
	le.PutUint32(h[80:], entries)
	le.PutUint32(h[84:], entrySize)
	le.PutUint32(h[88:], crc32.ChecksumIEEE(table))
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:headerSize]))
	return h
}

// protectiveMBR is the end of sector 0, from byte 440: one partition of type EE over the whole disk. It is marked
// active, against the letter of the specification, because some BIOSes start no disk without an active partition.
func protectiveMBR(sectors uint64) []byte {
	mbr := make([]byte, SectorSize-440)
	entry := mbr[6:]
	copy(entry, []byte{0x80, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff})
	binary.LittleEndian.PutUint32(entry[8:], 1)
	binary.LittleEndian.PutUint32(entry[12:], uint32(min(sectors-1, 0xffffffff)))
	mbr[len(mbr)-2], mbr[len(mbr)-1] = 0x55, 0xaa
	return mbr
}

// mixedEndian is the order a GUID has on disk: its first three fields little-endian.
func mixedEndian(id uuid.UUID) []byte {
	b := id
	b[0], b[1], b[2], b[3] = id[3], id[2], id[1], id[0]
	b[4], b[5] = id[5], id[4]
	b[6], b[7] = id[7], id[6]
	return b[:]
}
