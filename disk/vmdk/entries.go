package vmdk

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/panalvm/panal/disk"
)

// set changes a grain's entry in both copies of its table; w.alloc is held.
func (w *writer) set(grain int64, entry uint32) error {
	d := w.dir
	t := grain / d.entries
	d.mu.Lock()
	defer d.mu.Unlock()
	if t >= int64(len(d.gd)) {
		return disk.Corrupt(name, offGD, "the grain directory has no entry for grain %d", grain)
	}
	if d.gd[t] == 0 || d.zeroed && d.gd[t] == zeroedEntry {
		at, err := w.addTable(t, w.missingTable(t))
		if err == nil {
			err = w.point(t, at)
		}
		if err != nil {
			return err
		}
	}
	if !w.inFile(d.gd[t]) {
		return disk.Corrupt(name, d.gdAt+4*t, "grain table %d is said to lie at sector %d, behind the end of the file", t, d.gd[t])
	}
	d.used[t/64] |= 1 << (t % 64)
	first := d.entryAt(d.gd[t], grain)
	second := d.secondAt(grain)
	if second == 0 || !w.inFile(d.rgd[t]) {
		return d.cache.SetUint32(first, entry)
	}
	old, err := d.cache.Uint32(first)
	if err != nil {
		return err
	}
	if err := d.cache.SetUint32(first, entry); err != nil {
		return err
	}
	if err := d.cache.SetUint32(second, entry); err != nil {
		return errors.Join(err, d.cache.SetUint32(first, old)) // which is in memory by now: both or none
	}
	return nil
}

// secondAt is where the second copy of a grain's entry lies in the file; 0 if
// there is none. directory.mu is held.
func (d *directory) secondAt(grain int64) int64 {
	if t := grain / d.entries; t < int64(len(d.rgd)) && d.rgd[t] != 0 {
		return d.entryAt(d.rgd[t], grain)
	}
	return 0
}

// inFile tells whether a table lies within the file, behind the header.
func (w *writer) inFile(table uint32) bool {
	at := int64(table) * sector
	return at > 0 && at+4*w.dir.entries <= w.s.end.Load()
}

// addTable puts a grain table, and its copy, behind everything, durably, and
// says where; point is to lead to it then. directory.mu is held.
func (w *writer) addTable(t int64, content []byte) (at int64, err error) {
	if t < int64(len(w.dir.rgd)) {
		content = append(content, content...)
	}
	at, size := w.next, int64(len(content))
	if (at+size)/sector > math.MaxUint32 {
		return 0, disk.Unsupported(name, "the file would exceed the 2 TiB that its tables can address")
	}
	w.next = roundUp(at+size, w.s.grain)
	if _, err := w.s.part.file.WriteAt(content, at); err != nil {
		return 0, err
	}
	w.s.end.Store(max(w.s.end.Load(), at+size))
	return at, w.s.part.file.Sync()
}

// point makes both directories lead to the tables at the given place, in memory.
func (w *writer) point(t, at int64) error {
	d := w.dir
	first := uint32(at / sector)
	if t < int64(len(d.rgd)) {
		second := first + uint32(tableSectors(d.entries))
		if err := d.cache.SetUint32(int64(w.s.header.rgd)*sector+4*t, second); err != nil {
			return err
		}
		d.rgd[t] = second
	}
	if err := d.cache.SetUint32(d.gdAt+4*t, first); err != nil {
		return err
	}
	d.gd[t] = first
	return nil
}

// missingTable is the content of a table in whose place the directory has
// something else: nothing, or that its grains are all zero.
func (w *writer) missingTable(t int64) []byte {
	content := make([]byte, tableSectors(w.dir.entries)*sector)
	for i := range w.dir.entries {
		if w.dir.gd[t] == zeroedEntry {
			binary.LittleEndian.PutUint32(content[4*i:], zeroedEntry)
		}
	}
	return content
}

// drop gives a grain up: it is zero then. without is what the entry becomes.
// w.alloc is held.
func (w *writer) drop(grain int64, without uint32) error {
	p, err := w.dir.at(grain)
	if err != nil {
		return err
	}
	if err := w.set(grain, without); err != nil {
		return err
	}
	if p.state == disk.Data {
		w.given = append(w.given, p.off)
	}
	return nil
}
