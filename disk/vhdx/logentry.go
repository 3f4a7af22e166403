package vhdx

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/panalvm/panal/disk"
)

// The log's parts, [MS-VHDX] 2.3.1.
const (
	logSector       = 4 * kib
	entryHeader     = 64 // as long as two descriptors
	descriptor      = 32
	perSector       = int(logSector / descriptor)
	sectorData      = 4084 // bytes of a data sector that are content
	sectorDataBegin = 8
)

// maxFile bounds what a log may claim of the file's size: the greatest disk,
// and as much again for tables and blocks that are not used.
const maxFile = 2 * maxVirtual

// logEntry is the header of an entry, [MS-VHDX] 2.3.1.1.
type logEntry struct {
	pos      int64 // in the log
	length   int64
	tail     int64 // in the log, where the oldest entry lies that this one needs
	sequence uint64
	count    int // of descriptors
	log      guid
	flushed  int64 // how long the file was, durably
	last     int64 // how long it must be
}

// descriptorSectors is how many sectors the header and descriptors take.
func descriptorSectors(count int) int64 { return int64((count + 2 + perSector - 1) / perSector) }

func (e logEntry) encode(p []byte) {
	copy(p, "loge")
	binary.LittleEndian.PutUint32(p[8:], uint32(e.length))
	binary.LittleEndian.PutUint32(p[12:], uint32(e.tail))
	binary.LittleEndian.PutUint64(p[16:], e.sequence)
	binary.LittleEndian.PutUint32(p[24:], uint32(e.count))
	copy(p[32:], e.log[:])
	binary.LittleEndian.PutUint64(p[48:], uint64(e.flushed))
	binary.LittleEndian.PutUint64(p[56:], uint64(e.last))
}

func decodeEntry(p []byte, pos int64) logEntry {
	return logEntry{
		pos:      pos,
		length:   int64(binary.LittleEndian.Uint32(p[8:])),
		tail:     int64(binary.LittleEndian.Uint32(p[12:])),
		sequence: binary.LittleEndian.Uint64(p[16:]),
		count:    int(binary.LittleEndian.Uint32(p[24:])),
		log:      guidAt(p[32:]),
		flushed:  int64(binary.LittleEndian.Uint64(p[48:])),
		last:     int64(binary.LittleEndian.Uint64(p[56:])),
	}
}

// change is what a descriptor says: a range of zeros, or a sector whose
// content lies in the log, [MS-VHDX] 2.3.1.2 and 2.3.1.3.
type change struct {
	span
	data     int64 // where in the log the content lies; -1 for zeros
	leading  [8]byte
	trailing [4]byte
	sequence uint64
}

// decodeChange reads a descriptor; data is where the next data sector lies.
func decodeChange(p []byte, data int64) (change, bool) {
	c := change{sequence: binary.LittleEndian.Uint64(p[24:]), data: -1}
	c.off = int64(binary.LittleEndian.Uint64(p[16:]))
	switch string(p[:4]) {
	case "zero":
		c.length = int64(binary.LittleEndian.Uint64(p[8:]))
	case "desc":
		c.length, c.data = logSector, data
		c.leading, c.trailing = [8]byte(p[8:16]), [4]byte(p[4:8])
	default:
		return c, false
	}
	sane := c.off >= 0 && c.length >= 0 && c.off%logSector == 0 && c.length%logSector == 0 && c.length <= maxFile && c.off <= maxFile-c.length
	return c, sane
}

// logReader reads the entries of a log.
type logReader struct {
	file   disk.File
	place  span
	id     guid
	budget int64 // bytes that may still be summed up: entries that lie in one another make work without end
}

func newLogReader(f disk.File, h header) *logReader {
	return &logReader{file: f, place: span{h.logOffset, h.logLength}, id: h.log, budget: 16 * h.logLength}
}

