package ova

import (
	"fmt"
	"io"
)

// Limits bound what is read. Zero values mean the defaults.
type Limits struct {
	Members int   // how many there may be; 10,000
	Total   int64 // bytes of the whole archive, decompressed; 64 TiB
	// Ratio is how many bytes may come out of each that goes in, of a compressed
	// archive and beyond its first 64 MiB; 2,000. A gzip stream has never more
	// than 1,032.
	Ratio int64
}

const (
	freeOfRatio = 64 << 20
	maxNames    = 8 << 20  // bytes of all names together
	maxHeaders  = 16 << 20 // bytes between the content of one member and the next
	maxSmall    = 8 << 20  // bytes of a manifest or certificate
	maxTrailing = 64 << 20 // bytes behind the end
)

func (l Limits) orDefaults() Limits {
	if l.Members == 0 {
		l.Members = 10_000
	}
	if l.Total == 0 {
		l.Total = 64 << 40
	}
	if l.Ratio == 0 {
		l.Ratio = 2000
	}
	return l
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// bounded is the archive as a stream of tar, within limits.
type bounded struct {
	r      io.Reader
	limits Limits
	packed *counter // what went into the decompressor; nil if there is none
	n      int64    // bytes read
	header int64    // where the headers that are being read may end at most; 0 in content
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	switch {
	case b.n > b.limits.Total:
		return 0, fmt.Errorf("the archive has more than %d bytes: %w", b.limits.Total, ErrLimit)
	case b.packed != nil && b.n > freeOfRatio && b.n/b.limits.Ratio > b.packed.n:
		return 0, fmt.Errorf("%d bytes came out of %d, more than %d of each: %w", b.n, b.packed.n, b.limits.Ratio, ErrLimit)
	case b.header > 0 && b.n > b.header:
		return 0, fmt.Errorf("headers of more than %d bytes: %w", maxHeaders, ErrLimit)
	}
	return n, err
}
