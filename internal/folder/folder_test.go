package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
)

func newFolder(t *testing.T) Folder {
	t.Helper()
	f := Folder(filepath.Join(t.TempDir(), "web"))
	if err := f.Make(); err != nil {
		t.Fatal(err)
	}
	return f
}

func document(name string) Document { return Document{Spec: api.Spec{Name: name}} }

func TestWhatIsSettledIsRead(t *testing.T) {
	f := newFolder(t)
	digest, err := f.Prepare(document("web"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a prepared document was read: %v", err)
	}
	if err := f.Settle(digest); err != nil {
		t.Fatal(err)
	}
	got, gotDigest, err := f.Read()
	if err != nil || got.Spec.Name != "web" || gotDigest != digest {
		t.Errorf("read %+v, %s, %v", got, gotDigest, err)
	}
}

// A crash can come between any two of the three steps; the digest that was
// committed says which document is the machine's.
func TestSettlingAfterACrashGoesByWhatWasCommitted(t *testing.T) {
	f := newFolder(t)
	before, err := f.Prepare(document("before"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Settle(before); err != nil {
		t.Fatal(err)
	}
	after, err := f.Prepare(document("after"))
	if err != nil {
		t.Fatal(err)
	}
	for _, committed := range []struct{ digest, name string }{{before, "before"}, {after, "after"}} {
		if _, err := f.Prepare(document("after")); err != nil {
			t.Fatal(err)
		}
		if err := f.Settle(committed.digest); err != nil {
			t.Fatal(err)
		}
		if got, _, err := f.Read(); err != nil || got.Spec.Name != committed.name {
			t.Errorf("with %s committed, %q is read, %v", committed.name, got.Spec.Name, err)
		}
		if _, err := os.Lstat(f.Path(preparing)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the prepared document is left: %v", err)
		}
	}
}

func TestBrokenDocumentsSayWhereAndWhy(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"cut off":       {"{\n\"format\": \"panal/1\",\n", "line 3"},
		"misspelt":      {`{"format": "panal/1", "sepc": {}}`, "sepc"},
		"wrong type":    {"{\n\"format\": \"panal/1\", \"spec\": {\"name\": 3}}", "line 2"},
		"other version": {`{"format": "panal/9"}`, "panal/9"},
		"too large":     {strings.Repeat(" ", maxSpecFile+1), "larger than"},
		"empty":         {"", "does not hold a machine"},
	} {
		f := newFolder(t)
		if err := os.WriteFile(f.Path(SpecFile), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Read(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
	}
}

func TestMovingNeverReplacesWhatIsThere(t *testing.T) {
	f := newFolder(t)
	taken := Folder(filepath.Join(filepath.Dir(string(f)), "taken"))
	if err := os.WriteFile(string(taken), []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.MoveTo(taken); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(string(taken)); err != nil || string(text) != "somebody's" {
		t.Errorf("what was there is now %q, %v", text, err)
	}
}

func TestWhatIsNotTheMachinesStays(t *testing.T) {
	f := newFolder(t)
	if err := os.WriteFile(f.Path("precious.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if foreign, err := f.Foreign(); err != nil || len(foreign) != 1 || foreign[0] != "precious.txt" {
		t.Errorf("foreign is %v, %v", foreign, err)
	}
	if err := f.Remove(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(f.Path("precious.txt")); err != nil || string(text) != "mine" {
		t.Errorf("somebody's file is now %q, %v", text, err)
	}
}

func TestLinksThatLeadOutAreRefused(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		link, to string
		refused  bool
	}{
		"image":           {"disks/disk0.raw", secret, true},
		"firmware's":      {"nvram/vars.fd", secret, true},
		"upwards":         {"disks/disk0.raw", "../../secret", true},
		"within":          {"disks/disk0.raw", "other.raw", false},
		"dangling within": {"disks/disk0.raw", "nothing.raw", true},
	} {
		f := newFolder(t)
		if err := os.WriteFile(f.Path("disks/other.raw"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(c.to, f.Path(c.link)); err != nil {
			t.Fatal(err)
		}
		if err := f.Check("disks/other.raw"); (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := newFolder(t)
	if err := errors.Join(os.Remove(f.Path(Disks)), os.Symlink(filepath.Dir(secret), f.Path(Disks))); err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); err == nil {
		t.Error("a directory that is a link was taken")
	}
}

func TestLostDirectoriesAreMadeAgain(t *testing.T) {
	f := newFolder(t)
	if err := os.Remove(f.Path(Log)); err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(f.Path(Log)); err != nil || !info.IsDir() {
		t.Errorf("%v", err)
	}
}

func TestRemovingTwiceIsNoError(t *testing.T) {
	f := newFolder(t)
	for range 2 {
		if err := f.Remove(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"format":"panal/1","created":"2026-01-02T03:04:05Z","spec":{"name":"web","memory":{"size":"2G"}}}`))
	f.Add([]byte(`{"format":"panal/1","spec":{"drives":[{"size":-1}]}}`))
	dir := Folder(f.TempDir())
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(dir.Path(SpecFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		doc, _, err := dir.Read()
		if err == nil && doc.Format != Format {
			t.Errorf("%q was read as the format %q", text, doc.Format)
		}
	})
}
