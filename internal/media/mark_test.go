package media

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

// TestMarkTellsWhatChanged marks an image over another one, and changes each in turn.
func TestMarkTellsWhatChanged(t *testing.T) {
	dir := t.TempDir()
	base, top := filepath.Join(dir, "base.raw"), filepath.Join(dir, "top.qcow2")
	text := make([]byte, 1<<20)
	if err := os.WriteFile(base, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CreateOverlay(top, Ref{Path: base, Format: "raw"}, nil); err != nil {
		t.Fatal(err)
	}
	ref := Ref{Path: top, Format: "qcow2"}
	before := markOf(t, ref)
	if len(before.Files) != 2 {
		t.Fatalf("it has the files %+v", before.Files)
	}
	if said := markOf(t, ref).Changed(before); said != "" {
		t.Errorf("nothing changed, and it says %q", said)
	}
	for _, change := range []struct {
		name, says string
		do         func() error
	}{
		{"the date", base + " was last written at ", func() error { return os.Chtimes(base, time.Time{}, time.Now().Add(time.Hour)) }},
		{"the size", base + " had 1048576 bytes then and has 2097152 now", func() error { return os.Truncate(base, 2<<20) }},
	} {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		if said := markOf(t, ref).Changed(before); !strings.HasPrefix(said, change.says) {
			t.Errorf("%s: it says %q", change.name, said)
		}
	}
	was := markOf(t, Ref{Path: base, Format: "raw"})
	if said := markOf(t, ref).Changed(was); said == "" {
		t.Error("one file more is not noticed")
	}
	if said := was.Changed(before); !strings.Contains(said, "does not consist of "+top) {
		t.Errorf("one file less: %q", said)
	}
}

// TestMarkOfMember marks the archive that an image is in.
func TestMarkOfMember(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.ova"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.ova": "a.ova", "a.ova/disk1.vmdk": "a.ova", "a.ova/b/c": "a.ova", "gone/b/c": "gone", "gone": "gone"} {
		if got := archiveOf(filepath.Join(dir, name)); got != filepath.Join(dir, want) {
			t.Errorf("%s is in %s, want %s", name, got, want)
		}
	}
	_, err := MarkOf(Ref{Path: filepath.Join(dir, "gone.ova", "disk1.vmdk"), Format: "vmdk"})
	if p := problem.Of(err); p.Kind != api.KindUnreadable || !strings.Contains(p.Detail, "is not there any more") {
		t.Errorf("an archive that is gone: %v", err)
	}
}

func markOf(t *testing.T, ref Ref) Mark {
	t.Helper()
	mark, err := MarkOf(ref)
	if err != nil {
		t.Fatal(err)
	}
	return mark
}
