package qcow2

import (
	"context"
	"errors"

	"github.com/panalvm/panal/disk"
)

// compaction gives back space in three steps: clusters of zeros, then the tail of
// the file moved down, then the end of the file. Between them, and each few
// megabytes, it syncs: so what is moved is pointed to before its old place is free.
type compaction struct {
	img      *image
	ctx      context.Context
	progress func(done, total int64)
	done     int64
	total    int64
	limit    int64 // clusters from here on are to be moved below
	low      int64 // below this no cluster is free
	moved    int64 // bytes since the last sync
	blob     int64 // where compressed clusters go on, in the file; 0 if nowhere
	blobEnd  int64
	full     bool // no cluster is free below limit
	buffer   []byte
}

// Compact makes the file as short as it can become without changing what
// snapshots share.
func (img *image) Compact(ctx context.Context, progress func(done, total int64)) (int64, error) {
	if !img.canWrite {
		return 0, disk.ErrReadOnly
	}
	if img.encrypted() {
		return 0, disk.Unsupported(formatName, "an encrypted image cannot be compacted: what is moved would have to be encrypted anew; a copy of it is compact")
	}
	img.writing.Lock()
	defer img.writing.Unlock()
	if err := img.touch(); err != nil {
		return 0, err
	}
	before, err := img.file.Size()
	if err != nil {
		return 0, err
	}
	if err := img.reclaim(ctx); err != nil {
		return 0, err
	}
	c := &compaction{img: img, ctx: ctx, progress: progress, total: 2 * img.Size(), buffer: make([]byte, max(1<<20, img.clusterSize()))}
	if err := c.run(); err != nil {
		return 0, err
	}
	after, err := img.file.Size()
	return max(before-after, 0), err
}

// reclaim gives back what nothing uses, as a power cut leaves it. Of an image
// with damage nobody knows what is free.
func (img *image) reclaim(ctx context.Context) error {
	if err := img.sync(); err != nil {
		return err
	}
	w, err := img.newWalker(ctx)
	if err != nil {
		return err
	}
	var bad error
	leaks := 0
	w.found = func(f disk.Finding) {
		if f.Severity == disk.Damage && bad == nil {
			bad = disk.Corrupt(formatName, f.Offset, "%s; repair the image before it is compacted", f.Reason)
		}
	}
	err = img.compare(w, func(cluster int64, stored, used uint64) error {
		if stored < used {
			return disk.Corrupt(formatName, cluster<<img.clusterBits, "a cluster with refcount %d is used %d times; repair the image before it is compacted", stored, used)
		}
		leaks++
		return nil
	})
	if err = errors.Join(err, bad); err != nil || leaks == 0 {
		return err
	}
	img.gate.Lock()
	defer img.gate.Unlock()
	img.alloc = allocator{}
	return img.lower(ctx)
}

func (c *compaction) run() error {
	img := c.img
	if err := c.eachTable(c.zeros); err != nil {
		return err
	}
	if err := img.sync(); err != nil {
		return err
	}
	if err := c.aim(); err != nil {
		return err
	}
	if err := c.eachTable(c.lower); err != nil {
		return err
	}
	if err := c.lowerTables(); err != nil {
		return err
	}
	if err := img.sync(); err != nil {
		return err
	}
	return img.truncateTail()
}

// truncateTail cuts the file behind the last used cluster.
func (img *image) truncateTail() error {
	if err := img.refs.flushBlocks(); err != nil {
		return err
	}
	if err := img.file.Sync(); err != nil {
		return err
	}
	img.alloc = allocator{}
	if err := img.startAllocating(); err != nil {
		return err
	}
	size, err := img.file.Size()
	if err != nil {
		return err
	}
	end := img.alloc.tail << img.clusterBits
	if size == end {
		return nil
	}
	if err := img.file.Truncate(end); err != nil {
		return err
	}
	return img.file.Sync()
}

