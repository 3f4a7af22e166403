package vmdk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/diskfault"
	"github.com/panalvm/panal/disk/memfs"
)

// rebased are two images of other content, and a delta of the first.
func rebased(t *testing.T, kind string) (*memfs.FS, []byte) {
	t.Helper()
	m := memfs.New()
	content := mixed(1<<20, 40)
	for i, name := range []string{"old.vmdk", "new.vmdk"} {
		img, err := disk.Create(name, disk.CreateOptions{FS: m, Formats: formats, Format: "vmdk", Size: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		write(t, img, mixed(1<<20, uint64(40+i)), 0)
		closed(t, img)
	}
	parent := mustOpen(t, m, "old.vmdk", disk.Options{})
	kid, err := disk.Create("kid.vmdk", disk.CreateOptions{
		FS: m, Formats: formats, Format: kind, Parent: parent, ParentName: "old.vmdk", Options: map[string]string{"grainSize": "16K"},
	})
	if err != nil {
		t.Fatal(err)
	}
	scribble(t, kid, content, 41)
	closed(t, kid)
	closed(t, parent)
	return m, content
}

// rebase gives the delta its new parent, through files that may fail.
func rebase(t *testing.T, m *memfs.FS, files disk.FS) error {
	t.Helper()
	parent := mustOpen(t, m, "new.vmdk", disk.Options{})
	defer closed(t, parent)
	kid, err := disk.Open("kid.vmdk", disk.Options{FS: files, Formats: formats, Write: true})
	if err != nil {
		return err
	}
	return errors.Join(disk.Rebase(context.Background(), kid, parent, "new.vmdk", "vmdk", disk.CopyOptions{}), kid.Close())
}

// same reads the delta, whichever parent it has.
func same(t *testing.T, m *memfs.FS, content []byte, when string) {
	t.Helper()
	kid := mustOpen(t, m, "kid.vmdk", disk.Options{})
	defer closed(t, kid)
	if !bytes.Equal(readAll(t, kid), content) {
		t.Fatalf("%s it reads otherwise", when)
	}
	sound(t, kid, disk.Leak)
}

// TestRebaseIsBrokenOff cuts the power while a delta gets a parent of other
// content, and lets files fail: it reads the same always, and rebasing it again
// completes that.
func TestRebaseIsBrokenOff(t *testing.T) {
	for _, kind := range []string{"vmdk:monolithicSparse", "vmdk:twoGbMaxExtentSparse"} {
		t.Run(kind, func(t *testing.T) {
			m, content := rebased(t, kind)
			start := m.Crash(rand.New(rand.NewPCG(1, 1))) // as it is, and durable: all was closed
			rng, cuts := rand.New(rand.NewPCG(2, 2)), 0
			m.OnOp = func(op, _ string) {
				if cuts++; cuts%3 == 0 {
					left := m.Crash(rng)
					same(t, left, content, fmt.Sprintf("after a cut before a %s", op))
					if err := rebase(t, left, left); err != nil {
						t.Fatal(err)
					}
					same(t, left, content, "rebased again after a cut")
				}
			}
			if err := rebase(t, m, m); err != nil {
				t.Fatal(err)
			}
			m.OnOp = nil
			same(t, m, content, "rebased")
			for n, failed := 0, true; failed; n += 1 + n/4 {
				left, count := start.Crash(rng), n
				failed = false
				err := rebase(t, left, &diskfault.FS{FS: left, Fail: func(op diskfault.Op, _ string) error {
					if count--; op == diskfault.Read || count >= 0 {
						return nil
					}
					failed = true
					return errFull
				}})
				if failed != (err != nil) {
					t.Fatalf("a fault (%v) was told as %v", failed, err)
				}
				same(t, left, content, fmt.Sprintf("after %d operations that went well, and told %v", n, err))
				if err := rebase(t, left, left); err != nil {
					t.Fatal(err)
				}
				same(t, left, content, "rebased again after a fault")
			}
		})
	}
}
