package pool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

func TestNames(t *testing.T) {
	for text, good := range map[string]bool{"fast": true, "ssd-2.raid_1": true, "9": true, "": false, "-x": false, "a/b": false, ".hidden": false, "ä": false} {
		if err := CheckName(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestDirectoriesInEachOther(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"/srv", "/srv", true}, {"/srv/a", "/srv", true}, {"/", "/srv", true}, {"/srv", "/srv2", false}, {"/srv/a", "/srv/b", false}} {
		if Overlaps(c.a, c.b) != c.want || Overlaps(c.b, c.a) != c.want {
			t.Errorf("%s and %s: not %t", c.a, c.b, c.want)
		}
	}
}

// A directory that was marked is known by its mark, and one that is not there, or lost it, is not the pool.
func TestMark(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pool")
	if _, err := Mark(dir); problem.Of(err).Kind != api.KindNotFound {
		t.Errorf("a directory that is not there: %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	id, err := Mark(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Mark(dir); err != nil || again != id {
		t.Errorf("marked again it is %s: %v", again, err)
	}
	if err := Check(dir, id); err != nil {
		t.Error(err)
	}
	if err := Unmark(dir, "another"); err != nil || Check(dir, id) != nil {
		t.Errorf("the mark of another pool was taken away: %v", err)
	}
	for name, id := range map[string]string{"another ID": "11111111-2222-3333-4444-555555555555", "no ID": ""} {
		if err := Check(dir, id); problem.Of(err).Kind != api.KindUnavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := errors.Join(Unmark(dir, id), Unmark(dir, id)); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, mark)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the mark is there: %v", err)
	}
	if err := Check(dir, id); problem.Of(err).Kind != api.KindUnavailable {
		t.Errorf("without its mark: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, mark), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Mark(dir); problem.Of(err).Kind != api.KindInvalid {
		t.Errorf("over rubbish: %v", err)
	}
}