// read reads from a ring.
func (l *logReader) read(p []byte, pos int64) error {
	pos %= l.place.length
	n := min(int64(len(p)), l.place.length-pos)
	if _, err := l.file.ReadAt(p[:n], l.place.off+pos); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if n < int64(len(p)) {
		return l.read(p[n:], 0)
	}
	return nil
}

// entry reads the entry at pos. ok is whether there is one, whole and of this
// log: [MS-VHDX] 2.3.2 says when.
func (l *logReader) entry(pos int64) (e logEntry, ok bool, err error) {
	p := make([]byte, logSector)
	if err := l.read(p, pos); err != nil {
		return e, false, err
	}
	if string(p[:4]) != "loge" {
		return e, false, nil
	}
	e = decodeEntry(p, pos)
	if !l.plausible(e) {
		return e, false, nil
	}
	if l.budget -= e.length; l.budget < 0 {
		return e, false, disk.Corrupt(name, l.place.off+pos, "the log's entries lie in one another")
	}
	crc, err := l.sum(e)
	if err != nil || crc != binary.LittleEndian.Uint32(p[4:]) {
		return e, false, err
	}
	ok, err = l.whole(e)
	return e, ok, err
}

// plausible tells whether the header's fields may be those of an entry.
func (l *logReader) plausible(e logEntry) bool {
	return e.length >= logSector && e.length%logSector == 0 && e.length <= l.place.length &&
		e.tail%logSector == 0 && e.tail < l.place.length &&
		e.sequence > 0 && e.log == l.id && e.flushed >= 0 && e.last >= 0 && e.last <= maxFile &&
		descriptorSectors(e.count)*logSector <= e.length
}

// sum is the checksum of an entry.
func (l *logReader) sum(e logEntry) (uint32, error) {
	table := crc32.MakeTable(crc32.Castagnoli)
	p := make([]byte, min(e.length, 64*kib))
	crc := uint32(0)
	for done := int64(0); done < e.length; done += int64(len(p)) {
		p = p[:min(e.length-done, int64(len(p)))]
		if err := l.read(p, e.pos+done); err != nil {
			return 0, err
		}
		if done == 0 {
			clear(p[4:8])
		}
		crc = crc32.Update(crc, table, p)
	}
	return crc, nil
}

// whole tells whether each descriptor and data sector belongs to the entry.
func (l *logReader) whole(e logEntry) (bool, error) {
	ok, end := true, e.pos+descriptorSectors(e.count)*logSector
	sector := make([]byte, logSector)
	err := l.changes(e, func(c change) error {
		if c.sequence != e.sequence {
			ok = false
		}
		if c.data < 0 {
			return nil
		}
		end = c.data + logSector
		if err := l.read(sector, c.data); err != nil {
			return err
		}
		ok = ok && string(sector[:4]) == "data" && dataSequence(sector) == e.sequence
		return nil
	})
	if errors.Is(err, errTorn) {
		return false, nil
	}
	return ok && end <= e.pos+e.length, err
}

func dataSequence(sector []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(sector[4:]))<<32 | uint64(binary.LittleEndian.Uint32(sector[logSector-4:]))
}

var errTorn = errors.New("a descriptor of the log is not valid")

// changes calls do for each change of an entry, in order.
func (l *logReader) changes(e logEntry, do func(change) error) error {
	data := e.pos + descriptorSectors(e.count)*logSector
	p := make([]byte, logSector)
	for i := range e.count {
		slot := (i + 2) % perSector
		if i == 0 || slot == 0 {
			if err := l.read(p, e.pos+int64((i+2)/perSector)*logSector); err != nil {
				return err
			}
		}
		c, ok := decodeChange(p[slot*descriptor:], data)
		if !ok {
			return errTorn
		}
		if c.data >= 0 {
			data += logSector
		}
		if err := do(c); err != nil {
			return err
		}
	}
	return nil
}

// content is the sector that a change puts in place.
func (l *logReader) content(p []byte, c change) error {
	if err := l.read(p, c.data); err != nil {
		return err
	}
	copy(p, c.leading[:])
	copy(p[logSector-4:], c.trailing[:])
	return nil
}
