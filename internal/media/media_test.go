package media

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/testenv"
)

// run runs qemu-img in a directory.
func run(t *testing.T, dir string, args ...string) {
	t.Helper()
	command := exec.Command(testenv.Need(t, "qemu-img"), args...)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %v: %v\n%s", args, err, out)
	}
}

// raw makes a raw disk with something to boot in its first sector.
func raw(t *testing.T, dir string) string {
	t.Helper()
	content := make([]byte, 4<<20)
	copy(content, "\xfa\xeb\x7c boot code")
	copy(content[510:], "\x55\xaa")
	path := filepath.Join(dir, "disk.raw")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFormatsAreFoundByContentWhateverTheName(t *testing.T) {
	dir := t.TempDir()
	source := raw(t, dir)
	for _, c := range []struct{ format, options string }{
		{"raw", ""},
		{"qcow2", ""},
		{"vdi", ""},
		{"vmdk", "subformat=streamOptimized"},
		{"vmdk", "subformat=monolithicSparse"},
		{"vmdk", "subformat=twoGbMaxExtentFlat"},
		{"vpc", "subformat=dynamic"},
		{"vpc", "subformat=fixed"},
		{"vhdx", ""},
		{"parallels", ""},
	} {
		path := filepath.Join(dir, "image-"+c.format+"-"+strings.ReplaceAll(c.options, "=", "-")+".bin")
		args := []string{"convert", "-O", c.format}
		if c.options != "" {
			args = append(args, "-o", c.options)
		}
		run(t, dir, append(args, source, path)...)
		image, err := Probe(t.Context(), path)
		if err != nil || image.Format != c.format || image.Size < 4<<20 {
			t.Errorf("%s %s is taken for %s of %d bytes, %v", c.format, c.options, image.Format, image.Size, err)
			continue
		}
		guess, err := GuessFrom(t.Context(), image)
		if err != nil || guess.Kind != api.Disk || guess.Firmware != api.BIOS {
			t.Errorf("%s %s is guessed to be %+v, %v", c.format, c.options, guess, err)
		}
	}
}

func TestFormatsHaveTheNamesThatPeopleUse(t *testing.T) {
	dir := t.TempDir()
	raw(t, dir)
	run(t, dir, "convert", "-O", "vpc", "disk.raw", "disk.vhd")
	chain, err := Open(t.Context(), filepath.Join(dir, "disk.vhd"), "vhd")
	if err != nil || chain[0].Format != "vpc" {
		t.Errorf("got %+v, %v", chain, err)
	}
}

func TestWhatIsNoImageIsRefused(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte("not a disk at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut.qcow2")
	if err := os.WriteFile(cut, []byte("QFI\xfb\x00\x00\x00\x03"), 0o600); err != nil {
		t.Fatal(err)
	}
	testenv.Need(t, "qemu-img")
	for _, path := range []string{text, cut, dir, filepath.Join(dir, "missing"), "/dev/null"} {
		_, err := Probe(t.Context(), path)
		if problem.Of(err) == nil || problem.Of(err).Kind != api.KindUnreadable {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// An image from elsewhere must not show its guest the host's files.
func TestImagesReferOnlyToWhatIsBesideThem(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	source := raw(t, outside)
	if err := os.Symlink(source, filepath.Join(dir, "link.raw")); err != nil {
		t.Fatal(err)
	}
	for name, backing := range map[string]string{
		"absolute": source, "relative": "../" + filepath.Base(outside) + "/disk.raw", "link": "link.raw", "protocol": "nbd://127.0.0.1/x",
	} {
		path := filepath.Join(dir, name+".qcow2")
		run(t, dir, "create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", "raw", path, "4M")
		_, err := Open(t.Context(), path, "")
		if problem.Of(err) == nil || problem.Of(err).Kind != api.KindRefused {
			t.Errorf("%s: %v", name, err)
		}
	}
	descriptor := "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n" +
		"RW 8192 FLAT \"" + source + "\" 0\nddb.adapterType = \"ide\"\n"
	vmdk := filepath.Join(dir, "extent.vmdk")
	if err := os.WriteFile(vmdk, []byte(descriptor), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), vmdk, ""); problem.Of(err) == nil || problem.Of(err).Kind != api.KindRefused {
		t.Errorf("VMDK extent: %v", err)
	}
}

func TestChainsAreFollowedAndLoopsAreNot(t *testing.T) {
	dir := t.TempDir()
	raw(t, dir)
	run(t, dir, "create", "-q", "-f", "qcow2", "-b", "disk.raw", "-F", "raw", "middle.qcow2")
	run(t, dir, "create", "-q", "-f", "qcow2", "-b", "middle.qcow2", "-F", "qcow2", "top.qcow2")
	chain, err := Open(t.Context(), filepath.Join(dir, "top.qcow2"), "")
	if err != nil || len(chain) != 3 || chain[2].Format != "raw" {
		t.Errorf("the chain is %+v, %v", chain, err)
	}
	run(t, dir, "create", "-q", "-u", "-f", "qcow2", "-b", "b.qcow2", "-F", "qcow2", "a.qcow2", "4M")
	run(t, dir, "create", "-q", "-u", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", "b.qcow2", "4M")
	if _, err := Open(t.Context(), filepath.Join(dir, "a.qcow2"), ""); err == nil {
		t.Error("a loop was followed")
	}
}

func TestOverlayLeavesItsBaseAlone(t *testing.T) {
	dir := t.TempDir()
	source := raw(t, dir)
	before, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	image, err := Probe(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.qcow2")
	if err := CreateOverlay(t.Context(), overlay, image); err != nil {
		t.Fatal(err)
	}
	made, err := Probe(t.Context(), overlay)
	if err != nil || made.Size != image.Size || made.Backing != source || made.BackingFormat != "raw" {
		t.Errorf("the overlay is %+v, %v", made, err)
	}
	if after, err := os.ReadFile(source); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the base has changed, %v", err)
	}
}

func TestMissingQemuImgIsNamed(t *testing.T) {
	source := raw(t, t.TempDir())
	t.Setenv("PATH", t.TempDir())
	_, err := Probe(t.Context(), source)
	if p := problem.Of(err); p == nil || p.Kind != api.KindMissing || !strings.Contains(p.Help, "qemu-utils") {
		t.Errorf("got %+v", p)
	}
}

func TestCopyKeepsHolesAndStopsWhenCancelled(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	file, err := os.Create(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, 64 << 20} {
		if _, err := file.WriteAt([]byte("data"), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(file.Truncate(128<<20), file.Close()); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(t.Context(), from, to, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	a, _ := os.ReadFile(from)
	if b, err := os.ReadFile(to); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the copy differs, %v", err)
	}
	if used := blocks(t, to); used > 1<<20 {
		t.Errorf("the copy takes %d bytes", used)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := copyFile(cancelled, from, to+"2", func(int64, int64) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(to + "2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a part of the copy is left: %v", err)
	}
}
