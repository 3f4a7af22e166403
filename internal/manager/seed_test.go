package manager

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/testenv"
)

func TestSeedsOnDisksAreWarnedOf(t *testing.T) {
	testenv.Need(t, "mcopy") // and with it comes mformat
	dir := t.TempDir()
	seed, plain, meta := filepath.Join(dir, "seed.img"), filepath.Join(dir, "plain.img"), filepath.Join(dir, "meta-data")
	if err := os.WriteFile(meta, []byte("instance-id: iid-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"mformat", "-i", seed, "-C", "-f", "2880", "-v", "cidata", "::"},
		{"mcopy", "-i", seed, meta, "::meta-data"},
		{"mformat", "-i", plain, "-C", "-f", "2880", "-v", "data", "::"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	for _, c := range []struct {
		drive api.Drive
		want  bool
	}{
		{api.Drive{Name: "d", Kind: api.Disk, Source: seed}, true},
		{api.Drive{Name: "d", Kind: api.Disk, Source: plain}, false},
		{api.Drive{Name: "d", Kind: api.Disk, Source: filepath.Join(dir, "none")}, false},
		{api.Drive{Name: "d", Kind: api.Disk, Source: "nfs://h/dir/file"}, false},
		{api.Drive{Name: "d", Kind: api.Disk}, false},
		{api.Drive{Name: "d", Kind: api.Optical, Source: seed}, false},
	} {
		if got := seedOnDisk(c.drive); strings.Contains(got, "instance-id") != c.want {
			t.Errorf("%s %s: %q", c.drive.Kind, filepath.Base(c.drive.Source), got)
		}
	}
}
