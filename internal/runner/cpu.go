package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/panalvm/panal/internal/qmp"
)

// ErrGuestKeeps says that the guest has not let go of something in time, or
// has said that it will not.
var ErrGuestKeeps = errors.New("the guest keeps it")

// cpuSlot is a place for a CPU (query-hotpluggable-cpus).
type cpuSlot struct {
	Type  string         `json:"type"`
	Place map[string]any `json:"props"`
	Path  string         `json:"qom-path"` // of the CPU in it; empty for none
	// CPUs is how many the place takes at once: more than one where a whole core
	// is plugged.
	CPUs int `json:"vcpus-count"`
}

// cpuSlots are the places for CPUs, the first CPU's first.
func (s *Session) cpuSlots(ctx context.Context) ([]cpuSlot, error) {
	var slots []cpuSlot
	if err := s.monitor.Execute(ctx, "query-hotpluggable-cpus", nil, &slots); err != nil {
		return nil, err
	}
	slices.Reverse(slots) // QEMU lists the last one first
	return slots, nil
}

// LackingFeatures are the features of its CPU model that a machine of x86_64 runs without, since neither host nor QEMU has
// them; by QEMU's names. Other architectures do not tell.
func (s *Session) LackingFeatures(ctx context.Context) (lacking []string, err error) {
	var cpus []struct {
		Path string `json:"qom-path"`
	}
	if err := s.monitor.Execute(ctx, "query-cpus-fast", nil, &cpus); err != nil || len(cpus) == 0 {
		return nil, err
	}
	err = s.monitor.Execute(ctx, "qom-get", map[string]any{"path": cpus[0].Path, "property": "unavailable-features"}, &lacking)
	return lacking, err
}

// PluggedCPUs is how many CPUs the machine has now, whether its guest uses
// them or not.
func (s *Session) PluggedCPUs(ctx context.Context) (int, error) {
	var cpus []json.RawMessage
	err := s.monitor.Execute(ctx, "query-cpus-fast", nil, &cpus)
	return len(cpus), err
}

// SetCPUs plugs CPUs in, or takes them out, one after another, until the machine
// has so many. The first ones stay: what is plugged in always has the lowest
// numbers, as in a machine that was started with so many. A CPU is gone when the
// guest has let go of it; one that it keeps until ctx ends is ErrGuestKeeps, and
// what was done before stays.
//
// Take none out where QEMU translates (TCG): 7.2 does, and its heap is damaged
// from then on; the next CPU that is plugged in ends it.
func (s *Session) SetCPUs(ctx context.Context, count int) error {
	slots, err := s.cpuSlots(ctx)
	if err != nil {
		return err
	}
	plugged, last := 0, -1
	for i, slot := range slots {
		if slot.Path != "" {
			plugged += slot.CPUs
			last = i
		}
	}
	for i := 0; plugged < count && i < len(slots); i++ {
		if slots[i].Path == "" {
			if err := s.plugCPU(ctx, i, slots[i]); err != nil {
				return fmt.Errorf("plug in CPU %d: %w", i, err)
			}
			plugged += slots[i].CPUs
		}
	}
	for ; plugged > count && last > 0; last-- {
		if slots[last].Path == "" {
			continue
		}
		if err := s.unplugCPU(ctx, slots[last]); err != nil {
			return fmt.Errorf("take out CPU %d: %w", last, err)
		}
		plugged -= slots[last].CPUs
	}
	if plugged != count {
		return fmt.Errorf("the machine has places for %d CPUs at most", plugged)
	}
	return nil
}

// cpuID begins the IDs of CPUs that were plugged in.
const cpuID = "panal-cpu-"

// isCPU tells whether a path in QEMU's object tree can be that of a CPU. Those that
// the machine was started with have no ID, as nothing else has that can be taken out.
func isCPU(path string) bool {
	return strings.HasPrefix(path, "/machine/peripheral/"+cpuID) || strings.HasPrefix(path, "/machine/unattached/")
}

func (s *Session) plugCPU(ctx context.Context, i int, slot cpuSlot) error {
	device := map[string]any{"driver": slot.Type, "id": fmt.Sprintf("%s%d", cpuID, i)}
	for name, at := range slot.Place {
		device[name] = at
	}
	return s.monitor.Execute(ctx, "device_add", device, nil)
}

// NoticedCPUs has a token when the guest's system has said what became of a CPU which was
// plugged in or asked for: call it first, then SetCPUs, and stop in the end. The channel
// is closed then, or when QEMU ends.
func (s *Session) NoticedCPUs() (noticed <-chan struct{}, stop func()) {
	events, stop := s.Listen(qmp.EventACPIDeviceOST)
	tokens := make(chan struct{}, 1)
	go func() {
		defer close(tokens)
		for range events {
			select {
			case tokens <- struct{}{}:
			default: // one is enough to look again
			}
		}
	}()
	return tokens, stop
}

// unplugCPU asks the guest for a CPU and waits until it has let go of it. QEMU
// says so of the CPU itself, or only of parts of it and of what the guest reports:
// what counts is that its place is empty.
func (s *Session) unplugCPU(ctx context.Context, slot cpuSlot) error {
	events, stop := s.Listen(qmp.EventDeviceDeleted, qmp.EventDeviceUnplugRejected, qmp.EventACPIDeviceOST)
	defer stop()
	if err := s.monitor.Execute(ctx, "device_del", map[string]any{"id": slot.Path}, nil); err != nil {
		return err
	}
	for {
		select {
		case event, more := <-events:
			if !more {
				return errors.New("QEMU ended meanwhile")
			}
			if err := refusal(event, slot.Path); err != nil {
				return err
			}
			if gone, err := s.isEmpty(ctx, slot.Path); gone || err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("%w: it has not answered in time", ErrGuestKeeps)
		}
	}
}

// isEmpty tells whether a CPU is gone.
func (s *Session) isEmpty(ctx context.Context, path string) (bool, error) {
	slots, err := s.cpuSlots(ctx)
	return !slices.ContainsFunc(slots, func(slot cpuSlot) bool { return slot.Path == path }), err
}

// refusal is what an event says against taking out a device.
func refusal(event qmp.Event, path string) error {
	switch event.Name {
	case qmp.EventACPIDeviceOST:
		var status qmp.ACPIDeviceOST
		if err := event.Decode(&status); err != nil {
			return err
		}
		if status.Info.Refused() {
			return fmt.Errorf("%w: its system refused to eject it (ACPI status %#x)", ErrGuestKeeps, status.Info.Status)
		}
	case qmp.EventDeviceUnplugRejected:
		var rejected qmp.DeviceDeleted
		if err := event.Decode(&rejected); err != nil {
			return err
		}
		if rejected.Path == path {
			return fmt.Errorf("%w: it refused", ErrGuestKeeps)
		}
	}
	return nil
}
