package ova_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/ovf/ova"
)

// packed makes an archive with GNU tar, of files that lie in a folder.
func packed(t *testing.T, files map[string]string, args ...string) []byte {
	t.Helper()
	program, dir := testenv.Need(t, "tar"), t.TempDir()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, append([]string{"-C", dir, "-c"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestArchivesOfTar(t *testing.T) {
	long := strings.Repeat("long", 20) + "/" + strings.Repeat("name", 20) + ".img"
	files := map[string]string{"web.ovf": descriptor, "web.mf": manifest("web.ovf", descriptor, long, "disk"), long: "disk"}
	for _, format := range []string{"gnu", "oldgnu", "pax", "posix", "ustar"} {
		p := packed(t, files, "--format="+format, "./web.ovf", "web.mf", long)
		contents, report, err := readAll(bytes.NewReader(p), ova.Options{})
		if err != nil || contents[long] != "disk" || len(report.Verified) != 2 || len(report.Findings) != 0 {
			t.Errorf("%s: %d, %+v, %v", format, len(contents), report, err)
		}
		if a := open(t, p); a.Member(long) == nil {
			t.Errorf("%s: in place there is %+v", format, a.Members())
		}
	}
	contents, report, err := readAll(bytes.NewReader(packed(t, files, "--format=gnu", ".")), ova.Options{})
	if err != nil || len(contents) != 3 || len(report.Verified) != 2 {
		t.Errorf("a whole folder: %d, %+v, %v", len(contents), report, err)
	}
}

func TestSparseMembersOfTar(t *testing.T) {
	files := map[string]string{"web.ovf": descriptor}
	for _, args := range [][]string{{"--format=gnu"}, {"--format=posix", "--sparse-version=0.0"}, {"--format=posix", "--sparse-version=0.1"}, {"--format=posix", "--sparse-version=1.0"}} {
		dir := t.TempDir()
		f, err := os.Create(filepath.Join(dir, "disk"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(16<<20), f.Close()); err != nil {
			t.Fatal(err)
		}
		p := packed(t, files, append(args, "-S", "web.ovf", "-C", dir, "disk")...)
		if _, _, err := readAll(bytes.NewReader(p), ova.Options{}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v: as a stream: %v", args, err)
		}
		if _, err := ova.Open(bytes.NewReader(p), int64(len(p)), ova.Limits{}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v: in place: %v", args, err)
		}
	}
}

// What tar unpacks of an archive of ours is what went in.
func TestTarUnpacks(t *testing.T) {
	program, dir := testenv.Need(t, "tar"), t.TempDir()
	var b bytes.Buffer
	content := strings.Repeat("disk ", 3000)
	if err := ova.Pack(t.Context(), &b, []byte(descriptor), []ova.PackFile{file("disk1.vmdk", content), file(strings.Repeat("n", 150), "x")}, ova.WriterOptions{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-C", dir, "-x")
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("tar says %q, %v", out, err)
	}
	for name, want := range map[string]string{"web.ovf": descriptor, "disk1.vmdk": content, strings.Repeat("n", 150): "x"} {
		if have, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(have) != want {
			t.Errorf("%s has %d bytes, %v", name, len(have), err)
		}
	}
	check := exec.Command(testenv.Need(t, "sh"), "-c", `sed -n 's/^SHA256(\(.*\))= \(.*\)/\2  \1/p' web.mf | sha256sum -c --quiet`)
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha256sum says %s", out)
	}
}
