package vmdk

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// decoding finds compressed grains that cannot be decoded: each ends with a
// checksum of its content, which only shows when all is decoded.
type decoding struct {
	*sparse
	ctx   context.Context
	count int
	nth   func(i int) scannedGrain // the ith grain, about in the order of the file
	next  atomic.Int64             // the first piece that nobody has taken

	mu  sync.Mutex
	bad []badGrain // the first disk.MaxFindings
	all int
}

type badGrain struct {
	number, at int64
	err        error
}

// examineContent decodes the grains of a compressed extent: count of them, by
// their numbers and places.
func (s *sparse) examineContent(x *examination, count int, grain func(i int) scannedGrain) {
	d := &decoding{sparse: s, ctx: x.ctx, count: count, nth: grain}
	var wg sync.WaitGroup
	for range min((count+chunk-1)/chunk, runtime.GOMAXPROCS(0), 16) {
		wg.Go(d.work)
	}
	wg.Wait()
	slices.SortFunc(d.bad, func(a, b badGrain) int { return cmp.Compare(a.at, b.at) })
	for _, b := range d.bad {
		x.add(disk.Damage, b.at, nil, "", "grain %d, which is the disk's bytes from %d on in this extent, cannot be decoded: %v", b.number, b.number*s.grain, reason(b.err))
	}
	x.report.More += d.all - len(d.bad)
}

// reason is what an error says besides the place, which the finding has.
func reason(err error) string {
	if f, ok := err.(*disk.FormatError); ok {
		return f.Reason
	}
	return err.Error()
}

// work takes pieces until there are none.
func (d *decoding) work() {
	content := make([]byte, d.sparse.grain)
	raw := make([]byte, d.most())
	for d.ctx.Err() == nil {
		from := int((d.next.Add(1) - 1) * chunk)
		if from >= d.count {
			return
		}
		for i := from; i < min(from+chunk, d.count); i++ {
			if err := d.decode(content, raw, i); err != nil {
				g := d.nth(i)
				d.note(badGrain{g.number, g.off, err})
			}
		}
	}
}

// decode tries one grain. What follows it in the file is not read.
func (d *decoding) decode(content, raw []byte, i int) error {
	g := d.nth(i)
	length := min(int64(len(raw)), d.end.Load()-g.off)
	if i+1 < d.count {
		if room := d.nth(i+1).off - g.off; room > markerHead {
			length = min(length, room)
		}
	}
	raw = raw[:max(0, length)]
	if n, err := d.part.file.ReadAt(raw, g.off); n < len(raw) {
		return err
	}
	return d.inflate(content, min(d.sparse.grain, d.size-g.number*d.sparse.grain), g.off, raw)
}

// note keeps a grain that is damaged, if there are not too many.
func (d *decoding) note(b badGrain) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all++; len(d.bad) < disk.MaxFindings {
		d.bad = append(d.bad, b)
	}
}

// compressed is the ith grain that the tables lead to, in the order of the
// file. Numbers beyond 32 bits are not known here; what they stand for decodes alike.
func (c *tableCheck) compressed(i int) scannedGrain {
	return scannedGrain{int64(uint32(c.grains[i])), int64(c.grains[i]>>32) * sector}
}
