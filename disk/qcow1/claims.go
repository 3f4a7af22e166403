package qcow1

import (
	"maps"
	"slices"
)

// claims is who uses which sectors of a window of the file. When it would take too
// much memory the window becomes smaller, and who claims does so again for the
// rest.
type claims struct {
	from, to int64 // the window, sectors
	pages    map[int64]*claimPage
}

// claimPage has two bits for each of its sectors: somebody has it alone; somebody
// shares it, as compressed clusters do, which begin at any byte.
type claimPage struct {
	alone, shared [claimSectors / 64]uint64
}

const (
	sectorSize   = 512
	claimSectors = 4096
	maxClaims    = 16384 // pages, 16 MiB
)

func newClaims(from, to int64) *claims {
	return &claims{from: from, to: to, pages: map[int64]*claimPage{}}
}

// add claims n bytes at off; it tells whether they were free. What begins or ends
// within a sector is taken to share it.
func (c *claims) add(off, n int64, alone bool) bool {
	if n <= 0 {
		return true
	}
	alone = alone && off%sectorSize == 0
	free := true
	for k, end := max(off/sectorSize, c.from), min((off+n-1)/sectorSize+1, c.to); k < end; k++ {
		p := c.pages[k/claimSectors]
		if p == nil {
			if c.makeRoom(); k >= c.to {
				break
			}
			end = min(end, c.to)
			p = new(claimPage)
			c.pages[k/claimSectors] = p
		}
		word, bit := &p.alone[k%claimSectors/64], uint64(1)<<(k%64)
		other := &p.shared[k%claimSectors/64]
		if *word&bit != 0 || alone && *other&bit != 0 {
			free = false
		}
		if alone {
			*word |= bit
		} else {
			*other |= bit
		}
	}
	return free
}

// makeRoom gives up the window's upper half when memory is full.
func (c *claims) makeRoom() {
	if len(c.pages) < maxClaims {
		return
	}
	for _, at := range slices.Sorted(maps.Keys(c.pages))[maxClaims/2:] {
		delete(c.pages, at)
		c.to = min(c.to, at*claimSectors)
	}
}

// free tells whether nobody has any of n sectors.
func (c *claims) free(sector, n int64) bool {
	for k := sector; k < sector+n; k++ {
		p := c.pages[k/claimSectors]
		if p != nil && (p.alone[k%claimSectors/64]|p.shared[k%claimSectors/64])&(1<<(k%64)) != 0 {
			return false
		}
	}
	return true
}
