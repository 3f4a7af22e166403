package parallels

import (
	"context"
	"fmt"

	"github.com/panalvm/panal/disk"
)

// Check reads the header, the BAT and the format extension.
func (x *expanding) Check(ctx context.Context) (disk.Report, error) {
	x.alloc.Lock()
	defer x.alloc.Unlock()
	if err := x.syncLocked(); err != nil {
		return disk.Report{}, err
	}
	r := disk.Report{}
	x.checkHeader(&r)
	s, err := x.surveyWith(ctx, func(index int64, p problem) {
		r.Add(x.finding(index, p))
	})
	if err != nil {
		return r, err
	}
	x.summarise(s, &r)
	return r, nil
}

func (x *expanding) summarise(s *survey, r *disk.Report) {
	r.Blocks, r.Allocated = x.h.clusters(), s.allocated
	if !s.watched {
		r.Add(disk.Finding{Severity: disk.Note, Offset: -1, Reason: fmt.Sprintf("the file has room for %d clusters, too many to be looked at for overlaps and leaks", s.places)})
		return
	}
	if s.foreign {
		return // who knows whose the rest is
	}
	total, tail := s.leaks()
	r.Leaked = total
	if tail > 0 {
		r.Add(disk.Finding{
			Severity: disk.Leak, Offset: s.size - tail,
			Reason: fmt.Sprintf("the last %d bytes of the file are used by nothing", tail), Remedy: "the file is cut",
		})
	}
	if inner := total - tail; inner > 0 {
		r.Add(disk.Finding{Severity: disk.Leak, Offset: -1, Reason: fmt.Sprintf("%d bytes between clusters are used by nothing; compacting gives them back", inner)})
	}
}

// leaks is how many bytes of the data area are used by nothing, and how many
// of these at the end of the file.
func (s *survey) leaks() (total, tail int64) {
	cluster := s.h.cluster()
	for i := range s.places {
		n := min(cluster, s.size-s.base-i*cluster)
		if s.isUsed(i) {
			tail = 0
			continue
		}
		total += n
		tail += n
	}
	return total, tail
}

func (x *expanding) checkHeader(r *disk.Report) {
	add := func(sev disk.Severity, off int64, remedy, reason string, args ...any) {
		r.Add(disk.Finding{Severity: sev, Offset: off, Reason: fmt.Sprintf(reason, args...), Remedy: remedy})
	}
	h := x.h
	switch {
	case x.dirty && !x.begun.Load():
		add(disk.Note, 44, "the mark is taken away", "the image is marked as open for writing: it was not closed, or another program has it")
	case h.inUse != inUseOpen && h.inUse != inUseClosed && h.inUse != inUseNone:
		add(disk.Note, 44, "", "the in-use mark is %#x, which means nothing", h.inUse)
	}
	if int64(h.entries) < h.clusters() {
		add(disk.Damage, 32, "", "the block table has %d entries, the disk %d clusters: the rest reads as zeros and cannot be written", h.entries, h.clusters())
	}
	if h.data() < h.tableEnd() {
		add(disk.Damage, 48, "", "the data area would begin at %#x, within the block table", h.data())
	}
	if h.isNew && h.data()%h.cluster() != 0 {
		add(disk.Note, 48, "", "the data area begins at %#x, which is no multiple of a cluster", h.data())
	}
	if h.flags&flagEmpty != 0 {
		add(disk.Note, 52, "", "the image is marked as empty: its block table does not count")
	}
	if x.ext != nil && x.ext.problem != "" {
		add(disk.Note, x.ext.off, "", "the format extension cannot be read: %s", x.ext.problem)
	}
}

func (x *expanding) finding(index int64, p problem) disk.Finding {
	f := disk.Finding{Severity: disk.Damage, Offset: entryAt(index)}
	e, _ := x.entry(index)
	at := int64(e) * x.h.unit()
	switch p {
	case overlapping:
		f.Reason = fmt.Sprintf("cluster %d lies at %#x, where another does", index, at)
		f.Remedy = "it gets a copy of its own"
	case beyondFile:
		f.Reason = fmt.Sprintf("cluster %d lies at %#x, beyond the end of the file", index, at)
		f.Remedy = "the cluster is no longer allocated; its content is lost already"
	case inTable:
		f.Reason = fmt.Sprintf("cluster %d lies at %#x, within the header or the block table", index, at)
		f.Remedy = "the cluster is no longer allocated; there never was content"
	case misaligned:
		f.Severity = disk.Note
		f.Reason = fmt.Sprintf("cluster %d lies at %#x, not at a whole cluster behind the data offset", index, at)
	case fine:
	}
	return f
}

// Repair mends the BAT, takes the in-use mark away and cuts what is behind the
// last cluster.
func (x *expanding) Repair(ctx context.Context) (disk.Report, error) {
	r := disk.Report{}
	if !x.write {
		return r, disk.ErrReadOnly
	}
	x.alloc.Lock()
	defer x.alloc.Unlock()
	if err := x.mendTable(ctx, &r); err != nil {
		return r, err
	}
	if err := x.begin(); err != nil {
		return r, err
	}
	s, err := x.survey()
	if err != nil {
		return r, err
	}
	x.summarise(s, &r)
	r.Findings = mended(r.Findings)
	if _, err := x.cutTail(); err != nil {
		return r, err
	}
	if x.dirty {
		x.dirty = false
		r.Add(disk.Finding{Severity: disk.Note, Offset: 44, Reason: "the image was marked as open for writing", Remedy: "the mark is taken away when it is closed"})
	}
	return r, nil
}

// mended is those findings that have a remedy.
func mended(all []disk.Finding) []disk.Finding {
	var kept []disk.Finding
	for _, f := range all {
		if f.Remedy != "" {
			kept = append(kept, f)
		}
	}
	return kept
}

// mendTable rewrites the entries that are wrong. A copy is durable before
// anything points to it.
func (x *expanding) mendTable(ctx context.Context, r *disk.Report) error {
	all, err := x.surveyWith(ctx, nil)
	if err != nil || all.unsafe() == "" {
		return err
	}
	x.space = all.space()
	x.space.free = nil
	x.known.Store(max(x.known.Load(), x.space.end))
	seen := newSurvey(x.h, all.size, x.ext)
	for i := range int64(x.h.entries) {
		e, err := x.entry(i)
		if err != nil {
			return err
		}
		if e == 0 {
			continue
		}
		if err := x.mend(i, int64(e)*x.h.unit(), seen, r); err != nil {
			return err
		}
	}
	return x.flushMended()
}

func (x *expanding) mend(index, at int64, seen *survey, r *disk.Report) error {
	p := seen.add(at)
	if p == fine || p == misaligned {
		return nil
	}
	r.Add(x.finding(index, p))
	if p != overlapping {
		return x.bat.SetUint32(entryAt(index), 0)
	}
	to, err := x.space.extend(x.h.cluster())
	if err != nil {
		return err
	}
	return x.copyAndPoint(index, at, to)
}

func (x *expanding) flushMended() error {
	if err := x.file.Truncate(x.space.end); err != nil {
		return err
	}
	if err := x.file.Sync(); err != nil {
		return err
	}
	if err := x.bat.Flush(); err != nil {
		return err
	}
	return x.file.Sync()
}
