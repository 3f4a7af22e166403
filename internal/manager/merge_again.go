package manager

import (
	"context"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
)

// Merging images in the background that has failed is tried again after a minute, then later and later. Whatever else is
// done with the machine tries it, too, when it ends.
const (
	mergeAgainFirst = time.Minute
	mergeAgainLast  = time.Hour
)

// mergeWarning begins the warning that images are not merged.
const mergeWarning = "its images are not merged yet, and take up space until then: "

// mergeFailed has images that could not be merged be merged later, and says why they are not now. One that has given way
// is only looked after, in case that what it has given way to does not do it. One that a user has
// cancelled is left to whatever is done next.
func (m *Manager) mergeFailed(ctx context.Context, uuid, id string, why error) {
	m.mu.Lock()
	gaveWay := m.merging[uuid] != id
	m.mu.Unlock()
	if ctx.Err() == nil || gaveWay {
		m.merges.Failed(uuid)
	}
	if ctx.Err() != nil {
		return
	}
	m.modify(uuid, func(record *inventory.Record) {
		record.Status.Warnings = append(without(record.Status.Warnings, mergeWarning), mergeWarning+why.Error()+"; it is tried again")
	})
}

// mergeAgain tries again to merge a machine's images, and later if that is not possible now.
func (m *Manager) mergeAgain(uuid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return // the next daemon does it
	}
	m.group.Go(func() {
		object, err := m.inv.Get(m.base, uuid)
		gone := err != nil && unlessGone(err) == nil
		if gone || err == nil && !object.Value.Merging && !object.Value.Behind && len(object.Value.Leftovers) == 0 {
			m.merges.Done(uuid) // the machine has gone, or nothing is left to do
			return
		}
		begun, err := again(m.base, func() (api.Task, error) { return m.beginMerging(m.base, uuid) })
		if err != nil || begun.ID == "" {
			m.merges.Failed(uuid)
		}
	})
}
