package qcow2

import (
	"context"
	"errors"
	"fmt"

	"github.com/panalvm/panal/disk"
)

// What Repair does about findings.
const (
	leakRemedy    = "lower the refcount"
	rebuildRemedy = "count anew and write a new refcount table"
	copiedRemedy  = "set the flag by the refcount"
	markRemedy    = "clear the mark if all else is right"
)

// withheld is why refcounts and flags stay as they are.
const withheld = "pointers lead nowhere, which may be why clusters seem to be leaked: no refcount is lowered and no flag changed while that is so; save what can be read with a conversion, or put the pointers right"

func isCorrupt(err error) bool {
	var bad *disk.FormatError
	return errors.As(err, &bad)
}

// Check compares refcounts with use, flags with refcounts, and looks at all
// pointers.
func (img *image) Check(ctx context.Context) (disk.Report, error) {
	img.writing.Lock()
	defer img.writing.Unlock()
	img.gate.RLock()
	defer img.gate.RUnlock()
	return img.check2(ctx)
}

// check2 is Check for those who hold the locks.
func (img *image) check2(ctx context.Context) (disk.Report, error) {
	report := disk.Report{Blocks: (img.Size() + img.clusterSize() - 1) >> img.clusterBits}
	w, err := img.newWalker(ctx)
	if err != nil {
		return report, err
	}
	w.found = report.Add
	copied := copiedCheck{img: img, found: report.Add}
	w.data, w.pointer = copied.data, copied.pointer
	if img.h.incompatible&incompatDirty != 0 {
		report.Add(disk.Finding{Severity: disk.Note, Offset: 72, Reason: "the image was not closed; refcounts may be wrong", Remedy: rebuildRemedy})
	}
	if img.h.incompatible&incompatCorrupt != 0 {
		report.Add(disk.Finding{Severity: disk.Damage, Offset: 72, Reason: "the image is marked as corrupt", Remedy: markRemedy})
	}
	joined := joiner{report: &report, clusterBits: img.clusterBits, end: w.clusters}
	err = img.compare(w, joined.mismatch)
	joined.flush()
	report.Allocated = w.allocated
	if w.broken {
		withhold(&report)
	}
	return report, errors.Join(err, copied.err)
}

// withhold takes back the remedies that would make damage worse: what seems lost
// may belong to the tables that the broken pointers led to, and is found
// again when these are put right.
func withhold(report *disk.Report) {
	held := 0
	for i, f := range report.Findings {
		switch {
		case f.Remedy == leakRemedy && f.Severity == disk.Leak, f.Remedy == copiedRemedy, f.Remedy == markRemedy:
			report.Findings[i].Remedy = ""
			held++
		case f.Remedy == leakRemedy:
			report.Findings[i].Remedy = "" // behind the end of the file
		}
	}
	if held > 0 || report.More > 0 {
		report.Findings = append(report.Findings, disk.Finding{Severity: disk.Note, Offset: -1, Reason: withheld})
	}
}

// compare walks, window after window, and tells of each cluster whose
// refcount is not how often it is used.
func (img *image) compare(w *walker, mismatch func(cluster int64, stored, used uint64) error) error {
	for from := int64(0); from < w.clusters; {
		c := newCounts(from, w.clusters, countPages)
		w.use = c.add
		if err := w.all(); err != nil {
			return err
		}
		if err := img.compareWindow(w, c, mismatch); err != nil {
			return err
		}
		from = c.to
		w.found, w.data, w.pointer = nil, nil, nil // they know by now
	}
	return img.compareBeyond(w, mismatch)
}

