package vhdx

// units says for each MiB of the file whether it is used.
type units []uint64

func newUnits(size int64) units { return make(units, (size+mib-1)/mib/64+1) }

func (u units) has(n int64) bool { return n/64 < int64(len(u)) && u[n/64]>>(n%64)&1 != 0 }

// mark takes a range and tells whether some of it was taken before.
func (u units) mark(s span) (taken bool) {
	for n := s.off / mib; n*mib < s.end() && n/64 < int64(len(u)); n++ {
		taken = taken || u.has(n)
		u[n/64] |= 1 << (n % 64)
	}
	return taken
}

// gap is the first range at or behind from, and before end, that is not
// used; of no length, if there is none.
func (u units) gap(from, end int64) span {
	n, last := from/mib, (end+mib-1)/mib
	for n < last && u.has(n) {
		if n%64 == 0 && u[n/64] == ^uint64(0) {
			n += 64
			continue
		}
		n++
	}
	first := n
	for n < last && !u.has(n) {
		n++
	}
	return span{first * mib, max(n-first, 0) * mib}
}
