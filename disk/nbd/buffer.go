package nbd

import "sync"

// headroom is kept free in front of every payload, so that header and payload
// are sent as one. The longest header is an extended one with the offset of a
// data chunk: 40 bytes.
const headroom = 64

// sizes are how long the payloads of buffers can be. A single power of two
// after another would keep more memory apart than it saves.
var sizes = [...]int{512, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20, maxPayload}

// buffer is a payload with room for a header in front.
type buffer struct {
	room     []byte
	from, to int // what is filled
	class    int // index into sizes
}

// size is what the buffer counts for.
func (b *buffer) size() int { return sizes[b.class] }

// payload is what lies behind the headroom.
func (b *buffer) payload() []byte { return b.room[headroom:b.to] }

// bytes is everything that is filled.
func (b *buffer) bytes() []byte { return b.room[b.from:b.to] }

// resize sets how long the payload is, and takes headers off.
func (b *buffer) resize(n int) []byte {
	b.from, b.to = headroom, headroom+n
	return b.payload()
}

// prepend fills n more bytes in front.
func (b *buffer) prepend(n int) []byte {
	b.from -= n
	return b.room[b.from : b.from+n]
}

// class finds the smallest size that holds n bytes.
func class(n int) int {
	for i, size := range sizes {
		if n <= size {
			return i
		}
	}
	panic("nbd: a buffer longer than any request")
}

// sizeFor is what a buffer for n bytes counts for.
func sizeFor(n int) int { return sizes[class(n)] }

// pool keeps buffers that are not in use.
type pool struct {
	free [len(sizes)]sync.Pool
}

func newPool() *pool {
	p := &pool{}
	for i, size := range sizes {
		p.free[i].New = func() any { return &buffer{room: make([]byte, headroom+size), class: i} }
	}
	return p
}

// get gives a buffer whose payload has n bytes of whatever content.
func (p *pool) get(n int) *buffer {
	b := p.free[class(n)].Get().(*buffer)
	b.resize(n)
	return b
}

func (p *pool) put(b *buffer) { p.free[b.class].Put(b) }
