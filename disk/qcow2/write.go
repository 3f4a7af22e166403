package qcow2

import (
	"github.com/panalvm/panal/disk"
)

// maxRun is how much is written in one piece, and so how large a buffer a write can
// need.
const maxRun = 4 << 20

// WriteAt writes p at off.
func (img *image) WriteAt(p []byte, off int64) (int, error) {
	if !img.canWrite {
		return 0, disk.ErrReadOnly
	}
	if done, err := img.writeInPlace(p, off); err != nil {
		return 0, err
	} else if done {
		return len(p), nil
	}
	img.writing.Lock()
	defer img.writing.Unlock()
	if err := disk.InRange(off, int64(len(p)), img.Size()); err != nil {
		return 0, err
	}
	if err := img.touch(); err != nil {
		return 0, err
	}
	return img.write(p, off)
}

// writeInPlace writes where all of a range lies in clusters of its own
// already, in one row; done says that it did. Any number may do so at once.
func (img *image) writeInPlace(p []byte, off int64) (done bool, err error) {
	if !img.touched.Load() || len(p) == 0 {
		return false, nil
	}
	img.gate.RLock()
	defer img.gate.RUnlock()
	n := int64(len(p))
	if disk.InRange(off, n, img.Size()) != nil || (off+n-1)/img.h.l2Span() != off/img.h.l2Span() {
		return false, nil
	}
	table, copied, err := img.l2At(off)
	if err != nil || table == 0 || !copied {
		return false, err
	}
	k, host, err := img.inPlace(table, off, n)
	if err != nil || k < n {
		return false, err
	}
	img.marks.add(off, n)
	_, err = img.data.WriteAt(p, host)
	return err == nil, err
}

// inPlace tells how many of the n bytes at off may be written where they are, in
// one row at host.
func (img *image) inPlace(table, off, n int64) (k, host int64, err error) {
	for at := off; at < off+n; {
		where := img.slot(table, at)
		e, err := img.entryAt(where)
		if err != nil {
			return 0, 0, err
		}
		if err := img.check(e, where); err != nil {
			return 0, 0, err
		}
		in := at & (img.clusterSize() - 1)
		m := min(img.clusterSize()-in, off+n-at)
		if !img.owns(e) || !img.holds(e, in, m) || k > 0 && host+k != e.host()+in {
			break
		}
		if k == 0 {
			host = e.host() + in
		}
		k += m
		at += m
	}
	return k, host, nil
}

// owns tells whether an entry has a host cluster that nobody else uses.
func (img *image) owns(e entry) bool {
	k := img.kindOf(e)
	return (k == normal || k == zeroHosted) && (e.word&flagCopied != 0 || img.dataFile)
}

// holds tells whether all units in a range of a cluster are data.
func (img *image) holds(e entry, in, n int64) bool {
	if img.kindOf(e) != normal {
		return false
	}
	if !img.extended {
		return true
	}
	mask := img.unitMask(in, n)
	return uint32(e.bitmap)&mask == mask
}

// unitMask has a bit for each subcluster that a range of a cluster touches.
func (img *image) unitMask(in, n int64) uint32 {
	unit := img.unit()
	first, last := in/unit, (in+n-1)/unit
	return uint32(1<<(last+1) - 1<<first)
}

// write writes p; writing is held and the range is valid.
func (img *image) write(p []byte, off int64) (int, error) {
	img.marks.add(off, int64(len(p)))
	span := img.h.l2Span()
	for done := 0; done < len(p); {
		at := off + int64(done)
		table, err := img.ownTable(at)
		if err != nil {
			return done, err
		}
		n := min(int64(len(p)-done), (at/span+1)*span-at)
		k, err := img.writeSome(table, p[done:done+int(n)], at)
		if err != nil {
			return done, err
		}
		done += int(k)
		if err := img.relieve(); err != nil {
			return done, err
		}
	}
	return len(p), nil
}

