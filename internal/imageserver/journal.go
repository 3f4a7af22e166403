package imageserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/disk"
)

// journal is an image that a machine writes, with a record of all that was
// written since it was last made durable. The numbers are widths in bytes, all
// is little endian:
//
//	begin 8 │ records …                              what is before begin is done with
//	record:  kind 8 │ offset 8 │ length 8 │ data     data of a write only
//
// A record is appended after the image was changed and before that is told to the
// guest, its data before its head, whose kind is not zero: so a record is whole or
// is none. What is carried out again is carried out in the order in which
// it was told, and what the image has of it already does no harm.
//
// The journal is never synced. It is for the server's death, not for a power
// cut: after that the guest is gone as well, and knows what it has flushed.
type journal struct {
	disk.Image
	writer disk.Writer

	syncing sync.Mutex // one sync at a time; taken before mu
	mu      sync.Mutex // guards what follows, and the order of records
	file    *os.File
	begin   int64 // of the first record that counts
	end     int64 // of the last
}

// Kinds of records.
const (
	recordWrite = 1
	recordZero  = 2
)

const (
	journalStart = 8
	recordHead   = 24
	// maxJournal is how much a journal may hold before the image is synced
	// although the guest has not asked. The file is in memory on most computers.
	maxJournal = 32 << 20
)

// openJournal makes an image that is open for writing one with a journal, after
// it has carried out what an earlier server has left in it.
func openJournal(img disk.Image, file *os.File) (*journal, error) {
	writer, ok := img.(disk.Writer)
	if !ok || !writer.CanWrite() {
		return nil, disk.ErrReadOnly
	}
	j := &journal{Image: img, writer: writer, file: file, begin: journalStart, end: journalStart}
	if err := j.carryOut(); err != nil {
		return nil, fmt.Errorf("write what an image server before this one has not written: %w", err)
	}
	return j, nil
}

// carryOut does again what the journal holds, and empties it.
func (j *journal) carryOut() error {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, recordHead)
	if _, err := j.file.ReadAt(head[:journalStart], 0); err == nil {
		j.begin = max(journalStart, int64(binary.LittleEndian.Uint64(head)))
	}
	for at := j.begin; at+recordHead <= info.Size(); {
		if _, err := j.file.ReadAt(head, at); err != nil {
			return err
		}
		kind, off := binary.LittleEndian.Uint64(head), int64(binary.LittleEndian.Uint64(head[8:]))
		n := int64(binary.LittleEndian.Uint64(head[16:]))
		if kind == 0 {
			break // it was never completed, and so never told
		}
		if err := disk.InRange(off, n, j.Size()); err != nil {
			return err
		}
		at += recordHead
		if err := j.repeat(kind, off, n, at); err != nil {
			return err
		}
		if kind == recordWrite {
			at += n
		}
	}
	if err := j.writer.Sync(); err != nil {
		return err
	}
	return j.empty()
}

func (j *journal) repeat(kind uint64, off, n, at int64) error {
	switch kind {
	case recordZero:
		return disk.Zero(j.Image, off, n)
	case recordWrite:
		if n > maxJournal*2 {
			return errors.New("its journal is damaged")
		}
		data := make([]byte, n)
		if _, err := j.file.ReadAt(data, at); err != nil {
			return err
		}
		_, err := j.writer.WriteAt(data, off)
		return err
	}
	return errors.New("its journal is damaged")
}

// empty drops all records. The records go first: a begin without any is that
// of an empty journal.
func (j *journal) empty() error {
	if err := j.file.Truncate(journalStart); err != nil {
		return err
	}
	j.begin, j.end = journalStart, journalStart
	return j.setBegin()
}

func (j *journal) setBegin() error {
	_, err := j.file.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(j.begin)), 0)
	return err
}

// WriteAt writes.
func (j *journal) WriteAt(p []byte, off int64) (int, error) {
	n, err := j.writer.WriteAt(p, off)
	if err != nil {
		return n, err
	}
	return n, j.note(recordWrite, off, int64(n), p)
}

// ZeroAt makes a range zero.
func (j *journal) ZeroAt(off, n int64) error {
	if err := disk.Zero(j.Image, off, n); err != nil {
		return err
	}
	return j.note(recordZero, off, n, nil)
}

// DiscardAt gives a range up. Its content may be what it was at any time after,
// so it is in no journal.
func (j *journal) DiscardAt(off, n int64) error { return disk.Discard(j.Image, off, n) }

// note appends a record. When the journal is full, or cannot be written, what it
// is for is made durable instead.
func (j *journal) note(kind uint64, off, n int64, data []byte) error {
	full, err := j.append(kind, off, n, data)
	if full || err != nil {
		return j.Sync()
	}
	return nil
}

func (j *journal) append(kind uint64, off, n int64, data []byte) (full bool, err error) {
	head := binary.LittleEndian.AppendUint64(make([]byte, 0, recordHead), kind)
	head = binary.LittleEndian.AppendUint64(head, uint64(off))
	head = binary.LittleEndian.AppendUint64(head, uint64(n))
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.WriteAt(data, j.end+recordHead); err != nil {
		return false, err
	}
	if _, err := j.file.WriteAt(head, j.end); err != nil {
		return false, err
	}
	j.end += recordHead + int64(len(data))
	return j.end-j.begin > maxJournal, nil
}

// Sync makes durable what was written before, and drops the records of that.
func (j *journal) Sync() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	durable := j.end // what records before it tell is in the image already
	j.mu.Unlock()
	if err := j.writer.Sync(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.end == durable {
		return j.empty()
	}
	before := j.begin
	j.begin = durable
	if err := j.setBegin(); err != nil {
		return err
	}
	// Where the file system has no holes the file only takes more room.
	_ = unix.Fallocate(int(j.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, before, durable-before)
	return nil
}

// CanWrite is true.
func (j *journal) CanWrite() bool { return true }

// Map describes what the image holds.
func (j *journal) Map(off, n int64) (disk.Extent, error) { return disk.MapAt(j.Image, off, n) }

// Parent is the image's.
func (j *journal) Parent() disk.Image { return disk.Parent(j.Image) }

// Describe is the image's word.
func (j *journal) Describe() disk.Info { return disk.Describe(j.Image) }

// Close closes the image, which writes out what is not durable yet, and then
// the journal, which holds nothing any more.
func (j *journal) Close() error {
	if err := j.Sync(); err != nil {
		return errors.Join(err, j.Image.Close(), j.file.Close())
	}
	return errors.Join(j.Image.Close(), j.file.Close())
}