// eachTable does something for each L2 table of the current state.
func (c *compaction) eachTable(do func(table, off, end int64) error) error {
	img := c.img
	span := img.h.l2Span()
	for off := int64(0); off < img.Size(); off += span {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		end := min(off+span, img.Size())
		table, copied, err := img.l2At(off)
		if err != nil {
			return err
		}
		if table != 0 && copied {
			if err := do(table, off, end); err != nil {
				return err
			}
			if err := img.relieve(); err != nil {
				return err
			}
		}
		if c.done += end - off; c.progress != nil {
			c.progress(c.done, c.total)
		}
	}
	return nil
}

// zeros forgets the clusters of a table that hold only zeros.
func (c *compaction) zeros(table, off, end int64) error {
	img := c.img
	if !img.zeroFlag && !img.extended && img.shines(off) {
		return nil
	}
	for off < end {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if img.extended {
			if err := c.zeroUnits(table, off); err != nil {
				return err
			}
			off += img.clusterSize()
			continue
		}
		n, host, err := img.inPlace(table, off, min(end-off, int64(len(c.buffer))))
		if err != nil {
			return err
		}
		if n == 0 {
			off += img.clusterSize()
			continue
		}
		if err := c.zerosIn(table, off, n, host); err != nil {
			return err
		}
		off += n
	}
	return nil
}

// zerosIn looks through n bytes of clusters that lie at host. Nobody may
// write meanwhile.
func (c *compaction) zerosIn(table, off, n, host int64) error {
	img := c.img
	img.gate.Lock()
	defer img.gate.Unlock()
	p, err := c.content(host, n)
	if err != nil {
		return err
	}
	cs := img.clusterSize()
	for at := int64(0); at < n; at += cs {
		m := min(cs, n-at)
		if !allZero(p[at : at+m]) {
			continue
		}
		if err := c.hollow(host+at, m); err != nil {
			return err
		}
		if img.h.autoclear&autoclearDataFileRaw != 0 {
			continue
		}
		if err := img.clearCluster(table, off+at, cs); err != nil {
			return err
		}
	}
	return nil
}

// zeroUnits forgets a cluster with subclusters, if those of them that are data
// hold only zeros. Nobody may write meanwhile.
func (c *compaction) zeroUnits(table, off int64) error {
	img := c.img
	img.gate.Lock()
	defer img.gate.Unlock()
	at := img.slot(table, off)
	e, err := img.entryAt(at)
	if err != nil {
		return err
	}
	if err := img.check(e, at); err != nil || img.kindOf(e) != normal || !img.owns(e) {
		return err
	}
	cs, unit := img.clusterSize(), img.unit()
	p, err := c.content(e.host(), cs)
	if err != nil {
		return err
	}
	for i := range int64(subclusters) {
		if e.bitmap>>i&1 != 0 && !allZero(p[i*unit:(i+1)*unit]) {
			return nil
		}
	}
	if err := c.hollow(e.host(), cs); err != nil || img.h.autoclear&autoclearDataFileRaw != 0 {
		return err
	}
	const here = 1<<subclusters - 1
	if err := img.setEntry(at, entry{bitmap: e.bitmap&^here | e.bitmap&here<<subclusters}); err != nil {
		return err
	}
	img.giveUpEntry(e, true)
	return nil
}

// content is what lies at an offset of the file that holds the disk's content.
func (c *compaction) content(host, n int64) ([]byte, error) {
	p := c.buffer[:n]
	k, err := c.img.data.ReadAt(p, host)
	if err != nil && !isEOF(err) {
		return nil, err
	}
	clear(p[k:])
	return p, nil
}

// hollow gives back the room of zeros in an external data file, where every
// cluster has its place for ever.
func (c *compaction) hollow(off, n int64) error {
	img := c.img
	size, err := img.data.Size()
	if n = min(n, size-off); err != nil || !img.outside() || n <= 0 {
		return err
	}
	return disk.PunchHole(img.data, off, n)
}

// aim finds out up to where the file could be full.
func (c *compaction) aim() error {
	img := c.img
	img.alloc.ready = false
	if err := img.startAllocating(); err != nil {
		return err
	}
	used := int64(0)
	for k := range img.alloc.tail {
		v, err := img.refs.get(k)
		if err != nil {
			return err
		}
		if v != 0 {
			used++
		}
	}
	c.limit, c.low = used, 1
	return nil
}

