package vmdk

import (
	"encoding/binary"
	"io"
	"sort"

	"github.com/panalvm/panal/disk"
)

// Kinds of markers: Virtual Disk Format 5.0, "Markers". A grain's marker has a
// length where these have 0, and no kind.
const (
	markEnd       = 0
	markTable     = 1
	markDirectory = 2
	markFooter    = 3
)

// marker is what stands before each part of a stream.
type marker struct {
	value uint64 // sectors of a table, or where a grain belongs on the disk
	size  uint32 // bytes of a compressed grain, else 0
	kind  uint32
}

func decodeMarker(p []byte) marker {
	le := binary.LittleEndian
	return marker{le.Uint64(p), le.Uint32(p[8:]), le.Uint32(p[12:])}
}

func (m marker) encode() []byte {
	p := make([]byte, sector)
	binary.LittleEndian.PutUint64(p, m.value)
	binary.LittleEndian.PutUint32(p[8:], m.size)
	binary.LittleEndian.PutUint32(p[12:], m.kind)
	return p
}

// next is where the marker behind this one lies, which lies at off.
func (m marker) next(off int64) int64 {
	switch {
	case m.size > 0:
		return off + (markerHead+int64(m.size)+sector-1)/sector*sector
	case m.kind == markTable || m.kind == markDirectory:
		return off + sector + int64(m.value)*sector
	}
	return off + 2*sector
}

// scanned finds grains by a list of them that was made from their markers.
type scanned struct {
	grains   []scannedGrain // ascending
	ended    bool           // the marker of the end was found
	to       int64          // how far markers were found, bytes
	foreign  int            // grains outside of the disk
	replaced int            // grains that came again later, which counts
}

type scannedGrain struct{ number, off int64 }

// scan goes along the markers of a stream from the first to the last.
func (s *sparse) scan() error {
	found := &scanned{}
	at := int64(s.header.overhead) * sector
	if s.header.overhead == 0 || s.header.overhead > maxCapacity {
		at = max(int64(s.header.descOffset+s.header.descSize), 1) * sector
	}
	head := make([]byte, 16)
	for {
		found.to = at
		if n, err := s.part.file.ReadAt(head, at); n < len(head) {
			if err != nil && err != io.EOF {
				return err
			}
			break
		}
		m := decodeMarker(head)
		if m.size == 0 && m.kind == markEnd && m.value == 0 {
			found.ended = true
			break
		}
		if !found.take(s, m, at) {
			break
		}
		at = m.next(at)
	}
	if len(found.grains) == 0 && !found.ended {
		return s.lost
	}
	found.sort()
	s.find, s.scanned = found, found
	return nil
}

// take notes a marker; false means that it is none.
func (f *scanned) take(s *sparse, m marker, at int64) bool {
	if m.size == 0 {
		return m.kind <= markFooter && m.value < 1<<32
	}
	grain := int64(s.header.grain)
	switch {
	case int64(m.size) > 2*s.grain+4096 || m.next(at) > s.end.Load()+sector-1:
		return false
	case m.value >= s.header.capacity || int64(m.value)%grain != 0:
		f.foreign++
	default:
		f.grains = append(f.grains, scannedGrain{int64(m.value) / grain, at})
	}
	return true
}

// sort orders the grains by number; of those that come twice the later counts.
func (f *scanned) sort() {
	sort.SliceStable(f.grains, func(i, j int) bool { return f.grains[i].number < f.grains[j].number })
	kept := f.grains[:0]
	for i, g := range f.grains {
		if i+1 < len(f.grains) && f.grains[i+1].number == g.number {
			f.replaced++
			continue
		}
		kept = append(kept, g)
	}
	f.grains = kept
}

// search is the index of the first grain from the given number on.
func (f *scanned) search(number int64) int {
	return sort.Search(len(f.grains), func(i int) bool { return f.grains[i].number >= number })
}

func (f *scanned) at(number int64) (place, error) {
	if i := f.search(number); i < len(f.grains) && f.grains[i].number == number {
		return place{disk.Data, f.grains[i].off}, nil
	}
	return place{}, nil
}

func (f *scanned) missing(number int64) int64 {
	i := f.search(number)
	if i == len(f.grains) {
		return 1 << 30 // no more
	}
	return f.grains[i].number - number
}