// compareWindow compares the clusters of a window that are used or have a block.
func (img *image) compareWindow(w *walker, c *counts, mismatch func(int64, uint64, uint64) error) error {
	per := img.refs.perBlock
	for k := c.from; k < c.to; {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		next := min(c.to, (k/per+1)*per, (k/countPage+1)*countPage)
		block, err := img.refs.block(k / per)
		if err != nil && !isCorrupt(err) {
			return err
		}
		if block == 0 && c.pages[k/countPage] == nil {
			k = next
			continue
		}
		for ; k < next; k++ {
			stored, err := img.refs.get(k)
			if err != nil && !isCorrupt(err) {
				return err
			}
			if err != nil {
				stored = 0
			}
			if used := c.of(k); used != stored {
				if err := mismatch(k, stored, used); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// compareBeyond looks for refcounts of clusters behind the end of the file.
func (img *image) compareBeyond(w *walker, mismatch func(int64, uint64, uint64) error) error {
	per := img.refs.perBlock
	blocks := int64(0) // as many as the file has room for, or they are not all different
	for index := w.clusters / per; index < img.refs.entries() && blocks <= w.clusters; index++ {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		block, err := img.refs.block(index)
		if err != nil || block == 0 || block>>img.clusterBits >= w.clusters {
			continue // told already
		}
		blocks++
		for k := max(index*per, w.clusters); k < (index+1)*per; k++ {
			stored, err := img.refs.get(k)
			if err != nil {
				return err
			}
			if stored == 0 {
				continue
			}
			if err := mismatch(k, stored, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// joiner makes one finding of neighbours with the same refcounts.
type joiner struct {
	report       *disk.Report
	clusterBits  uint32
	end          int64 // clusters of the file
	first, count int64
	stored, used uint64
}

func (j *joiner) mismatch(cluster int64, stored, used uint64) error {
	if stored > used && cluster < j.end {
		j.report.Leaked += 1 << j.clusterBits
	}
	if j.count > 0 && cluster != j.end && cluster == j.first+j.count && stored == j.stored && used == j.used {
		j.count++
		return nil
	}
	j.flush()
	j.first, j.count, j.stored, j.used = cluster, 1, stored, used
	return nil
}

func (j *joiner) flush() {
	if j.count == 0 {
		return
	}
	f := disk.Finding{Severity: disk.Leak, Offset: j.first << j.clusterBits, Remedy: leakRemedy}
	if j.first >= j.end {
		f.Severity = disk.Note // behind the end of the file nothing is lost
	}
	if j.stored < j.used {
		f.Severity, f.Remedy = disk.Damage, rebuildRemedy
	}
	f.Reason = fmt.Sprintf("%d clusters with refcount %d are used %d times", j.count, j.stored, j.used)
	if j.count == 1 {
		f.Reason = fmt.Sprintf("a cluster with refcount %d is used %d times", j.stored, j.used)
	}
	j.report.Add(f)
	j.count = 0
}

// copiedCheck compares the flags of the current state with the refcounts.
type copiedCheck struct {
	img   *image
	found func(disk.Finding)
	fix   bool // they are made right
	fixed int
	err   error
}

func (c *copiedCheck) pointer(at int64, v uint64) {
	if host := int64(v & offsetMask); host != 0 {
		c.one(at, v, host, "an L2 table")
	}
}

func (c *copiedCheck) data(at int64, e entry) {
	k := c.img.kindOf(e)
	switch {
	case c.img.dataFile:
	case k == normal || k == zeroHosted:
		c.one(at, e.word, e.host(), "a cluster")
	case k == compressed && e.word&flagCopied != 0 && c.fix:
		c.put(at, e.word&^flagCopied)
	}
}

func (c *copiedCheck) one(at int64, v uint64, host int64, what string) {
	refs, err := c.img.refs.get(host >> c.img.clusterBits)
	if err != nil {
		if !isCorrupt(err) {
			c.err = err
		}
		return
	}
	if (refs == 1) == (v&flagCopied != 0) {
		return
	}
	if c.fix {
		c.put(at, v^flagCopied)
		return
	}
	c.found(disk.Finding{
		Severity: disk.Damage, Offset: at, Remedy: copiedRemedy,
		Reason: fmt.Sprintf("the flag \"copied\" of %s is %t, and its refcount %d", what, v&flagCopied != 0, refs),
	})
}

func (c *copiedCheck) put(at int64, v uint64) {
	c.fixed++
	if err := c.img.tables.put(at, 8, v); err != nil {
		c.err = err
	}
}
