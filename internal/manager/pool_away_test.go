package manager

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/pool"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state/memstate"
)

// TestPoolGoesAwayWhileAMachineIsMade makes a machine's folder in a pool, and has the pool's directory be another one before the
// folder is put into place, as when its file system is unmounted.
func TestPoolGoesAwayWhileAMachineIsMade(t *testing.T) {
	ctx, dir := t.Context(), filepath.Join(t.TempDir(), "pool")
	m := &Manager{Options: Options{Store: memstate.New()}, log: slog.New(slog.DiscardHandler)}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	id, err := pool.Mark(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Pools().records().Create(ctx, "fast", pool.Record{Path: dir, ID: id}); err != nil {
		t.Fatal(err)
	}
	var record inventory.Record
	record.Folder = filepath.Join(dir, "web")
	record.Spec = api.Spec{Name: "web", UUID: "11111111-2222-3333-4444-555555555555", Drives: []api.Drive{{Name: "disk0", File: "disks/disk0.qcow2"}}}
	staging := stagingOf(&record)
	if err := staging.Make(); err != nil {
		t.Fatal(err)
	}
	if err := m.place(ctx, record); err == nil {
		t.Error("it was put into place without its disk")
	}
	if err := os.WriteFile(staging.Path("disks/disk0.qcow2"), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	away := dir + ".away"
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := staging.Make(); err != nil {
		t.Fatal(err)
	}
	if err := m.place(ctx, record); problem.Of(err).Kind != api.KindUnavailable {
		t.Errorf("put into place where the pool is not: %v", err)
	}
	if err := m.unmake(ctx, made{record.Spec.UUID, record.Folder}); problem.Of(err).Kind != api.KindUnavailable {
		t.Errorf("undone where the pool is not: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("below the mount point are %v: %v", entries, err)
	}
	if err := m.emptyAll(ctx); err != nil {
		t.Error(err)
	}

	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Pools().directory(ctx, "fast"); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(string(staging)); !os.IsNotExist(err) {
		t.Errorf("what was being made is there when the pool is back: %v", err)
	}
	if notes, _, err := m.trash().List(ctx); err != nil || len(notes) > 0 {
		t.Errorf("noted are %v: %v", notes, err)
	}
	if err := m.poolThere(ctx, folder.Folder(record.Folder)); err != nil {
		t.Error(err)
	}
}
