package vmdk

import (
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
		if err := w.addTable(t); err != nil {
			return err
		}
	}
	if !w.inFile(d.gd[t]) {
		return disk.Corrupt(name, d.gdAt+4*t, "grain table %d is said to lie at sector %d, behind the end of the file", t, d.gd[t])
	}
	d.used[t/64] |= 1 << (t % 64)
	if err := d.cache.SetUint32(d.entryAt(d.gd[t], grain), entry); err != nil {
		return err
	}
	if t < int64(len(d.rgd)) && d.rgd[t] != 0 && w.inFile(d.rgd[t]) {
		return d.cache.SetUint32(d.entryAt(d.rgd[t], grain), entry)
	}
	return nil
}

// inFile tells whether a table lies within the file, behind the header.
func (w *writer) inFile(table uint32) bool {
	at := int64(table) * sector
	return at > 0 && at+4*w.dir.entries <= w.s.end.Load()
}

// addTable makes a missing grain table, and its copy; directory.mu is held.
func (w *writer) addTable(t int64) error {
	d := w.dir
	size := tableSectors(d.entries) * sector
	copies := int64(1)
	if t < int64(len(d.rgd)) {
		copies = 2
	}
	at := w.next
	if (at+copies*size)/sector > math.MaxUint32 {
		return disk.Unsupported(name, "the file would exceed the 2 TiB that its tables can address")
	}
	if err := w.s.part.file.Truncate(at + copies*size); err != nil {
		return err
	}
	w.s.part.dirty.Store(true)
	w.next = roundUp(at+copies*size, w.s.grain)
	w.s.end.Store(max(w.s.end.Load(), at+copies*size))
	if err := w.pointTo(d.gd, d.gdAt, t, at); err != nil || copies == 1 {
		return err
	}
	return w.pointTo(d.rgd, int64(w.s.header.rgd)*sector, t, at+size)
}

// pointTo makes a directory lead to a new table. One that stood for zeros is
// filled with entries that do.
func (w *writer) pointTo(gd []uint32, gdAt, t, at int64) error {
	if gd[t] == zeroedEntry {
		for i := range w.dir.entries {
			if err := w.dir.cache.SetUint32(at+4*i, zeroedEntry); err != nil {
				return err
			}
		}
	}
	gd[t] = uint32(at / sector)
	return w.dir.cache.SetUint32(gdAt+4*t, gd[t])
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
