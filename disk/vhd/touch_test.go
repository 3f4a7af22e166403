package vhd_test

import (
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/memfs"
)

// warned opens child.vhd, and tells what it says of its parent.
func warned(t *testing.T, fs *memfs.FS) string {
	t.Helper()
	img, err := disk.Open("child.vhd", disk.Options{FS: fs, Formats: formats})
	if err != nil {
		t.Fatal(err)
	}
	defer disktest.Finish(t, img)
	warnings := strings.Join(disk.Describe(img).Warnings, "; ")
	report, err := disk.Check(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	if worst, _ := report.Worst(); (warnings != "") != (worst == disk.Damage) {
		t.Errorf("described with the warning %q, and a check finds %+v", warnings, report.Findings)
	}
	return warnings
}

// A parent that Panal changes when its child is there is noticed, whatever the
// change, and is not when it was only looked at or got another parent itself.
func TestParentWrittenSince(t *testing.T) {
	changes := map[string]struct {
		do       func(img disk.Image) error
		harmless bool
	}{
		"write":      {do: func(img disk.Image) error { _, err := img.(disk.Writer).WriteAt([]byte("new"), 5000); return err }},
		"zero":       {do: func(img disk.Image) error { return disk.Zero(img, 0, 4096) }},
		"discard":    {do: func(img disk.Image) error { return disk.Discard(img, 0, 64<<10) }},
		"resize":     {do: func(img disk.Image) error { return disk.Resize(img, 128<<10) }},
		"nothing":    {harmless: true, do: func(disk.Image) error { return nil }},
		"no byte":    {harmless: true, do: func(img disk.Image) error { _, err := img.(disk.Writer).WriteAt(nil, 0); return err }},
		"beyond":     {harmless: true, do: func(img disk.Image) error { _, _ = img.(disk.Writer).WriteAt([]byte("new"), 1<<40); return nil }},
		"sync alone": {harmless: true, do: func(img disk.Image) error { return img.(disk.Writer).Sync() }},
	}
	for _, kind := range []string{"vhd:dynamic", "vhd:fixed"} {
		for name, change := range changes {
			t.Run(kind+"/"+name, func(t *testing.T) {
				fs := memfs.New()
				base, err := disk.Create("base.vhd", disk.CreateOptions{FS: fs, Formats: formats, Format: kind, Size: 64 << 10})
				if err != nil {
					t.Fatal(err)
				}
				content := make([]byte, 64<<10)
				disktest.Scribble(t, base, content, 1)
				disktest.Finish(t, base)
				if base, err = disk.Open("base.vhd", disk.Options{FS: fs, Formats: formats}); err != nil {
					t.Fatal(err)
				}
				child, err := disk.Create("child.vhd", disk.CreateOptions{FS: fs, Formats: formats, Format: "vhd", Parent: base, ParentName: "base.vhd"})
				if err != nil {
					t.Fatal(err)
				}
				disktest.Finish(t, child)
				disktest.Finish(t, base)
				if w := warned(t, fs); w != "" {
					t.Errorf("before anything was done: %s", w)
				}
				if base, err = disk.Open("base.vhd", disk.Options{FS: fs, Formats: formats, Write: true}); err != nil {
					t.Fatal(err)
				}
				if err := change.do(base); err != nil {
					t.Fatal(err)
				}
				disktest.Sound(t, base, disk.Leak)
				disktest.Finish(t, base)
				if w := warned(t, fs); (w == "") != change.harmless {
					t.Errorf("told %q", w)
				}
				if !change.harmless {
					relink(t, fs)
				}
			})
		}
	}
}

// relink names the parent anew, by which the child takes it as it is.
func relink(t *testing.T, fs *memfs.FS) {
	t.Helper()
	base, err := disk.Open("base.vhd", disk.Options{FS: fs, Formats: formats})
	if err != nil {
		t.Fatal(err)
	}
	child, err := disk.Open("child.vhd", disk.Options{FS: fs, Formats: formats, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := child.(disk.Reparenter).SetParent(base, "base.vhd", "vhd"); err != nil {
		t.Fatal(err)
	}
	disktest.Finish(t, child)
	disktest.Finish(t, base)
	if w := warned(t, fs); w != "" {
		t.Errorf("with the parent as it is now: %s", w)
	}
}

// Programs that remember the time of the parent's file, or none, tell nothing.
func TestParentTimestampsOfOthers(t *testing.T) {
	for name, test := range map[string]struct {
		made, remembered uint32 // in seconds since 2000
		want             string
	}{
		"the same":          {1000, 1000, ""},
		"none":              {1000, 0, ""},
		"of the file":       {1000, 500_000, ""},
		"made or changed":   {500_000, 1000, "2000-01-06 18:53:20"},
		"changed a bit":     {1001, 1000, "2000-01-01 00:16:41"},
		"of the last day":   {0xffffffff, 0xfffffffe, "2136-02-07 06:28:15"},
		"before it counted": {0, 1000, ""},
	} {
		t.Run(name, func(t *testing.T) {
			fs := memfs.New()
			base := plain()
			base.stamp = test.made
			b := child()
			b.locators, b.parentStamp = []locatorOf{{"W2ru", utf16le("base.vhd")}}, test.remembered
			fs.Put("base.vhd", base.bytes())
			fs.Put("child.vhd", b.bytes())
			if w := warned(t, fs); test.want == "" && w != "" || !strings.Contains(w, test.want) {
				t.Errorf("told %q", w)
			}
		})
	}
}

// A time that cannot become later stays.
func TestTheLastSecondOfTheFormat(t *testing.T) {
	b := plain()
	b.stamp = 0xffffffff
	img := mustOpen(t, b.bytes(), true)
	disktest.Scribble(t, img, plainContent(), 1)
	if made := disk.Describe(img).Created; made.Before(time.Date(2136, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("made at %v", made)
	}
}
