package vhdx

import (
	"slices"

	"github.com/panalvm/panal/disk"
)

// active finds the entries that must be replayed, the oldest first,
// [MS-VHDX] 2.3.2: of all runs of entries with ascending numbers that reach back as far as the
// last of them asks, the one with the highest numbers.
//
// The specification calls a log without any such run corrupt. A power cut
// between naming the log in the header and its first entry leaves just that, with
// nothing to be replayed, and QEMU writes in that order; so it is no error here.
func (l *logReader) active() ([]logEntry, error) {
	var best []logEntry
	for pos := int64(0); pos < l.place.length; {
		run, next, err := l.run(pos)
		if err != nil {
			return nil, err
		}
		if kept := reaching(run); len(kept) > 0 && (best == nil || newest(kept) > newest(best)) {
			best = kept
		}
		pos = max(next, pos+logSector)
	}
	return best, nil
}

func newest(run []logEntry) uint64 { return run[len(run)-1].sequence }

// run reads entries from pos on for as long as each follows on the other. It
// may go past the end of the ring and on at its beginning.
func (l *logReader) run(pos int64) (run []logEntry, next int64, err error) {
	next = pos
	for next-pos < l.place.length {
		e, ok, err := l.entry(next % l.place.length)
		if err != nil {
			return nil, 0, err
		}
		if !ok || len(run) > 0 && e.sequence != newest(run)+1 || e.length > pos+l.place.length-next {
			break
		}
		run = append(run, e)
		next += e.length
	}
	return run, next, nil
}

// reaching is the part of a run from the entry on that its last names as the
// oldest that is needed; nothing, if that is not in the run.
func reaching(run []logEntry) []logEntry {
	if len(run) == 0 {
		return nil
	}
	i := slices.IndexFunc(run, func(e logEntry) bool { return e.pos == run[len(run)-1].tail })
	if i < 0 {
		return nil
	}
	return run[i:]
}

// pending is what the log of a file has to be replayed, nil if nothing.
func pending(f disk.File, h header) (*logReader, []logEntry, error) {
	if h.log.zero() {
		return nil, nil, nil
	}
	l := newLogReader(f, h)
	run, err := l.active()
	if err != nil || len(run) == 0 {
		return nil, nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, nil, err
	}
	if last := run[len(run)-1]; last.flushed > size {
		return nil, nil, disk.Corrupt(name, l.place.off+last.pos, "the file was %d bytes long when the log was written, and is %d: its end was cut off", last.flushed, size)
	}
	return l, run, nil
}

// replay puts what the log holds in its place and makes that durable.
func (l *logReader) replay(run []logEntry) error {
	size, err := l.file.Size()
	if err != nil {
		return err
	}
	if last := run[len(run)-1].last; last > size {
		if err := l.file.Truncate(last); err != nil {
			return err
		}
	}
	sector := make([]byte, logSector)
	for _, e := range run {
		err := l.changes(e, func(c change) error {
			if c.data < 0 {
				return l.zero(c.span)
			}
			if err := l.content(sector, c); err != nil {
				return err
			}
			_, err := l.file.WriteAt(sector, c.off)
			return err
		})
		if err != nil {
			return err
		}
	}
	return l.file.Sync()
}

// zero clears a range, which ends where the file does: behind it all is zero.
func (l *logReader) zero(s span) error {
	size, err := l.file.Size()
	if err != nil || s.off >= size {
		return err
	}
	return disk.PunchHole(l.file, s.off, min(s.length, size-s.off))
}
