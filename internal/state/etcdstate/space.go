package etcdstate

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/panalvm/panal/internal/state"
)

// trimEvery is how many revisions beyond state.MinHistory pile up before the history
// is trimmed, so that it is done rarely and of much at once.
const trimEvery = state.MinHistory / 10

// space is what the store knows about its use of the disk.
type space struct {
	// trim wakes trimHistory.
	trim chan struct{}
	// unwritten is at least how many bytes etcd has taken and not yet written to the
	// database, whose size does not show them.
	unwritten atomic.Int64

	mu sync.Mutex
	// full is the revision at which reclaiming space was of no use; it is not tried
	// again before something has changed.
	full state.Revision
}

// committed asks for a trim when the history has become long.
func (p *space) committed(s *Store, revision state.Revision) {
	if int64(revision)-s.server.KV().FirstRev() < state.MinHistory+trimEvery {
		return
	}
	select {
	case p.trim <- struct{}{}:
	default: // it is asked for already
	}
}

// trimHistory compacts in the background for as long as the store is open.
func (s *Store) trimHistory() {
	for {
		select {
		case <-s.alive.Done():
			return
		case <-s.space.trim:
		}
		at := state.Revision(s.server.KV().Rev()) - state.MinHistory
		if err := s.compact(s.alive, at); err != nil && s.alive.Err() == nil {
			s.cfg.Logger.Warn("could not drop old history of the store; it is tried again later", "dir", s.cfg.Dir, "err", err)
		}
	}
}

// Compact implements state.Compacter.
func (s *Store) Compact(ctx context.Context, at state.Revision) error {
	call, leave, err := s.begin(ctx)
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	defer leave()
	if err := s.compact(call, at); err != nil {
		return fmt.Errorf("compact to revision %d: %w", at, err)
	}
	return nil
}

func (s *Store) compact(call context.Context, at state.Revision) error {
	if int64(at) <= max(s.server.KV().FirstRev(), 0) {
		return nil
	}
	_, err := s.client.Compact(call, int64(at), clientv3.WithCompactPhysical())
	return s.translate(call, err)
}

// makeRoom returns nil when a commit that adds so many bytes may go on, and tries to
// reclaim space when the quota is reached. Commits that add nothing always may.
func (s *Store) makeRoom(call context.Context, adds int64) error {
	if adds == 0 {
		return nil
	}
	bytes, err := free(s.cfg.Dir)
	if err != nil {
		return err
	}
	if bytes < s.cfg.MinFree+adds {
		return fmt.Errorf("%w: %d bytes are free on the file system of %s, %d are needed: free some space there",
			state.ErrNoSpace, bytes, s.cfg.Dir, s.cfg.MinFree+adds)
	}
	if err := s.makeRoomInQuota(call, adds); err != nil {
		return err
	}
	s.space.unwritten.Add(adds)
	return s.disarm(call)
}

func (s *Store) makeRoomInQuota(call context.Context, adds int64) error {
	if s.fits(adds) {
		return nil
	}
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	if err := s.write(); err != nil || s.fits(adds) {
		return err
	}
	return s.reclaim(call, adds)
}

// fits reports whether so many bytes more are within the quota; it errs towards no
// until write is called.
func (s *Store) fits(adds int64) bool {
	return s.server.Backend().Size()+s.space.unwritten.Load()+adds <= s.cfg.Quota
}

// write has etcd write what it has taken, so that the sizes are true.
func (s *Store) write() error {
	s.space.unwritten.Store(0)
	_, err := apart(s, func() (struct{}, error) {
		s.server.Backend().ForceCommit()
		return struct{}{}, nil
	})
	return err
}

// reclaim drops all history and gives its space back to the file system; s.space.mu
// is held.
func (s *Store) reclaim(call context.Context, adds int64) error {
	now := state.Revision(s.server.KV().Rev())
	full := fmt.Errorf("%w: the database in %s has reached its quota of %d bytes: delete what is not needed",
		state.ErrNoSpace, s.cfg.Dir, s.cfg.Quota)
	if s.space.full == now {
		return full
	}
	if err := s.compact(call, now); err != nil {
		return fmt.Errorf("drop old history to make room: %w", err)
	}
	if err := s.defragment(); err != nil {
		return err
	}
	if !s.fits(adds) {
		s.space.full = now
		return full
	}
	return nil
}

// defragment rewrites the database without its free pages, if the disk has room for
// the copy.
func (s *Store) defragment() error {
	if err := s.write(); err != nil { // what the compaction has freed, too
		return err
	}
	bytes, err := free(s.cfg.Dir)
	if err != nil {
		return err
	}
	if needs := s.server.Backend().SizeInUse() + s.cfg.MinFree; bytes < needs {
		return fmt.Errorf("%w: the database in %s has reached its quota, and shrinking it needs %d bytes where %d are free: free some space there",
			state.ErrNoSpace, s.cfg.Dir, needs, bytes)
	}
	_, err = apart(s, func() (struct{}, error) { return struct{}{}, s.server.Defragment() })
	if err != nil {
		return fmt.Errorf("shrink the database in %s: %w", s.cfg.Dir, err)
	}
	return nil
}

// disarm ends etcd's own alarm for lack of space, under which it refuses writes until
// told otherwise, once there is space. A directory may come with it raised.
func (s *Store) disarm(call context.Context) error {
	for _, alarm := range s.server.Alarms() {
		if alarm.Alarm != pb.AlarmType_NOSPACE {
			continue
		}
		if _, err := s.client.AlarmDisarm(call, &clientv3.AlarmMember{MemberID: alarm.MemberID, Alarm: alarm.Alarm}); err != nil {
			return fmt.Errorf("end the store's alarm for lack of space: %w", s.translate(call, err))
		}
	}
	return nil
}
