package manager

import (
	"context"
	"maps"
	"slices"

	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/snapshot"
)

// Linked clones stand on images of the machine that they are clones of. These stay when the machine itself needs them no
// more, as long as there are such clones: they are lent.

// lend notes which of a machine's images are to be removed, and which of those that it does not need itself stay because
// others stand on them. What is kept stays anyway.
func lend(record *inventory.Record, images snapshot.Images, kept, others map[string]bool) {
	rest := images.Unneeded(needsOf(record, kept))
	kept = maps.Clone(kept)
	maps.Copy(kept, others)
	gone := images.Unneeded(needsOf(record, kept))
	record.Leftovers = append(slices.Clone(record.Leftovers), gone...)
	record.Lent = slices.DeleteFunc(rest, func(file string) bool { return slices.Contains(gone, file) })
}

// reclaim notes that images which were lent, and that nobody stands on any more, are to be removed, and removes them.
func (m *Manager) reclaim(ctx context.Context, uuid string) error {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil || len(object.Value.Lent) == 0 {
		return err
	}
	others, err := m.standOn(ctx, uuid)
	if err != nil {
		return err
	}
	_, err = m.freeTree(ctx, uuid, func(record *inventory.Record) error {
		images, kept, err := surveyRecord(record)
		if err != nil {
			return err
		}
		lend(record, images, kept, others)
		return nil
	})
	if err != nil {
		return err
	}
	return m.clearLeftovers(ctx, uuid)
}

// reclaimable tells whether a machine has lent images that nobody stands on any more.
func (m *Manager) reclaimable(ctx context.Context, object inventory.Object) bool {
	if len(object.Value.Lent) == 0 {
		return false
	}
	record := object.Value
	images, kept, err := surveyRecord(&record)
	if err != nil {
		return false // what cannot be read is left to those who read it
	}
	others, err := m.standOn(ctx, object.Key)
	if err != nil {
		return false
	}
	lend(&record, images, kept, others)
	return len(record.Leftovers) > len(object.Value.Leftovers)
}

// reclaimLater has the machines that have lent images take those back that nobody stands on any more: one that did
// may be gone.
func (m *Manager) reclaimLater(ctx context.Context) {
	objects, _, err := m.inv.All(ctx)
	if err != nil {
		m.log.Debug("machines were not looked at for images that are lent", "error", err)
	}
	for _, object := range objects {
		if m.reclaimable(ctx, object) {
			m.mergeLater(object.Key)
		}
	}
}
