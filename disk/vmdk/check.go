package vmdk

import (
	"context"
	"fmt"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
)

// fault is a finding, and what mends it.
type fault struct {
	disk.Finding
	fix func() error // nil without a Remedy
}

// examination collects what is found.
type examination struct {
	ctx    context.Context
	report disk.Report
	faults []fault
	file   string // that is looked at
}

func (x *examination) add(severity disk.Severity, off int64, fix func() error, remedy, reason string, args ...any) {
	f := fault{disk.Finding{Severity: severity, File: x.file, Offset: off, Reason: fmt.Sprintf(reason, args...)}, fix}
	if fix != nil {
		f.Remedy = remedy
	}
	x.faults = append(x.faults, f)
}

// Check looks through all tables of the image.
func (m *image) Check(ctx context.Context) (disk.Report, error) {
	m.shape.RLock()
	defer m.shape.RUnlock()
	x, err := m.examine(ctx)
	if err != nil {
		return disk.Report{}, err
	}
	for _, f := range x.faults {
		x.report.Add(f.Finding)
	}
	return x.report, nil
}

// Repair mends what can be mended, and says what that was.
func (m *image) Repair(ctx context.Context) (disk.Report, error) {
	if err := m.checkWritable(); err != nil {
		return disk.Report{}, err
	}
	m.shape.Lock()
	defer m.shape.Unlock()
	if err := m.syncAll(); err != nil {
		return disk.Report{}, err
	}
	x, err := m.examine(ctx)
	if err != nil {
		return disk.Report{}, err
	}
	for _, f := range x.faults {
		if f.fix == nil {
			continue
		}
		if err := f.fix(); err != nil {
			return x.report, fmt.Errorf("mending %q: %w", f.Reason, err)
		}
		x.report.Add(f.Finding)
	}
	return x.report, m.syncAll()
}

// examine looks at all parts; image.shape is held.
func (m *image) examine(ctx context.Context) (*examination, error) {
	x := &examination{ctx: ctx}
	m.examineText(x)
	for i := range m.spans {
		s := &m.spans[i]
		var err error
		switch e := s.extent.(type) {
		case *flat:
			x.file = e.part.ref
			err = e.examine(x)
		case *sparse:
			x.file = e.part.ref
			err = e.examine(x)
		}
		if err != nil {
			return nil, err
		}
	}
	return x, ctx.Err()
}

// examineText looks at the descriptor.
func (m *image) examineText(x *examination) {
	m.identity.mu.Lock()
	defer m.identity.mu.Unlock()
	if m.desc == nil {
		return
	}
	if _, ok := m.desc.CID(); !ok {
		var fix func() error
		if m.write {
			fix = func() error { return m.edit(func(d *descriptor.Descriptor) error { return d.SetCID(newCID()) }) }
		}
		x.add(disk.Damage, m.home.off, fix, "write a new CID", "the descriptor has no readable CID, without which no delta can refer to the disk")
	}
	if m.kind == "" {
		x.add(disk.Note, m.home.off, nil, "", "the descriptor does not state its createType")
	}
}

// examine looks whether the file is long enough.
func (f *flat) examine(x *examination) error {
	size, err := f.part.file.Size()
	if err != nil {
		return err
	}
	x.report.Blocks++
	x.report.Allocated++
	if size < f.from+f.size {
		x.add(disk.Damage, size, nil, "", "the file ends %d bytes before the extent does", f.from+f.size-size)
	}
	return nil
}

// examine looks at a sparse extent of any kind.
func (s *sparse) examine(x *examination) error {
	x.report.Blocks += (s.size + s.grain - 1) / s.grain
	before := len(x.faults)
	s.examineHeader(x)
	if s.scanned != nil {
		s.examineScan(x)
		s.examineContent(x, len(s.scanned.grains), func(i int) scannedGrain { return s.scanned.grains[i] })
		return nil
	}
	e := &tableCheck{sparse: s, x: x, before: before, unclean: s.header.unclean, seen: map[int64]int64{}}
	if err := e.tables(); err != nil {
		return err
	}
	e.layout()
	if s.codec != nil {
		s.examineContent(x, len(e.grains), e.compressed)
	}
	return nil
}

func (s *sparse) examineHeader(x *examination) {
	if s.covered < s.size {
		x.add(disk.Damage, offCapacity, nil, "", "the extent covers %d bytes of the %d that the descriptor gives it", s.covered, s.size)
	}
	if s.header.unclean && (s.writer == nil || s.writer.keep) {
		var fix func() error
		if w := s.writer; w != nil {
			fix = w.settle
		}
		x.add(disk.Note, offUnclean, fix, "clear the flag", "the extent was not closed as it should be")
	}
	d, ok := s.find.(*directory)
	if !ok {
		return
	}
	if d.broken != nil {
		var fix func() error
		if w := s.writer; w != nil {
			fix = w.useSecond
		}
		x.add(disk.Damage, offGD, fix, "use the second grain directory as the only one", "the first grain directory cannot be read: %v", d.broken)
	}
	if d.rgdErr != nil {
		var fix func() error
		if w := s.writer; w != nil {
			fix = w.forgetSecond
		}
		x.add(disk.Damage, offRGD, fix, "use the first grain directory as the only one", "the second grain directory cannot be read: %v", d.rgdErr)
	}
}

// examineScan tells what became of a stream without tables.
func (s *sparse) examineScan(x *examination) {
	x.report.Allocated += int64(len(s.scanned.grains))
	severity := disk.Note
	if !s.scanned.ended {
		severity = disk.Damage
	}
	x.add(severity, s.scanned.to, nil, "", "the grain directory is lost (%v); %d grains were found by their markers, the end of the stream %s; convert the image to keep them",
		s.lost, len(s.scanned.grains), map[bool]string{true: "too", false: "was not"}[s.scanned.ended])
	if s.scanned.foreign > 0 {
		x.add(disk.Damage, -1, nil, "", "%d grains belong outside of the disk", s.scanned.foreign)
	}
}
