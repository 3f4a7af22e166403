package vhdx

import (
	"errors"
	"fmt"
	"io"

	"github.com/panalvm/panal/disk"
)

// overlay is a file as it is once its log is replayed. It keeps in memory
// where in the log each sector lies, and no content.
type overlay struct {
	disk.File
	log     *logReader
	size    int64
	sectors map[int64]placed // by their number in the file
	zeros   []placedZeros    // in the log's order
}

// placed is the newest change of a sector; order is its place among all.
type placed struct {
	change
	order int
}

type placedZeros struct {
	span
	order int
}

// newOverlay takes in the changes of a run.
func newOverlay(f disk.File, l *logReader, run []logEntry) (*overlay, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	o := &overlay{File: f, log: l, size: max(size, run[len(run)-1].last), sectors: map[int64]placed{}}
	order := 0
	for _, e := range run {
		err := l.changes(e, func(c change) error {
			order++
			if c.data < 0 {
				o.zeros = append(o.zeros, placedZeros{c.span, order})
				return nil
			}
			o.sectors[c.off/logSector] = placed{c, order}
			o.size = max(o.size, c.off+logSector)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Size is the file's length once the log is replayed.
func (o *overlay) Size() (int64, error) { return o.size, nil }

// ReadAt reads what the file holds once the log is replayed.
func (o *overlay) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, disk.ErrRange)
	}
	n := int(min(int64(len(p)), max(o.size-off, 0)))
	k, err := o.File.ReadAt(p[:n], off)
	if err != nil && !errors.Is(err, io.EOF) {
		return k, err
	}
	clear(p[k:n])
	if err := o.patch(p[:n], off); err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// patch lays over p, read at off, what the log says.
func (o *overlay) patch(p []byte, off int64) error {
	for _, z := range o.zeros {
		if from, to := max(z.off, off), min(z.end(), off+int64(len(p))); from < to {
			clear(p[from-off : to-off])
		}
	}
	sector := make([]byte, logSector)
	for n := off / logSector; n*logSector < off+int64(len(p)); n++ {
		c, ok := o.sectors[n]
		if !ok || o.cleared(c) {
			continue
		}
		if err := o.log.content(sector, c.change); err != nil {
			return err
		}
		from := max(n*logSector, off)
		copy(p[from-off:], sector[from-n*logSector:])
	}
	return nil
}

// cleared tells whether zeros were logged over a sector later.
func (o *overlay) cleared(c placed) bool {
	for i := len(o.zeros) - 1; i >= 0 && o.zeros[i].order > c.order; i-- {
		if o.zeros[i].overlaps(c.span) {
			return true
		}
	}
	return false
}

// WriteAt refuses: the overlay is for reading.
func (*overlay) WriteAt([]byte, int64) (int, error) { return 0, disk.ErrReadOnly }

// Truncate refuses.
func (*overlay) Truncate(int64) error { return disk.ErrReadOnly }

// Sync has nothing to do.
func (*overlay) Sync() error { return nil }
