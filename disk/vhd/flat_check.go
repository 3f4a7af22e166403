package vhd

import (
	"context"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// Check looks at the footer.
func (m *flat) Check(context.Context) (disk.Report, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := disk.Report{Blocks: 1, Allocated: 1}
	if !m.foot.sound() {
		r.Add(badSum(m.tailAt))
	}
	if m.size > m.tailAt {
		r.Add(disk.Finding{Severity: disk.Damage, Offset: m.tailAt + atCurrent, Reason: m.doubt.Error()})
	}
	if m.relic >= 0 {
		r.Add(disk.Finding{
			Severity: disk.Note, Offset: m.relic, Reason: "a footer is left where the disk ended before its size was changed",
			Remedy: "the sector is made zero",
		})
	}
	return r, nil
}

// Repair mends the footer.
func (m *flat) Repair(ctx context.Context) (disk.Report, error) {
	if !m.write {
		return disk.Report{}, disk.ErrReadOnly
	}
	r, err := m.Check(ctx)
	if err != nil {
		return r, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.removeRelic(); err != nil {
		return r, err
	}
	if !m.foot.sound() {
		if err := m.writeFooter(m.foot, m.tailAt); err != nil {
			return r, err
		}
		if m.size <= m.tailAt {
			m.doubt = nil
		}
	}
	return blockmap.Mended(r), nil
}

func badSum(at int64) disk.Finding {
	return disk.Finding{
		Severity: disk.Damage, Offset: at + atSum, Reason: "the footer's checksum is wrong: something in it was changed, and nobody can know what",
		Remedy: "the checksum is computed from the footer as it is",
	}
}
