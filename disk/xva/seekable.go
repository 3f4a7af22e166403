package xva

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// chunk is a part of a disk, and where it lies in an archive that is not
// compressed.
type chunk struct {
	off, n int64 // on the disk
	number int64
	pos    int64 // in the archive
	sumPos int64
	sumLen int32
	sum    string
}

// seekable is a disk of an archive that is not compressed.
type seekable struct {
	a      *archive
	d      Disk
	chunks []chunk
	sound  []atomic.Bool // chunks that matched their digests
	pool   sync.Pool     // of *[]byte, for chunks that are read in part
}

var (
	_ disk.Mapper    = (*seekable)(nil)
	_ disk.Checker   = (*seekable)(nil)
	_ disk.Describer = (*seekable)(nil)
)

// openSeekable goes through all headers once.
func openSeekable(a *archive, d Disk) (*seekable, error) {
	x := &seekable{a: a, d: d}
	w, err := a.walk()
	if err != nil {
		return nil, err
	}
	c := counter{size: d.Size}
	for {
		h, err := w.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, a.unreadable(w.at(), "the archive", err)
		}
		if m, ok := parseMember(h.Name); ok && m.ref == d.Ref {
			if err := x.add(m, h.Size, w.at(), &c); err != nil {
				return nil, err
			}
		}
	}
	if len(x.chunks) == 0 && d.Size > 0 {
		return nil, disk.Corrupt(name, -1, "the archive has no chunk of %s", d.Ref)
	}
	if x.d.Size == 0 {
		x.d.Size = c.at
	}
	x.sound = make([]atomic.Bool, len(x.chunks))
	return x, nil
}

func (x *seekable) add(m member, size, at int64, c *counter) error {
	if size > x.a.size-at {
		return x.a.corrupt(at, "%s/%08d has %d bytes and goes beyond the end of the file at %#x", m.ref, m.number, size, x.a.size)
	}
	last := len(x.chunks) - 1
	if m.sum != "" {
		if last >= 0 && x.chunks[last].number == m.number {
			if size > maxDigest {
				return x.a.longDigest(m, size, at)
			}
			x.chunks[last].sum, x.chunks[last].sumPos, x.chunks[last].sumLen = m.sum, at, int32(size)
		}
		return nil
	}
	off, err := x.a.place(c, m, size, at)
	if err != nil || size == 0 {
		return err
	}
	x.chunks = append(x.chunks, chunk{off: off, n: size, number: m.number, pos: at})
	return nil
}

// Size is the disk's.
func (x *seekable) Size() int64 { return x.d.Size }

// Close closes the archive.
func (x *seekable) Close() error { return x.a.file.Close() }

// find is the first chunk that ends behind off.
func (x *seekable) find(off int64) int {
	return sort.Search(len(x.chunks), func(i int) bool { return x.chunks[i].off+x.chunks[i].n > off })
}

// Map describes the range at off. Data is not given a place in the file, for
// who read it there would not compare the digests.
func (x *seekable) Map(off, n int64) (disk.Extent, error) {
	e := disk.Extent{Off: off, Len: n}
	i := x.find(off)
	if i == len(x.chunks) {
		return e, nil
	}
	if first := x.chunks[i].off; first > off {
		e.Len = min(n, first-off)
		return e, nil
	}
	e.State = disk.Data
	end := x.chunks[i].off + x.chunks[i].n
	for i++; i < len(x.chunks) && x.chunks[i].off == end && end < off+n; i++ {
		end += x.chunks[i].n
	}
	e.Len = min(n, end-off)
	return e, nil
}

// ReadAt reads the disk. A chunk that is read for the first time is compared
// with its digest.
func (x *seekable) ReadAt(p []byte, off int64) (int, error) {
	return disk.ReadThrough(x, p, off, x.decode)
}

func (x *seekable) decode(e disk.Extent, p []byte) error {
	for i, off := x.find(e.Off), e.Off; len(p) > 0; i++ {
		c := &x.chunks[i]
		within := off - c.off
		k := min(int64(len(p)), c.n-within)
		if err := x.read(i, p[:k], within); err != nil {
			return err
		}
		p, off = p[k:], off+k
	}
	return nil
}

