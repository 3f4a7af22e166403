package vmdk

import (
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// sparse is an extent that holds grains where something was written: hosted
// sparse, COWD, seSparse, and the compressed ones.
type sparse struct {
	part    *part
	kind    kind
	header  header // of hosted ones
	size    int64  // bytes of the disk
	covered int64  // of these, bytes that the tables cover; what is behind them is unallocated
	grain   int64  // bytes
	find    locator
	end     atomic.Int64 // the length of the file, bytes

	writer  *writer      // of hosted sparse extents that are open for writing, else nil
	codec   *decoder     // of compressed ones, else nil
	scanned *scanned     // of compressed ones whose tables are of no use, else nil
	lost    error        // why they are
	facts   []disk.Field // of COWD and seSparse, for Dump
}

// kind is how an extent keeps its content.
type kind int

const (
	hosted kind = iota // SPARSE
	cowd               // VMFSSPARSE
	se                 // SESPARSE
)

// maxRun bounds how far one call looks, in grains.
const maxRun = 1 << 16

// locate describes what the extent holds at off.
func (s *sparse) locate(off, n int64) (disk.Extent, error) {
	if off >= s.covered {
		return disk.Extent{Len: n}, nil
	}
	n = min(n, s.covered-off)
	i := off / s.grain
	if skip := s.find.missing(i); skip > 0 {
		return disk.Extent{Len: min(n, s.absent(i, skip, off+n)-off)}, nil
	}
	first, err := s.find.at(i)
	if err != nil {
		return disk.Extent{}, err
	}
	e := disk.Extent{State: first.state}
	if first.state == disk.Data {
		e.HostOff = first.off + off%s.grain
		e.Compressed = s.codec != nil
		if !e.Compressed {
			e.File = s.part.file
		}
	}
	last := s.run(i, first, off+n)
	e.Len = min(n, (last+1)*s.grain-off)
	return e, s.whole(e)
}

// absent is the end, in bytes, of the unallocated range that begins with grain
// i and has at least count grains, as far as it is known at once.
func (s *sparse) absent(i, count, end int64) int64 {
	next := i + count
	for next*s.grain < end {
		more := s.find.missing(next)
		if more == 0 {
			break
		}
		next += more
	}
	return next * s.grain
}

// run is the last grain, before end, that carries on what grain i began. Of
// unallocated ones it goes on behind a table only as far as that is known
// without reading the next.
func (s *sparse) run(i int64, first place, end int64) int64 {
	last := i
	for next := i + 1; next*s.grain < end && next-i < maxRun; next++ {
		if first.state == disk.Unallocated && next%int64(s.header.entries) == 0 {
			if skip := s.find.missing(next); skip > 0 {
				return s.absent(next, skip, end)/s.grain - 1
			}
		}
		p, err := s.find.at(next)
		if err != nil || p.state != first.state { // the error comes again when it is asked for
			break
		}
		if p.state == disk.Data && s.codec == nil && p.off != first.off+(next-i)*s.grain {
			break
		}
		last = next
	}
	return last
}

// whole refuses data of which a part lies behind the end of the file.
func (s *sparse) whole(e disk.Extent) error {
	if e.State != disk.Data || e.Compressed || e.HostOff+e.Len <= s.end.Load() {
		return nil
	}
	return disk.Corrupt(name, e.HostOff, "the file %sends at %d, within a grain: it is truncated", s.part.label(), s.end.Load())
}
