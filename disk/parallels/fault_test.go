package parallels_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/diskfault"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/parallels"
)

// subjects are the kinds whose work is broken off.
var subjects = map[string]disktest.Subject{
	"ext":         {Format: parallels.Format, Variant: "expanding", NoParent: true, Options: map[string]string{"clusterSize": "64K"}},
	"classic":     {Format: parallels.Format, Variant: "expanding", NoParent: true, Options: map[string]string{"clusterSize": "64K", "layout": "classic"}},
	"bundle":      {Format: parallels.Format, Variant: "expanding", File: bundle, Options: map[string]string{"clusterSize": "64K"}},
	"split":       {Format: parallels.Format, Variant: "expanding", File: bundle, Options: map[string]string{"clusterSize": "64K", "split": "1M"}, Size: 1<<20 + 300<<10},
	"plain split": {Format: parallels.Format, Variant: "plain", File: bundle, Options: map[string]string{"split": "1M"}, Size: 1<<20 + 300<<10, Block: 512},
}

// What fails below an image is told, and nothing is lost by it.
func TestFaults(t *testing.T) {
	for name, s := range subjects {
		t.Run(name, func(t *testing.T) { disktest.Faults(t, s) })
	}
}

// Compacting, resizing and so on may be broken off at any moment.
func TestUpkeep(t *testing.T) {
	for name, s := range subjects {
		t.Run(name, func(t *testing.T) { disktest.Upkeep(t, s, nil) })
	}
}

// A compaction that breaks off has moved clusters to places that were free:
// they are free no more.
func TestACompactionThatFailsLosesNothing(t *testing.T) {
	failed := 0
	for _, kind := range []diskfault.Op{diskfault.Write, diskfault.Sync, diskfault.Read, diskfault.Truncate} {
		for n := range 60 {
			m := alone(hds{bat: []uint32{1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0}, letters: "abcdefgh"})
			img := mustOpen(t, m, "a.hds", disk.Options{Write: true})
			write(t, img, "0.0.0")
			if err := img.(disk.Writer).Sync(); err != nil {
				t.Fatal(err)
			}
			mustClose(t, img)
			left := -1
			f := &diskfault.FS{FS: m, Fail: func(op diskfault.Op, _ string) error {
				if op == kind && left >= 0 {
					if left--; left == -1 {
						return errFault
					}
				}
				return nil
			}}
			img = mustOpen(t, f, "a.hds", disk.Options{Write: true})
			left = n
			if _, err := img.(disk.Compacter).Compact(t.Context(), nil); err != nil {
				failed++
			}
			left = -1
			write(t, img, "........wxyz")
			if have := letters(t, img); have != ".b.d.fghwxyz" {
				t.Errorf("%s %d: it reads as %s", kind, n, have)
			}
			mustClose(t, img)
		}
	}
	if failed == 0 {
		t.Error("no compaction failed")
	}
}

// What a writer could not sync before it died is seen by the next: its Sync
// makes that durable.
func TestSyncCoversWhatWasWrittenBefore(t *testing.T) {
	m := alone(hds{bat: []uint32{1, 0}, letters: "a"})
	img := mustOpen(t, failing(m, diskfault.Sync, 2), "a.hds", disk.Options{Write: true}) // the one after the table
	write(t, img, ".b")
	if err := img.Close(); !errors.Is(err, errFault) {
		t.Fatalf("closing: %v", err)
	}
	img = mustOpen(t, m, "a.hds", disk.Options{Write: true})
	defer mustClose(t, img)
	if have := letters(t, img); have != "ab" {
		t.Fatalf("it reads as %s", have)
	}
	if err := img.(disk.Writer).Sync(); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		left := mustOpen(t, m.Crash(rand.New(rand.NewPCG(seed, 0))), "a.hds", disk.Options{})
		if have := letters(t, left); have != "ab" {
			t.Fatalf("after a power cut it reads as %s", have)
		}
		mustClose(t, left)
	}
}
