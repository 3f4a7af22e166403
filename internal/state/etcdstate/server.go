package etcdstate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/features"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"

	"github.com/panalvm/panal/internal/state"
)

// member is the name of the only member, and of the address that etcd wants it to
// have; nothing listens there.
const member = "panal"

// startLimit is how long a loaded member may take to serve; it has nobody to wait
// for, so that only damage can make it longer than replaying its log.
const startLimit = time.Minute

var errNotReady = fmt.Errorf("etcd did not begin to serve within %v", startLimit)

// setSegmentSize sets etcd's package variable, the only way to choose it, once and
// before the first server.
var setSegmentSize = sync.OnceFunc(func() { wal.SegmentSizeBytes = segmentBytes })

// startBytes must be free for a start, which writes a little to log and database, and
// which etcd would not survive if it could not.
const startBytes = 4 << 20

func checkSpace(cfg Config) error {
	bytes, err := free(cfg.Dir)
	if err != nil {
		return err
	}
	if cfg.MinFree > 0 && bytes < startBytes {
		return fmt.Errorf("open the store in %s: %w: %d bytes are free: free at least %d on its file system",
			cfg.Dir, state.ErrNoSpace, bytes, int64(startBytes))
	}
	return nil
}

// startServer starts the member on cfg.Dir and waits until it serves. A failure it
// reports to end is returned.
func startServer(ctx context.Context, cfg Config, end *failure) (*etcdserver.EtcdServer, error) {
	setSegmentSize()
	settings := serverConfig(cfg, newZap(cfg.Logger, end))
	server, err := newServer(settings, end)
	if err != nil {
		return nil, err
	}
	server.Start()
	limit, cancel := context.WithTimeoutCause(ctx, startLimit, errNotReady)
	defer cancel()
	select {
	case <-server.ReadyNotify():
		return server, nil
	case <-end.happened:
		return nil, end.cause()
	case <-limit.Done():
		server.HardStop() // also what lets go of the files of one not started
		return nil, context.Cause(limit)
	}
}

// newServer loads the directory. etcd reports damage by ending the process or the
// goroutine; so it gets one of its own, which may be left behind, blocked, when the
// directory is damaged.
func newServer(settings config.ServerConfig, end *failure) (*etcdserver.EtcdServer, error) {
	loaded := make(chan *etcdserver.EtcdServer, 1)
	go func() {
		defer func() {
			if caught := recover(); caught != nil {
				end.report(fmt.Errorf("%v", caught))
			}
		}()
		server, err := etcdserver.NewServer(settings)
		if err != nil {
			end.report(err)
			return
		}
		loaded <- server
	}()
	select {
	case server := <-loaded:
		return server, nil
	case <-end.happened:
		return nil, end.cause()
	}
}

func serverConfig(cfg Config, logger *zap.Logger) config.ServerConfig {
	address := types.MustNewURLs([]string{"unix://" + member})
	return config.ServerConfig{
		Name:       member,
		DataDir:    cfg.Dir,
		Logger:     logger,
		ClientURLs: address,
		PeerURLs:   address,
		NewCluster: true,
		// Used for a new directory only: it makes the identity of every store its
		// own, so that a member can never be taken for one of another cluster.
		InitialClusterToken: rand.Text(),
		InitialPeerURLsMap:  types.URLsMap{member: address},

		TickMs:                     uint(tick / time.Millisecond),
		ElectionTicks:              electionTicks,
		InitialElectionTickAdvance: true,
		PreVote:                    true,
		BcryptCost:                 4, // nobody logs in to this etcd; it complains of none

		SnapshotCount:          snapshotEntries,
		SnapshotCatchUpEntries: keptEntries,
		MaxSnapFiles:           2,
		MaxWALFiles:            2,

		BackendFreelistType: bolt.FreelistMapType,
		// The store itself holds the database to cfg.Quota. etcd's own limit, which
		// has to be disarmed by hand, lies above it.
		QuotaBackendBytes: cfg.Quota + cfg.Quota/4,
		MaxTxnOps:         state.MaxOps,
		// Each key is sent in the comparison, in the write and in the read of a failure.
		MaxRequestBytes:             state.MaxCommitBytes + 3*state.MaxOps*(state.MaxKeyBytes+64),
		WarningApplyDuration:        time.Second,
		WarningUnaryRequestDuration: 2 * time.Second,
		AuthToken:                   "simple",
		StrictReconfigCheck:         true,
		V2Deprecation:               config.V2DeprDefault,
		Metrics:                     "basic",
		ServerFeatureGate:           features.NewDefaultServerFeatureGate(member, logger),
	}
}

// explain says what a failure to start comes from.
func explain(cfg Config, err error) error {
	bytes, spaceErr := free(cfg.Dir)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("open the store in %s: %w", cfg.Dir, err)
	case errors.Is(err, syscall.ENOSPC), spaceErr == nil && bytes < segmentBytes:
		return fmt.Errorf("open the store in %s: %w: %d bytes are free: free %d on its file system: %w",
			cfg.Dir, state.ErrNoSpace, bytes, cfg.MinFree, err)
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS):
		return unwritable(cfg.Dir, err)
	}
	return corrupt(cfg.Dir, fmt.Errorf("%s: %w", filepath.Join(cfg.Dir, "member"), err))
}
