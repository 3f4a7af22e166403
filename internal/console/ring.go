package console

// ring keeps the last bytes written to it.
type ring struct {
	data []byte
	next int  // where the next byte goes
	full bool // the ring has wrapped: data[next:] is older than data[:next]
}

func newRing(size int) *ring { return &ring{data: make([]byte, size)} }

// Write never fails.
func (r *ring) Write(p []byte) (int, error) {
	n := len(p)
	if n >= len(r.data) {
		copy(r.data, p[n-len(r.data):])
		r.next, r.full = 0, true
		return n, nil
	}
	copied := copy(r.data[r.next:], p)
	copy(r.data, p[copied:])
	r.full = r.full || r.next+n >= len(r.data)
	r.next = (r.next + n) % len(r.data)
	return n, nil
}

// tail is a copy of the last bytes, at most n.
func (r *ring) tail(n int) []byte {
	var all []byte
	if r.full {
		all = append(all, r.data[r.next:]...)
	}
	all = append(all, r.data[:r.next]...)
	return all[max(0, len(all)-n):]
}