// take allocates the lowest free cluster; 0 if none is free below limit.
func (c *compaction) take() (int64, error) {
	img := c.img
	for ; c.low < c.limit; c.low++ {
		v, err := img.refs.get(c.low)
		if err != nil {
			return 0, err
		}
		if v == 0 {
			c.low++
			return (c.low - 1) << img.clusterBits, img.refs.set(c.low-1, 1)
		}
	}
	c.full = true
	return 0, nil
}

// lower moves the clusters of a table that lie behind limit, and the table.
func (c *compaction) lower(table, off, end int64) error {
	img := c.img
	for at := off; at < end && !c.full; at += img.clusterSize() {
		if err := c.lowerCluster(img.slot(table, at)); err != nil {
			return err
		}
		if err := c.pause(); err != nil {
			return err
		}
	}
	if c.full || table>>img.clusterBits < c.limit {
		return nil
	}
	return c.lowerL2(table, off)
}

// pause syncs now and then.
func (c *compaction) pause() error {
	if c.moved < 64<<20 && len(c.img.alloc.pending) < maxPending {
		return nil
	}
	c.moved = 0
	if err := c.ctx.Err(); err != nil {
		return err
	}
	return c.img.sync()
}

// lowerCluster moves what the entry at an offset points to.
func (c *compaction) lowerCluster(at int64) error {
	img := c.img
	e, err := img.entryAt(at)
	if err != nil {
		return err
	}
	if err := img.check(e, at); err != nil {
		return err
	}
	if img.kindOf(e) == compressed {
		return c.lowerBlob(at, e)
	}
	if img.dataFile || !img.owns(e) || e.host()>>img.clusterBits < c.limit {
		return nil
	}
	to, err := c.take()
	if err != nil || to == 0 {
		return err
	}
	img.gate.Lock()
	defer img.gate.Unlock()
	if err := c.copy(e.host(), to, img.clusterSize()); err != nil {
		return err
	}
	moved := e
	moved.word = e.word&^offsetMask | uint64(to)
	if err := img.setEntry(at, moved); err != nil {
		return err
	}
	img.giveUpEntry(e, false)
	return nil
}

// lowerBlob moves a compressed cluster.
func (c *compaction) lowerBlob(at int64, e entry) error {
	img := c.img
	off, n := img.span(e)
	if (off+n-1)>>img.clusterBits < c.limit {
		return nil
	}
	size, err := img.file.Size()
	if err != nil {
		return err
	}
	if n = min(n, size-off); n <= 0 || n > img.clusterSize() {
		return nil
	}
	to, err := c.takeBytes(n)
	if err != nil || to == 0 {
		return err
	}
	if err := c.copy(off, to, n); err != nil {
		return err
	}
	if err := img.setEntry(at, img.compressedEntry(to, n)); err != nil {
		return err
	}
	img.giveUpEntry(e, false)
	return nil
}

// takeBytes finds room for a compressed cluster, behind the one before it if that
// leaves room in its host cluster.
func (c *compaction) takeBytes(n int64) (int64, error) {
	img := c.img
	if c.blobEnd-c.blob >= n {
		k := c.blob >> img.clusterBits
		v, err := img.refs.get(k)
		if err != nil {
			return 0, err
		}
		if v < img.refs.most() {
			c.blob += n
			return c.blob - n, img.refs.set(k, v+1)
		}
	}
	to, err := c.take()
	if err != nil || to == 0 {
		return 0, err
	}
	c.blob, c.blobEnd = to+n, to+img.clusterSize()
	return to, nil
}

// copy copies a part of the file.
func (c *compaction) copy(from, to, n int64) error {
	p := c.buffer[:n]
	k, err := c.img.file.ReadAt(p, from)
	if err != nil && !isEOF(err) {
		return err
	}
	clear(p[k:])
	c.moved += n
	_, err = c.img.file.WriteAt(p, to)
	return err
}

