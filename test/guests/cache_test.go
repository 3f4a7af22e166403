package guests

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// made is a builder that counts its calls.
func made(calls *atomic.Int32) builder {
	return func(_ context.Context, _, out string) (manifest, error) {
		calls.Add(1)
		return manifest{Packages: []string{"bee=1"}}, os.WriteFile(filepath.Join(out, "wax"), []byte("comb"), 0o644)
	}
}

func TestEnsureBuildsOnceForMany(t *testing.T) {
	t.Setenv("PANAL_GUESTS", t.TempDir())
	var calls atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			dir, err := ensure(t.Context(), "hive", "r1", made(&calls))
			if err != nil {
				t.Error(err)
				return
			}
			if content, err := os.ReadFile(filepath.Join(dir, "wax")); err != nil || string(content) != "comb" {
				t.Errorf("the guest found is not whole: %q, %v", content, err)
			}
		})
	}
	all.Wait()
	if calls.Load() != 1 {
		t.Errorf("built %d times", calls.Load())
	}
	if _, err := lookup("hive", "r2"); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("another recipe's guest was found: %v", err)
	}
}

func TestFailedBuildLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PANAL_GUESTS", dir)
	broken := errors.New("broken")
	_, err := ensure(t.Context(), "hive", "r1", func(_ context.Context, work, out string) (manifest, error) {
		return manifest{}, errors.Join(broken, os.WriteFile(filepath.Join(out, "half"), nil, 0o644))
	})
	if !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".lock") {
			t.Errorf("%s is left", entry.Name())
		}
	}
}

func TestKilledBuilderIsClearedAway(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PANAL_GUESTS", dir)
	if err := os.MkdirAll(filepath.Join(dir, ".hive.building", "out", "stale"), 0o755); err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	got, err := ensure(t.Context(), "hive", "r1", made(&calls))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(got, "stale")); err == nil {
		t.Error("the unfinished guest's files are in the new one")
	}
}

func TestUnknownArchitecture(t *testing.T) {
	if _, err := LookupTiny("m68k"); !errors.Is(err, ErrUnknownArch) {
		t.Errorf("got %v", err)
	}
}
