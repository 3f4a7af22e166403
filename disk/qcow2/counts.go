package qcow2

import (
	"maps"
	"slices"
)

// counts is how often clusters are used, as the tables have it, for a window of
// the file. When it would take too much memory the window becomes smaller, and
// who counts does so again for the rest.
type counts struct {
	from, to int64 // the window, clusters
	pages    map[int64]*[countPage]uint32
	most     int // pages
}

const (
	countPage  = 4096 // clusters
	countPages = 3072 // 48 MiB
)

func newCounts(from, to int64, most int) *counts {
	return &counts{from: from, to: to, pages: map[int64]*[countPage]uint32{}, most: most}
}

// add counts one use of each of n clusters from first on.
func (c *counts) add(first, n int64) {
	for k, end := max(first, c.from), min(first+n, c.to); k < end; k++ {
		p := c.pages[k/countPage]
		if p == nil {
			if c.makeRoom(); k >= c.to {
				return
			}
			end = min(end, c.to)
			p = new([countPage]uint32)
			c.pages[k/countPage] = p
		}
		if p[k%countPage] != 1<<32-1 {
			p[k%countPage]++
		}
	}
}

// makeRoom gives up the window's upper half when memory is full.
func (c *counts) makeRoom() {
	if len(c.pages) < c.most {
		return
	}
	for _, at := range c.indices()[c.most/2:] {
		delete(c.pages, at)
		c.to = min(c.to, at*countPage)
	}
}

// indices are those of the pages, ascending.
func (c *counts) indices() []int64 {
	return slices.Sorted(maps.Keys(c.pages))
}

// of is how often a cluster is used; it must be in the window.
func (c *counts) of(cluster int64) uint64 {
	p := c.pages[cluster/countPage]
	if p == nil {
		return 0
	}
	return uint64(p[cluster%countPage])
}
