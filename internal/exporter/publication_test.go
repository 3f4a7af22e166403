package exporter_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/exporter"
)

// contents are the files of a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = string(text)
	}
	return all
}

// replacing is a folder with an earlier export, and the plan to replace it.
func replacing(t *testing.T) (dir string, stage *hostfs.Stage, p *exporter.Publication) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range before() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stage = hostfs.NewStage(hostfs.Everywhere())
	t.Cleanup(stage.Abort)
	for _, name := range []string{"web.ovf", "web-disk0.vhd"} {
		file, err := stage.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt([]byte("new "+name), 0); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	p, err := exporter.Plan(stage, true, []string{filepath.Join(dir, "web-disk0.vmdk"), filepath.Join(dir, "web.cert")})
	if err != nil {
		t.Fatal(err)
	}
	return dir, stage, p
}

func before() map[string]string {
	return map[string]string{"web.ovf": "old descriptor", "web-disk0.vmdk": "old disk", "other": "of somebody else"}
}

func after() map[string]string {
	return map[string]string{"web.ovf": "new web.ovf", "web-disk0.vhd": "new web-disk0.vhd", "other": "of somebody else"}
}

// TestPublishingIsTakenBackFromEveryPoint breaks off at every step, as a crash
// would, and undoes it, twice.
func TestPublishingIsTakenBackFromEveryPoint(t *testing.T) {
	set := func(p *exporter.Publication, n int) {
		for _, f := range p.Files {
			if f.Old != "" && n > 0 {
				n--
				if err := os.Rename(f.Path, f.Old); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name, c := range map[string]struct {
		steps func(*exporter.Publication, *hostfs.Stage)
		want  map[string]string
	}{
		"nothing":          {func(*exporter.Publication, *hostfs.Stage) {}, before()},
		"one set aside":    {func(p *exporter.Publication, _ *hostfs.Stage) { set(p, 1) }, before()},
		"all set aside":    {func(p *exporter.Publication, _ *hostfs.Stage) { set(p, 2) }, before()},
		"named":            {func(p *exporter.Publication, s *hostfs.Stage) { publish(t, p, s) }, before()},
		"one of two named": {func(p *exporter.Publication, s *hostfs.Stage) { publish(t, p, s); remove(t, p.Files[0].Path) }, before()},
		"one removed":      {func(p *exporter.Publication, s *hostfs.Stage) { publish(t, p, s); remove(t, p.Files[0].Old) }, after()},
		"complete":         {func(p *exporter.Publication, s *hostfs.Stage) { publish(t, p, s); complete(t, p) }, after()},
	} {
		t.Run(name, func(t *testing.T) {
			dir, stage, p := replacing(t)
			c.steps(p, stage)
			for range 2 {
				if err := p.Undo(); err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(c.want, contents(t, dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func publish(t *testing.T, p *exporter.Publication, s *hostfs.Stage) {
	t.Helper()
	if err := p.Publish(s); err != nil {
		t.Fatal(err)
	}
}

func complete(t *testing.T, p *exporter.Publication) {
	t.Helper()
	if err := p.Complete(); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestSomebodyElsesFileStays undoes a publication after somebody has put a file
// of his own in the place.
func TestSomebodyElsesFileStays(t *testing.T) {
	dir := t.TempDir()
	stage := hostfs.NewStage(hostfs.Everywhere())
	defer stage.Abort()
	file, err := stage.Create(filepath.Join(dir, "web.ova"))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := exporter.Plan(stage, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	his := map[string]string{"web.ova": "his"}
	if err := os.WriteFile(filepath.Join(dir, "web.ova"), []byte("his"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(stage); err == nil {
		t.Error("it was replaced")
	}
	if err := p.Undo(); err != nil {
		t.Error(err)
	}
	if got := contents(t, dir); !maps.Equal(got, his) {
		t.Errorf("there is %v", got)
	}
}
