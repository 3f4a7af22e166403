package vhdx

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// next writes a header with a change into the place that does not rule, so
// that one that is torn leaves the other. It is not yet durable; what was written before
// with next must be.
func (h headers) next(f disk.File, change func(*header)) (headers, error) {
	h.slot = 1 - h.slot
	h.sequence++
	change(&h.header)
	_, err := f.WriteAt(h.encode(), headerPlaces[h.slot])
	h.faults[h.slot] = err
	return h, err
}

// journal writes the log. Each entry stands alone: it is put in place before
// the next is written, so its tail is itself.
type journal struct {
	file     disk.File
	place    span
	id       guid // of this session's entries
	pos      int64
	sequence uint64 // of the newest entry, 0 before the first
	named    bool   // the ruling header names the log
	loose    bool   // the ruling header or the first entry is not durable
}

func newJournal(f disk.File, h headers) (*journal, error) {
	if h.logLength < mib {
		return nil, disk.Unsupported(name, "the image has no room for a log, so it cannot be changed safely; convert it")
	}
	return &journal{file: f, place: span{h.logOffset, h.logLength}, id: newGUID()}, nil
}

// renew makes all entries so far invalid.
func (j *journal) renew() { j.id, j.sequence = newGUID(), 0 }

// capacity is how many sectors an entry takes at most: half of the log, so
// that the entry before is still whole when this one is torn.
func (j *journal) capacity() int {
	n := int(j.place.length/2/logSector) - 1
	for descriptorSectors(n)+int64(n) > j.place.length/2/logSector {
		n--
	}
	return n
}

// append writes an entry that replaces the sectors; it is not yet durable. size is
// how long the file is, durably.
func (j *journal) append(list []sector, size int64) error {
	head := descriptorSectors(len(list)) * logSector
	p := make([]byte, head+int64(len(list))*logSector)
	j.sequence++
	e := logEntry{length: int64(len(p)), tail: j.pos, sequence: j.sequence, count: len(list), log: j.id, flushed: size, last: size}
	e.encode(p)
	for i, s := range list {
		encodeChange(p[entryHeader+i*descriptor:], p[head+int64(i)*logSector:], s, j.sequence)
	}
	binary.LittleEndian.PutUint32(p[4:], sum(p, 4))
	if err := j.write(p); err != nil {
		return err
	}
	j.pos = (j.pos + int64(len(p))) % j.place.length
	return nil
}

// encodeChange makes a descriptor and its data sector.
func encodeChange(d, data []byte, s sector, sequence uint64) {
	copy(d, "desc")
	copy(d[4:8], s.data[logSector-4:])
	copy(d[8:16], s.data[:8])
	binary.LittleEndian.PutUint64(d[16:], uint64(s.off))
	binary.LittleEndian.PutUint64(d[24:], sequence)
	copy(data[:logSector], s.data)
	copy(data, "data")
	binary.LittleEndian.PutUint32(data[4:], uint32(sequence>>32))
	binary.LittleEndian.PutUint32(data[logSector-4:], uint32(sequence))
}

// write writes into the ring.
func (j *journal) write(p []byte) error {
	n := min(int64(len(p)), j.place.length-j.pos)
	if _, err := j.file.WriteAt(p[:n], j.place.off+j.pos); err != nil {
		return err
	}
	if n == int64(len(p)) {
		return nil
	}
	_, err := j.file.WriteAt(p[n:], j.place.off)
	return err
}
