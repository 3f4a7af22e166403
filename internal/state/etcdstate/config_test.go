package etcdstate

import (
	"testing"

	"go.uber.org/zap"
)

// A daemon that was killed replays the log since the last snapshot. Etcd lets go of
// entries beside that, and its election, which may come in between, ends the process if
// it finds one of them gone: with fewer kept than replayed that came once in thousands of starts.
func TestReplayedEntriesStayInMemory(t *testing.T) {
	settings := serverConfig(Config{Dir: t.TempDir(), Quota: MinQuota}, zap.NewNop())
	if settings.SnapshotCatchUpEntries < 2*settings.SnapshotCount {
		t.Errorf("%d entries are kept, %d and what comes beside a snapshot are replayed", settings.SnapshotCatchUpEntries, settings.SnapshotCount)
	}
}