// lowerL2 moves an L2 table.
func (c *compaction) lowerL2(table, off int64) error {
	img := c.img
	to, err := c.take()
	if err != nil || to == 0 {
		return err
	}
	content, err := img.readTable(table)
	if err != nil {
		return err
	}
	if err := img.writeTable(img.tables, to, content); err != nil {
		return err
	}
	if err := img.tables.put(img.l1Offset+off/img.h.l2Span()*8, 8, uint64(to)|flagCopied); err != nil {
		return err
	}
	img.giveUp(clusters{first: table >> img.clusterBits, count: 1})
	return nil
}

// lowerTables moves refcount blocks, and the L1 and refcount tables if they fit
// into one row below.
func (c *compaction) lowerTables() error {
	img := c.img
	if err := img.sync(); err != nil {
		return err
	}
	for index := int64(0); index < img.refs.entries() && !c.full; index++ {
		block, err := img.refs.block(index)
		if err != nil {
			return err
		}
		if block>>img.clusterBits >= c.limit {
			if err := c.lowerBlock(index, block); err != nil {
				return err
			}
		}
	}
	if err := img.sync(); err != nil {
		return err
	}
	if err := c.lowerL1(); err != nil {
		return err
	}
	return c.lowerRefTable()
}

// lowerBlock moves a refcount block. What was changed in it is written to its
// old place first.
func (c *compaction) lowerBlock(index, block int64) error {
	img := c.img
	to, err := c.take()
	if err != nil || to == 0 {
		return err
	}
	if err := img.refs.flushBlocks(); err != nil {
		return err
	}
	img.refs.blocks.drop(to, img.clusterSize())
	if err := c.copy(block, to, img.clusterSize()); err != nil {
		return err
	}
	if err := img.refs.table.put(img.h.refTableOffset+index*8, 8, uint64(to)); err != nil {
		return err
	}
	img.giveUp(clusters{first: block >> img.clusterBits, count: 1})
	return nil
}

// row finds n free clusters in a row below limit, and takes them; 0 if there
// are none.
func (c *compaction) row(n int64) (int64, error) {
	img := c.img
	free := int64(0)
	for k := int64(1); k < c.limit; k++ {
		v, err := img.refs.get(k)
		if err != nil {
			return 0, err
		}
		if free++; v != 0 {
			free = 0
		}
		if free < n {
			continue
		}
		for i := k - n + 1; i <= k; i++ {
			if err := img.refs.set(i, 1); err != nil {
				return 0, err
			}
		}
		return (k - n + 1) << img.clusterBits, nil
	}
	return 0, nil
}

// lowerL1 moves the L1 table.
func (c *compaction) lowerL1() error {
	img := c.img
	cs := img.clusterSize()
	n := (img.l1Size*8 + cs - 1) >> img.clusterBits
	if n == 0 || img.l1Offset>>img.clusterBits+n <= c.limit {
		return nil
	}
	to, err := c.row(n)
	if err != nil || to == 0 {
		return err
	}
	content := make([]byte, n*cs)
	if k, err := img.file.ReadAt(content[:img.l1Size*8], img.l1Offset); err != nil && (!isEOF(err) || int64(k) < img.l1Size*8) {
		return err
	}
	if err := img.writeTable(img.tables, to, content); err != nil {
		return err
	}
	if err := img.sync(); err != nil {
		return err
	}
	if err := img.switchL1(to, img.l1Size); err != nil {
		return err
	}
	return img.sync()
}

// lowerRefTable moves the refcount table.
func (c *compaction) lowerRefTable() error {
	img := c.img
	n := int64(img.h.refTableLen)
	if img.h.refTableOffset>>img.clusterBits+n <= c.limit {
		return nil
	}
	to, err := c.row(n)
	if err != nil || to == 0 {
		return err
	}
	if err := img.sync(); err != nil {
		return err
	}
	content, err := img.copyRefTable(n << img.clusterBits)
	if err != nil {
		return err
	}
	if _, err := img.file.WriteAt(content, to); err != nil {
		return err
	}
	if err := img.switchRefTable(to, n, img.alloc.tail); err != nil {
		return err
	}
	return img.sync()
}