// writeSome writes the begin of p, as much as goes the same way.
func (img *image) writeSome(table int64, p []byte, off int64) (int64, error) {
	k, host, err := img.inPlace(table, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	if k > 0 {
		_, err := img.data.WriteAt(p[:k], host)
		return k, err
	}
	e, err := img.entryAt(img.slot(table, off))
	if err != nil {
		return 0, err
	}
	if img.owns(e) {
		return img.writeHosted(table, e, p, off)
	}
	return img.writeFresh(table, p, off)
}

// ownTable is the L2 table for a disk's offset, to be changed in place: it is
// made, or copied if a snapshot shares it.
func (img *image) ownTable(off int64) (int64, error) {
	index := off >> img.clusterBits / img.h.l2Entries()
	old, copied, err := img.l1Entry(index)
	if err != nil || copied && old != 0 {
		return old, err
	}
	fresh, err := img.take(1)
	if err != nil {
		return 0, err
	}
	if err := img.startTable(fresh, old, img.l1Offset+index*8); err != nil {
		img.untake(fresh, 1)
		return 0, err
	}
	if old != 0 {
		img.giveUp(clusters{first: old >> img.clusterBits, count: 1})
	}
	return fresh, nil
}

// startTable writes an L2 table to fresh, a copy of old if that is not 0, and
// makes the L1 entry at an offset point to it.
func (img *image) startTable(fresh, old, entry int64) error {
	content := make([]byte, img.clusterSize())
	if old != 0 {
		var err error
		if content, err = img.readTable(old); err != nil {
			return err
		}
	}
	if err := img.writeTable(img.tables, fresh, content); err != nil {
		return err
	}
	return img.tables.put(entry, 8, uint64(fresh)|flagCopied)
}

// readTable is the content of an L2 table, with what waits to be written.
func (img *image) readTable(off int64) ([]byte, error) {
	content := make([]byte, img.clusterSize())
	for at := int64(0); at < img.clusterSize(); {
		n, err := img.tables.read(content[at:], off+at)
		if err != nil {
			return nil, err
		}
		at += int64(n)
	}
	return content, nil
}

// setEntry changes an L2 entry.
func (img *image) setEntry(at int64, e entry) error {
	if img.extended {
		return img.tables.putPair(at, e.word, e.bitmap)
	}
	return img.tables.put(at, 8, e.word)
}

// writeHosted writes into a cluster that has its place already, but whose
// units are not all data.
func (img *image) writeHosted(table int64, e entry, p []byte, off int64) (int64, error) {
	in := off & (img.clusterSize() - 1)
	n := min(int64(len(p)), img.clusterSize()-in)
	unit := img.unit()
	from, to := in, in+n
	if !img.holds(e, in, 1) {
		from = in / unit * unit
	}
	if !img.holds(e, in+n-1, 1) {
		to = (in + n + unit - 1) / unit * unit
	}
	if err := img.writeFilled(p[:n], off, e.host()+in, in-from, to-in-n); err != nil {
		return 0, err
	}
	mask := uint64(img.unitMask(in, n))
	e.word = e.word&^flagZero | flagCopied
	if img.extended {
		e.bitmap = (e.bitmap | mask) &^ (mask << 32)
	}
	return n, img.setEntry(img.slot(table, off), e)
}

// writeFresh writes into new clusters, as many as follow each other on the disk
// and need one.
func (img *image) writeFresh(table int64, p []byte, off int64) (int64, error) {
	cs := img.clusterSize()
	in := off & (cs - 1)
	n, old, err := img.needFresh(table, off, min(int64(len(p)), max(maxRun&^(cs-1), cs)-in))
	if err != nil {
		return 0, err
	}
	count := (in + n + cs - 1) >> img.clusterBits
	host := off - in
	if !img.dataFile {
		if host, err = img.take(count); err != nil {
			return 0, err
		}
	}
	first, last := old[0], old[len(old)-1]
	before := in % img.fillUnit(first)
	after := -(in + n) & (img.fillUnit(last) - 1)
	if err := img.writeFilled(p[:n], off, host+in, before, after); err != nil {
		if !img.dataFile {
			img.untake(host, count)
		}
		return 0, err
	}
	return n, img.pointFresh(table, off, n, host, old)
}

// needFresh collects the entries of the clusters from off on that need a new
// place, for at most n bytes.
func (img *image) needFresh(table, off, n int64) (int64, []entry, error) {
	var old []entry
	k := int64(0)
	for k < n {
		where := img.slot(table, off+k)
		e, err := img.entryAt(where)
		if err != nil {
			return 0, nil, err
		}
		if err := img.check(e, where); err != nil {
			return 0, nil, err
		}
		if img.owns(e) {
			break
		}
		old = append(old, e)
		k = min(n, k+img.clusterSize()-(off+k)&(img.clusterSize()-1))
	}
	return k, old, nil
}

// fillUnit is up to which multiple the edges of a write into a new cluster are
// filled: the rest of the units stay as they are, unless the old cluster's data
// has to move.
func (img *image) fillUnit(old entry) int64 {
	if img.moves(old) {
		return img.clusterSize()
	}
	return img.unit()
}

// moves tells whether an entry has data that a new cluster must take over.
func (img *image) moves(old entry) bool {
	k := img.kindOf(old)
	return k == normal || k == compressed
}

// pointFresh points the entries for n bytes at off to the new clusters at host.
func (img *image) pointFresh(table, off, n, host int64, old []entry) error {
	cs := img.clusterSize()
	end := off + n
	base := off &^ (cs - 1)
	for i, was := range old {
		begin := base + int64(i)*cs
		e := entry{word: uint64(host+int64(i)*cs) | flagCopied}
		if img.extended {
			from, to := max(begin, off)-begin, min(begin+cs, end)-begin
			mask := uint64(img.unitMask(from, to-from))
			if img.moves(was) {
				mask = 1<<subclusters - 1
			}
			e.bitmap = mask | was.bitmap&^(1<<subclusters-1)&^(mask<<32)
		}
		if err := img.setEntry(img.slot(table, begin), e); err != nil {
			return err
		}
		img.giveUpEntry(was, false)
	}
	return nil
}

// writeFilled writes p to host, and before and behind it what the disk holds there
// now: before bytes and after bytes.
func (img *image) writeFilled(p []byte, off, host, before, after int64) error {
	if before == 0 && after == 0 {
		_, err := img.data.WriteAt(p, host)
		return err
	}
	size, err := img.data.Size()
	if err != nil {
		return err
	}
	if host-before >= size && !img.encrypted() { // new ground is zero already
		if before, err = img.unlessZero(off-before, before); err != nil {
			return err
		}
		if after, err = img.unlessZero(off+int64(len(p)), after); err != nil {
			return err
		}
	}
	whole := make([]byte, before+int64(len(p))+after)
	if err := img.readOld(whole[:before], off-before); err != nil {
		return err
	}
	copy(whole[before:], p)
	if err := img.readOld(whole[before+int64(len(p)):], off+int64(len(p))); err != nil {
		return err
	}
	_, err = img.data.WriteAt(whole, host-before)
	return err
}

// readOld reads the disk, and zeros behind its end.
func (img *image) readOld(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	n, err := img.inner.ReadAt(p, off)
	clear(p[n:])
	if isEOF(err) {
		return nil
	}
	return err
}

// unlessZero is n, or 0 when the n bytes at off are known to be zero.
func (img *image) unlessZero(off, n int64) (int64, error) {
	zero, err := img.knownZero(off, n)
	if zero {
		return 0, err
	}
	return n, err
}

// knownZero tells whether a range is known to be zero, without reading it.
func (img *image) knownZero(off, n int64) (bool, error) {
	for end := min(off+n, img.end()); off < end; {
		e, err := img.mapAt(off, end-off)
		if err != nil {
			return false, err
		}
		if e.State == disk.Data || e.State == disk.Unallocated && img.shines(off) {
			return false, nil
		}
		off = e.End()
	}
	return true, nil
}
