package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/panalvm/panal/internal/qemu"
	"github.com/panalvm/panal/internal/qmp"
)

// Memory is how a machine's memory stands. All is in bytes.
type Memory struct {
	Base      int64 // what the guest booted with
	Plugged   int64 // what it has plugged in beyond that
	Pluggable int64 // what it could have plugged in; 0 where nothing can be
	Ballooned int64 // what it has given to the balloon
}

// Assigned is what the guest has.
func (m Memory) Assigned() int64 { return m.Base + m.Plugged - m.Ballooned }

// GuestMemory is what the guest's balloon driver says of its memory.
type GuestMemory struct {
	Updated     time.Time // when it said so; zero when it never has
	Total       int64     // bytes
	Free        int64     // bytes that hold nothing
	Available   int64     // bytes that programs could have without swapping
	Caches      int64     // bytes of files
	MajorFaults int64     // since the guest booted: pages that had to be read
	MinorFaults int64
	SwappedIn   int64 // bytes since the guest booted
	SwappedOut  int64
}

// balloonPath is the balloon's place in QEMU's object tree.
const balloonPath = "/machine/peripheral/" + qemu.BalloonDevice

// PollGuestMemory has the guest asked for its figures so often; at most once a second.
func (s *Session) PollGuestMemory(ctx context.Context, every time.Duration) error {
	return s.setProperty(ctx, balloonPath, "guest-stats-polling-interval", seconds(every))
}

// AskGuestMemory has the guest asked for its figures now, and so often from then on; at most once a second. It does not
// wait for the answer: GuestMemory has it, once the guest has given it.
func (s *Session) AskGuestMemory(ctx context.Context, every time.Duration) error {
	// QEMU asks at once when it begins to ask, and not when it is only to ask more often.
	const interval = "guest-stats-polling-interval"
	return s.monitor.ExecuteAll(ctx, toSet(balloonPath, interval, 0), toSet(balloonPath, interval, seconds(every)))
}

// seconds are whole ones, at least one.
func seconds(every time.Duration) int64 { return int64(max(time.Second, every) / time.Second) }

func toSet(path, property string, value any) qmp.Command {
	return qmp.Command{Name: "qom-set", Arguments: map[string]any{"path": path, "property": property, "value": value}}
}

func (s *Session) setProperty(ctx context.Context, path, property string, value any) error {
	return s.monitor.ExecuteAll(ctx, toSet(path, property, value))
}

// unsaid is what the driver gives for a figure that it does not know.
const unsaid = ^uint64(0)

// GuestMemory is what the guest has last said of its memory. Where it never has,
// Updated is zero: no driver of the balloon runs in it, or it was not asked yet.
func (s *Session) GuestMemory(ctx context.Context) (GuestMemory, error) {
	var said struct {
		Stats map[string]uint64 `json:"stats"`
		Last  int64             `json:"last-update"`
	}
	get := map[string]any{"path": balloonPath, "property": "guest-stats"}
	if err := s.monitor.Execute(ctx, "qom-get", get, &said); err != nil || said.Last == 0 {
		return GuestMemory{}, err
	}
	figure := func(name string) int64 {
		value, found := said.Stats["stat-"+name]
		if !found || value == unsaid {
			return 0
		}
		return int64(value)
	}
	return GuestMemory{
		Updated: time.Unix(said.Last, 0), Total: figure("total-memory"), Free: figure("free-memory"),
		Available: figure("available-memory"), Caches: figure("disk-caches"),
		MajorFaults: figure("major-faults"), MinorFaults: figure("minor-faults"),
		SwappedIn: figure("swap-in"), SwappedOut: figure("swap-out"),
	}, nil
}

// Memory is how the machine's memory stands now.
func (s *Session) Memory(ctx context.Context) (Memory, error) {
	now, err := s.bornWith(ctx)
	if err != nil {
		return now, err
	}
	var size memorySize
	var balloon struct {
		Actual int64 `json:"actual"` // what the balloon leaves of the base
	}
	queries := []qmp.Command{{Name: "query-balloon", Result: &balloon}}
	if now.Pluggable > 0 {
		queries = append(queries, size.query())
	}
	err = s.monitor.ExecuteAll(ctx, queries...)
	now.Plugged, now.Ballooned = size.Plugged, now.Base-balloon.Actual
	return now, err
}

