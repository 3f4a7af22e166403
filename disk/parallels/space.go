package parallels

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"

	"github.com/panalvm/panal/disk"
)

// run is a row of clusters in the file.
type run struct{ off, n int64 } // bytes

// space is where new clusters go.
type space struct {
	cluster int64
	end     int64 // where the file is made longer
	limit   int64 // the largest offset of a cluster
	free    []run // places that nothing points to, durably
	pending []run // places that were given up since the last sync
}

// maxTries is how many free runs are looked at before the file is made
// longer instead.
const maxTries = 64

// take finds room for n bytes, whole clusters, in one piece. What is fresh lies behind
// all that was ever written, and reads as zeros.
func (s *space) take(n int64) (off int64, fresh bool, err error) {
	for i := range min(len(s.free), maxTries) {
		r := &s.free[i]
		if r.n < n {
			continue
		}
		off = r.off
		r.off, r.n = r.off+n, r.n-n
		if r.n == 0 {
			s.free = append(s.free[:i], s.free[i+1:]...)
		}
		return off, false, nil
	}
	off, err = s.extend(n)
	return off, true, err
}

// extend takes room behind all that was ever written.
func (s *space) extend(n int64) (off int64, err error) {
	off = s.end
	if n > s.limit-off {
		return 0, disk.Unsupported(name, "the image is full: its block table cannot point beyond %d bytes of the file", s.limit)
	}
	s.end += n
	return off, nil
}

// give makes a run free.
func (s *space) give(r run) {
	if last := len(s.free) - 1; last >= 0 && s.free[last].off+s.free[last].n == r.off {
		s.free[last].n += r.n
		return
	}
	s.free = append(s.free, r)
}

// dropTail gives up free places at the end of the file.
func (s *space) dropTail() (changed bool) {
	slices.SortFunc(s.free, func(a, b run) int { return cmp.Compare(a.off, b.off) })
	for last := len(s.free) - 1; last >= 0 && s.free[last].off+s.free[last].n == s.end; last-- {
		s.end, s.free = s.free[last].off, s.free[:last]
		changed = true
	}
	return changed
}

// maxPlaces is how many places for clusters are watched: 32 MiB of bits. A file that
// has more of them is checked without looking for overlaps.
const maxPlaces = 256 << 20

// survey is what is known of a file's clusters after reading the whole BAT.
type survey struct {
	h       header
	base    int64
	size    int64    // of the file
	used    []uint64 // a bit for each place
	places  int64    // whole or begun, in the file
	watched bool     // used is kept
	end     int64    // behind the last cluster, in or out of the file

	allocated int64 // clusters of the disk
	overlaps  int64
	outside   int64 // beyond the end of the file
	inTable   int64
	unaligned int64
	foreign   bool // some places may be used by what we do not know
}

// survey reads the whole BAT. alloc is held, or nobody writes.
func (x *expanding) survey() (*survey, error) {
	return x.surveyWith(context.Background(), nil)
}

// surveyWith calls found, unless it is nil, for each entry that is wrong.
func (x *expanding) surveyWith(ctx context.Context, found func(index int64, p problem)) (*survey, error) {
	size, err := x.file.Size()
	if err != nil {
		return nil, err
	}
	size = max(size, x.known.Load())
	s := newSurvey(x.h, size, x.ext)
	for i := int64(0); i < int64(x.h.entries); i++ {
		if i = x.emptyTo(i); i >= int64(x.h.entries) {
			break
		}
		if i%(1<<10) == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e, err := x.entry(i)
		if err != nil {
			return nil, err
		}
		if e == 0 {
			continue
		}
		if p := s.add(int64(e) * s.h.unit()); p != fine && found != nil {
			found(i, p)
		}
	}
	return s, nil
}

func newSurvey(h header, size int64, ext *extension) *survey {
	s := &survey{h: h, base: h.base(), size: size, foreign: ext.foreign()}
	s.end = max(s.base, size)
	s.places = ceilDiv(max(0, size-s.base), h.cluster())
	if s.places <= maxPlaces {
		s.watched = true
		s.used = make([]uint64, ceilDiv(s.places, 64))
	}
	for _, off := range ext.places() {
		s.mark(off)
	}
	return s
}

// problem is what is wrong with a BAT entry.
type problem int

const (
	fine problem = iota
	overlapping
	beyondFile
	inTable
	misaligned
)

// add counts a cluster of the disk.
func (s *survey) add(off int64) problem {
	s.allocated++
	switch {
	case off < s.h.tableEnd():
		s.inTable++
		return inTable
	case off >= s.size:
		s.outside++
		return beyondFile
	}
	s.end = max(s.end, off+s.h.cluster())
	if !s.mark(off) {
		s.overlaps++
		return overlapping
	}
	if (off-s.base)%s.h.cluster() != 0 {
		s.unaligned++
		return misaligned
	}
	return fine
}

// mark notes that a cluster lies at off; it is false when there is one.
func (s *survey) mark(off int64) bool {
	cluster := s.h.cluster()
	if !s.watched || off <= s.base-cluster {
		return true
	}
	free := true
	// One that is not aligned takes two places.
	first, last := max(0, off-s.base)/cluster, (off+cluster-1-s.base)/cluster
	for i := first; i <= last && i < s.places; i++ {
		if s.used[i/64]&(1<<(i%64)) != 0 && (off-s.base)%cluster == 0 {
			free = false
		}
		s.used[i/64] |= 1 << (i % 64)
	}
	return free
}

// isUsed tells whether a place holds a cluster.
func (s *survey) isUsed(place int64) bool {
	return place < s.places && s.used[place/64]&(1<<(place%64)) != 0
}

// count is how many places hold clusters.
func (s *survey) count() int64 {
	n := 0
	for _, w := range s.used {
		n += bits.OnesCount64(w)
	}
	return int64(n)
}

// unsafe says why the image must not be written to; "" if it may.
func (s *survey) unsafe() string {
	switch {
	case s.overlaps > 0:
		return fmt.Sprintf("%d clusters lie where others do", s.overlaps)
	case s.outside > 0:
		return fmt.Sprintf("%d clusters lie beyond the end of the file", s.outside)
	case s.inTable > 0:
		return fmt.Sprintf("%d clusters lie within the block table", s.inTable)
	}
	return ""
}

// space is what can be written to. Places that nothing points to are free at
// once: whatever wrote them died before it pointed to them.
func (s *survey) space() *space {
	cluster := s.h.cluster()
	sp := &space{cluster: cluster, end: s.base + roundUp(s.end-s.base, cluster), limit: s.h.maxOffset()}
	if !s.watched || s.foreign || s.unaligned > 0 {
		return sp
	}
	// The last place is left out if the file ends in it.
	for i := range (s.size - s.base) / cluster {
		if !s.isUsed(i) {
			sp.give(run{s.base + i*cluster, cluster})
		}
	}
	return sp
}
