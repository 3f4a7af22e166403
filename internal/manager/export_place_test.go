package manager

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"folder", "folder.ova"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for destination, want := range map[string]struct {
		path, stem string // empty when it is refused
		archive    bool
	}{
		"web.ova":     {"web.ova", "web", true},
		"Web.OVA":     {"Web.OVA", "Web", true},
		"web.ovf":     {"web.ovf", "web", false},
		"folder":      {"folder/db.ovf", "db", false},
		"folder/":     {"folder/db.ovf", "db", false},
		"new/":        {"new/db.ovf", "db", false},
		"folder.ova/": {"folder.ova/db.ovf", "db", false},
		"folder.ova":  {},
		".ova":        {},
		"...ova":      {},
		"web":         {},
		"web.zip":     {},
	} {
		p, err := placeOf(dir+"/"+destination, "db")
		if want.path == "" {
			if problem.Of(err).Kind != api.KindInvalid {
				t.Errorf("%s: %v", destination, err)
			}
			continue
		}
		if err != nil || p.path != filepath.Join(dir, want.path) || p.stem != want.stem || p.archive != want.archive {
			t.Errorf("%s: %+v, %v", destination, p, err)
		}
	}
	if _, err := placeOf("web.ova", "db"); err == nil {
		t.Error("a relative path was taken")
	}
}

func TestTwoExportsDoNotWriteToOnePlace(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	var s places
	first, err := placeOf(dir+"/web.ova", "")
	if err != nil {
		t.Fatal(err)
	}
	release, err := s.take(first)
	if err != nil {
		t.Fatal(err)
	}
	second, err := placeOf(link+"/web.ova", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.take(second); err == nil || problem.Of(err).Kind != api.KindBusy {
		t.Errorf("got %v", err)
	}
	release()
	if _, err := s.take(second); err != nil {
		t.Error(err)
	}
}

// Of what is not there, an export makes the folder that it was told to write to, and no other.
func TestOnlyTheFolderThatIsNamedIsMade(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for destination, want := range map[string]string{
		"web.ova": "", "web.ovf": "", "new/": "",
		"new/web.ova": "there is no folder " + dir + "/new", "new/web.ovf": "there is no folder " + dir + "/new",
		"new/deep/": "there is no folder " + dir + "/new", "new/deep/web.ova": "there is no folder " + dir + "/new/deep",
		"file/web.ova": dir + "/file is no folder", "file/new/": dir + "/file is no folder",
	} {
		p, err := placeOf(dir+"/"+destination, "db")
		if err != nil {
			t.Fatal(err)
		}
		switch err := p.checkFolder(); {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v", destination, err)
		case err != nil && problem.Of(err).Kind != api.KindInvalid:
			t.Errorf("%s: it is of the kind %s", destination, problem.Of(err).Kind)
		}
	}
}
