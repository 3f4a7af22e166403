package qcow1

import (
	"context"
	"fmt"

	"github.com/panalvm/panal/disk"
)

// Check looks at all pointers: where they lead, and whether two lead to the same.
func (m *image) Check(ctx context.Context) (disk.Report, error) {
	m.writing.Lock()
	defer m.writing.Unlock()
	return m.survey(ctx)
}

// damage is what forbids writing, nil if nothing does.
func (m *image) damage() error {
	report, err := m.survey(context.Background())
	if err != nil {
		return err
	}
	for _, f := range report.Findings {
		if f.Severity == disk.Damage {
			return disk.Corrupt(formatName, f.Offset, "%s; the image can only be read: convert it", f.Reason)
		}
	}
	return nil
}

// survey is Check for those who hold writing.
func (m *image) survey(ctx context.Context) (disk.Report, error) {
	size, err := m.file.Size()
	if err != nil {
		return disk.Report{}, err
	}
	report := disk.Report{Blocks: (m.Size() + m.shape.clusterSize() - 1) >> m.shape.clusterBits}
	for from := int64(0); from <= (size-1)/sectorSize; {
		w := &walk{m: m, ctx: ctx, size: size, claims: newClaims(from, size/sectorSize+1), report: &report, first: from == 0}
		if err := w.all(); err != nil {
			return report, err
		}
		w.leaks()
		from = w.claims.to
	}
	if report.Leaked > 0 {
		report.Add(disk.Finding{
			Severity: disk.Leak, Offset: -1, Reason: fmt.Sprintf("%d bytes are used by nothing; a conversion leaves them out", report.Leaked),
		})
	}
	return report, nil
}

// walk goes through all that the image points to, for a window of the file.
type walk struct {
	m      *image
	ctx    context.Context
	size   int64 // of the file
	claims *claims
	report *disk.Report
	first  bool // the first window: it finds what is no matter of place
}

func (w *walk) damage(at int64, reason string, args ...any) {
	w.report.Add(disk.Finding{Severity: disk.Damage, Offset: at, Reason: fmt.Sprintf(reason, args...)})
}

// all walks everything; it fails only when the file cannot be read.
func (w *walk) all() error {
	m := w.m
	w.claims.add(0, headerBytes, false)
	w.claims.add(m.h.backingOffset, int64(m.h.backingLen), false)
	w.claims.add(m.shape.l1Offset, m.shape.l1Bytes(), false)
	room := w.size/m.shape.tableBytes() + 1 // tables; if there are more, they are not all different
	for off := int64(0); off < m.Size(); off += m.shape.span() {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		at := m.l1Slot(off)
		v, err := m.tables.Uint64(at)
		if err != nil {
			return err
		}
		if v == 0 {
			continue
		}
		if room--; room < 0 {
			w.once(at, "the L1 table names more L2 tables than the file has room for")
			return nil
		}
		if err := w.table(at, v, min(off+m.shape.span(), m.Size())-off); err != nil {
			return err
		}
	}
	return nil
}

// once tells of damage that each window would find.
func (w *walk) once(at int64, reason string, args ...any) {
	if w.first {
		w.damage(at, reason, args...)
	}
}

// table walks the L2 table at v for n bytes of the disk; the entry at where points to it.
func (w *walk) table(where int64, v uint64, n int64) error {
	m := w.m
	length := m.shape.tableBytes()
	if v%8 != 0 || v < headerBytes || v > uint64(w.size) || length > w.size-int64(v) {
		w.once(where, "an L2 table at %#x, where none can be", v)
		return nil
	}
	if !w.claims.add(int64(v), length, true) {
		w.damage(where, "an L2 table at %#x overlaps something else", v)
	}
	for off := int64(0); off < n; off += m.shape.clusterSize() {
		at := m.slot(int64(v), off)
		entry, err := m.tables.Uint64(at)
		if err != nil {
			return err
		}
		if entry != 0 {
			w.entry(at, entry)
		}
	}
	return nil
}

// entry looks at where an L2 entry leads.
func (w *walk) entry(where int64, entry uint64) {
	if w.first {
		w.report.Allocated++
	}
	packed := entry&compressedFlag != 0
	off, n := int64(entry), w.m.shape.clusterSize()
	if packed {
		off, n = w.m.shape.packed(entry)
	}
	switch {
	case off < headerBytes || off >= w.size || packed && n > w.size-off || n > w.m.shape.aligned(w.size)-off:
		w.once(where, "a cluster of %d bytes at %#x, where none can be", n, off)
	case !w.claims.add(off, min(n, w.size-off), !packed):
		w.damage(where, "a cluster at %#x overlaps something else", off)
	}
}

// leaks counts the clusters of the file in which nothing lies.
func (w *walk) leaks() {
	cs := w.m.shape.clusterSize()
	step := cs / sectorSize
	for k := (w.claims.from + step - 1) / step * step; (k+step)*sectorSize <= w.size && k+step <= w.claims.to; k += step {
		if w.claims.free(k, step) {
			w.report.Leaked += cs
		}
	}
}