// bornWith is what of a machine's memory stays as it was when QEMU was started. It is asked once.
func (s *Session) bornWith(ctx context.Context) (Memory, error) {
	if known := s.born.Load(); known != nil {
		return *known, nil
	}
	var size memorySize
	if err := s.monitor.ExecuteAll(ctx, size.query()); err != nil {
		return Memory{}, err
	}
	pluggable, err := s.memoryDevice(ctx)
	if err != nil {
		return Memory{}, err
	}
	s.born.Store(&Memory{Base: size.Base, Pluggable: pluggable})
	return Memory{Base: size.Base, Pluggable: pluggable}, nil
}

// memorySize is what the guest booted with, and what it has plugged in.
type memorySize struct {
	Base    int64 `json:"base-memory"`
	Plugged int64 `json:"plugged-memory"`
}

func (m *memorySize) query() qmp.Command {
	return qmp.Command{Name: "query-memory-size-summary", Result: m}
}

// memoryDevice is how much can be plugged in; 0 without a device for it.
func (s *Session) memoryDevice(ctx context.Context) (most int64, err error) {
	var devices []struct {
		Data struct {
			ID   string `json:"id"`
			Most int64  `json:"max-size"`
		} `json:"data"`
	}
	err = s.monitor.Execute(ctx, "query-memory-devices", nil, &devices)
	for _, device := range devices {
		if device.Data.ID == qemu.MemoryDevice {
			most = device.Data.Most
		}
	}
	return most, err
}

// AskMemory asks the guest to have so many bytes plugged in, and to give so many to
// the balloon. It does not wait: AwaitMemory does.
func (s *Session) AskMemory(ctx context.Context, plugged, ballooned int64) error {
	now, err := s.Memory(ctx)
	if err != nil {
		return err
	}
	if plugged > now.Pluggable || ballooned > now.Base {
		return fmt.Errorf("%d bytes plugged in and %d in the balloon are more than the %d and %d that there can be", plugged, ballooned, now.Pluggable, now.Base)
	}
	if now.Pluggable > 0 {
		if err := s.setProperty(ctx, "/machine/peripheral/"+qemu.MemoryDevice, "requested-size", plugged); err != nil {
			return err
		}
	}
	return s.monitor.Execute(ctx, "balloon", map[string]any{"value": now.Base - ballooned}, nil)
}

// AwaitMemory waits until the guest has so many bytes plugged in, and so many in the
// balloon. A guest that does not come nearer for as long as still is ErrGuestKeeps,
// with how it stands then.
func (s *Session) AwaitMemory(ctx context.Context, plugged, ballooned int64, still time.Duration) (Memory, error) {
	events, stop := s.Listen(qmp.EventBalloonChange, qmp.EventMemorySizeChange)
	defer stop()
	standing := time.NewTimer(still)
	defer standing.Stop()
	far := int64(-1)
	for {
		now, err := s.Memory(ctx)
		if err != nil {
			return now, err
		}
		left := distance(now.Plugged, plugged) + distance(now.Ballooned, ballooned)
		if left == 0 {
			return now, nil
		}
		if far < 0 || left < far {
			standing.Reset(still)
			far = left
		}
		select {
		case _, open := <-events:
			if !open {
				return now, errEndedMeanwhile
			}
		case <-standing.C:
			return now, ErrGuestKeeps
		case <-ctx.Done():
			return now, errors.Join(ErrGuestKeeps, context.Cause(ctx))
		}
	}
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// OfferMemory offers the guest's memory to the kernel to be merged with equal pages, or
// takes the offer back: then what was merged is parted again.
func (s *Session) OfferMemory(ctx context.Context, offer bool) error {
	var objects []struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	if err := s.monitor.Execute(ctx, "qom-list", map[string]any{"path": "/objects"}, &objects); err != nil {
		return err
	}
	for _, object := range objects {
		if object.Type != "child<memory-backend-ram>" {
			continue
		}
		if err := s.setProperty(ctx, "/objects/"+object.Name, "merge", offer); err != nil {
			return err
		}
	}
	return nil
}