// read reads a part of a chunk.
func (x *seekable) read(i int, p []byte, within int64) error {
	c := &x.chunks[i]
	if int64(len(p)) == c.n {
		return x.readWhole(i, p)
	}
	if x.sound[i].Load() {
		return readFull(x.a.file, p, c.pos+within)
	}
	whole, _ := x.pool.Get().(*[]byte)
	if whole == nil || int64(cap(*whole)) < c.n {
		fresh := make([]byte, c.n)
		whole = &fresh
	}
	defer x.pool.Put(whole)
	q := (*whole)[:c.n]
	if err := x.readWhole(i, q); err != nil {
		return err
	}
	copy(p, q[within:])
	return nil
}

// readWhole reads a chunk and compares it with its digest.
func (x *seekable) readWhole(i int, p []byte) error {
	c := &x.chunks[i]
	if err := readFull(x.a.file, p, c.pos); err != nil || x.sound[i].Load() {
		return err
	}
	sum := make([]byte, c.sumLen)
	if err := readFull(x.a.file, sum, c.sumPos); err != nil {
		return err
	}
	m := member{ref: x.d.Ref, number: c.number}
	if err := x.a.verify(m, p, c.sum, string(sum), c.pos); err != nil {
		return err
	}
	if err := x.a.padded(m, p, c.off, x.d.Size, c.pos); err != nil {
		return err
	}
	x.sound[i].Store(true)
	return nil
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return disk.Corrupt(name, off, "the file ends within a chunk")
	}
	return err
}

// Check compares all chunks with their digests.
func (x *seekable) Check(ctx context.Context) (disk.Report, error) {
	var (
		r       disk.Report
		buffer  []byte
		reached int64
	)
	for i := range x.chunks {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		c := &x.chunks[i]
		x.sound[i].Store(false)
		if int64(len(buffer)) < c.n {
			buffer = make([]byte, c.n)
		}
		err := x.read(i, buffer[:c.n], 0)
		if err := report(&r, c.pos, c.number, c.sum, err); err != nil {
			return r, err
		}
		reached = c.off + c.n
	}
	if len(x.chunks) > 0 {
		begin(&r, x.chunks[0].number)
	}
	finish(&r, x.d, reached)
	return r, nil
}

// longDigest says that a digest is none.
func (a *archive) longDigest(m member, size, at int64) error {
	return a.corrupt(at, "the digest of chunk %s/%08d has %d bytes; no digest is longer than %d", m.ref, m.number, size, maxDigest)
}

// begin says what is to be said of the first chunk, which is always there.
func begin(r *disk.Report, number int64) {
	if number > 0 {
		r.Add(disk.Finding{Severity: disk.Damage, Offset: -1, Reason: fmt.Sprintf("the first chunk is missing: they begin with %08d", number)})
	}
}

// report adds what reading a chunk showed. An error is one that says nothing
// of the chunk.
func report(r *disk.Report, at, number int64, sum string, err error) error {
	r.Allocated++
	var bad *checksumError
	switch {
	case errors.As(err, &bad):
		r.Add(disk.Finding{Severity: disk.Damage, Offset: bad.Offset, Reason: bad.Reason})
	case err != nil:
		return err
	case sum == "":
		r.Add(disk.Finding{Severity: disk.Note, Offset: at, Reason: fmt.Sprintf("chunk %08d has no digest", number)})
	}
	return nil
}

// finish says what is to be said of the whole disk.
func finish(r *disk.Report, d Disk, reached int64) {
	r.Blocks = (d.Size + 1<<20 - 1) >> 20
	if reached < d.Size {
		r.Add(disk.Finding{Severity: disk.Damage, Offset: -1, Reason: fmt.Sprintf("the last chunk is missing: the chunks end at %d of %d bytes, the export may be incomplete", reached, d.Size)})
	}
}

// Describe says what the disk is.
func (x *seekable) Describe() disk.Info { return describe(x.a, x.d) }

func describe(a *archive, d Disk) disk.Info {
	i := disk.Info{
		Format: name, Variant: a.kind, Size: d.Size, Allocated: a.size, BlockSize: 1 << 20, Comment: d.Name,
		Compressed: a.kind != variantPlain, Details: []disk.Detail{{Name: "disk", Value: d.Ref}},
	}
	for _, v := range a.vdis {
		if v.ref != d.Ref {
			i.Details = append(i.Details, disk.Detail{Name: "other disk", Value: v.ref})
		}
	}
	return i
}
