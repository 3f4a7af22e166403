package manager

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/plan/sharing"
	"github.com/panalvm/panal/internal/resource/ksm"
	"github.com/panalvm/panal/internal/resource/usage"
)

// shareEvery is how often it is looked after who offers pages, and whether looking for
// equal ones pays.
const shareEvery = 5 * time.Second

// shareMemory offers pages to be merged, and tunes the kernel's looking for equal ones,
// until the manager is closed.
func (m *Manager) shareMemory() {
	var state sharing.State
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	for began := false; ; {
		select {
		case now := <-tick.C:
			offered := m.offerMemory(m.base)
			state, began = m.tuneSharing(m.base, now, offered, state, began)
		case <-m.base.Done():
			return
		}
	}
}

// offerMemory offers the pages of the machines whose specs say so, and takes back what
// they do not say any more. It returns how many bytes are offered.
func (m *Manager) offerMemory(ctx context.Context) (offered int64) {
	runs := m.allRuns()
	objects := map[string]inventory.Object{}
	alike := map[string]int{}
	for uuid, run := range runs {
		if !run.shares() {
			continue // most do not, and reading their records would cost more than all else here
		}
		object, err := m.inv.Get(ctx, uuid)
		if err != nil || object.Value.Status.Memory == nil {
			continue // it is about to start, or has ended: what is done could not be put down
		}
		objects[uuid] = object
		if memory := object.Value.Spec.Memory; memory.Sharing == api.SharingOn || memory.Sharing == api.SharingSmart {
			alike[madeOf(object.Value.Spec)]++
		}
	}
	for uuid, object := range objects {
		spec, run := object.Value.Spec, runs[uuid]
		offer := spec.Memory.Sharing == api.SharingOn || spec.Memory.Sharing == api.SharingSmart && madeOf(spec) != "" && alike[madeOf(spec)] > 1
		if offer != run.merging.Load() {
			err := m.promptly(ctx, run, carriesOutWithin, func(ctx context.Context) error { return run.OfferMemory(ctx, offer) })
			if err != nil {
				m.log.Debug("a machine's pages could not be offered", "machine", spec.Name, "error", err)
				continue
			}
			run.merging.Store(offer)
			m.noteOffer(uuid, spec, offer)
		}
		if offer {
			resident, _ := usage.Resident(run.PID())
			offered += resident
		}
	}
	return offered
}

// shares tells whether a run's pages are offered, or its spec says that they are to be.
func (r *run) shares() bool {
	held := r.holds.Load()
	return held == nil || r.merging.Load() || held.memory.Sharing == api.SharingOn || held.memory.Sharing == api.SharingSmart
}

// noteOffer writes down that a machine's pages are offered, or not any more.
func (m *Manager) noteOffer(uuid string, spec api.Spec, offer bool) {
	step := api.MemoryStep{Time: time.Now().UTC(), Action: "share", Reason: "its pages are offered to be merged with equal ones: memory.sharing is " + string(spec.Memory.Sharing)}
	if !offer {
		step.Reason = "its pages are not offered to be merged any more"
	}
	m.modify(uuid, func(record *inventory.Record) {
		if record.Status.Memory == nil {
			return
		}
		status := *record.Status.Memory
		step.From, step.To = status.Assigned, status.Assigned
		status.Step = &step
		record.Status.Memory = &status
	})
}

// madeOf is what a machine's system comes from: two that are made of the same have many
// equal pages. It is empty where that cannot be said.
func madeOf(spec api.Spec) string {
	for _, drive := range spec.Drives {
		if drive.Kind == api.Disk && len(drive.Under) > 0 {
			return drive.Under[len(drive.Under)-1].Source
		}
		if drive.Kind == api.Disk && drive.Source != "" {
			return drive.Source
		}
	}
	if spec.Kernel != nil {
		return spec.Kernel.Image
	}
	return ""
}

// onlyRootTunes is why a user's daemon has no pages merged.
const onlyRootTunes = "only root can have the kernel look for equal pages, and the daemon is not"

// sharingLacks says why a machine's pages are not merged though its spec asks for it.
func sharingLacks(spec api.Memory) []string {
	if spec.Sharing != api.SharingOn && spec.Sharing != api.SharingSmart {
		return nil
	}
	kernel, err := ksm.Open("")
	switch {
	case err != nil:
		return []string{memoryWarning + "memory.sharing does nothing: " + err.Error()}
	case !kernel.MayTune():
		return []string{memoryWarning + "memory.sharing offers its pages, and they are merged while somebody else has the kernel look for equal ones: " + onlyRootTunes}
	}
	return nil
}

// tuneSharing has the kernel look for equal pages as far as it pays. What somebody else
// has set is left alone while no machine offers any.
func (m *Manager) tuneSharing(ctx context.Context, now time.Time, offered int64, state sharing.State, began bool) (sharing.State, bool) {
	kernel, err := ksm.Open("")
	if err != nil {
		m.sharing.note(api.SharingStats{Why: err.Error()})
		return state, began
	}
	counted, err := kernel.Read()
	described := api.SharingStats{Running: counted.Running, Shared: api.Size(counted.Shared), Saved: api.Size(counted.Saved)}
	settings, settingsErr := m.Settings(ctx)
	host, hostErr := usage.ReadHost()
	switch {
	case errors.Join(err, settingsErr, hostErr) != nil:
		return state, began
	case settings.Memory.Sharing == "off":
		offered = 0
		described.Why = "the host's setting memory.sharing is off"
	case offered == 0:
		described.Why = "no machine offers its pages"
	}
	page := int64(os.Getpagesize())
	short := host.Available < keptByHost(settings, host.Total)
	set, next := sharing.Tune(now, sharing.Counters{Offered: offered / page, Saved: counted.Saved / page, Scanned: counted.Scanned, Rounds: counted.Rounds}, short, state)
	switch {
	case set.Run:
		err = kernel.Set(set.Pages, set.Sleep)
	case began:
		err = kernel.Stop()
	}
	described.Running = set.Run && err == nil || counted.Running && !began
	switch {
	case errors.Is(err, fs.ErrPermission):
		described.Why = onlyRootTunes
	case err != nil:
		described.Why = err.Error()
	case !set.Run && offered > 0:
		described.Why = "it has not paid; it is tried again after a while, or when there is something new"
	}
	m.sharing.note(described)
	return next, set.Run && err == nil
}
