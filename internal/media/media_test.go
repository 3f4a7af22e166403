package media

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
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
		chain, guess, err := Look(Ref{Path: path})
		if err != nil {
			t.Errorf("%s %s: %v", c.format, c.options, err)
			continue
		}
		if image := chain[0]; qemuName(image.Format) != c.format || image.Size < 4<<20 || image.Size%512 != 0 {
			t.Errorf("%s %s is taken for %s of %d bytes", c.format, c.options, image.Format, image.Size)
		}
		if plain := c.format == "raw" || c.format == "qcow2"; chain.Plain() != plain {
			t.Errorf("%s %s: that QEMU opens it itself is %t", c.format, c.options, chain.Plain())
		}
		if guess.Kind != api.Disk || guess.Firmware != api.BIOS {
			t.Errorf("%s %s is guessed to be %+v", c.format, c.options, guess)
		}
	}
}

func TestFormatsHaveTheNamesThatPeopleUse(t *testing.T) {
	dir := t.TempDir()
	raw(t, dir)
	run(t, dir, "convert", "-O", "vpc", "disk.raw", "disk.vhd")
	for _, name := range []string{"vhd", "vpc", "VHD", ""} {
		chain, err := Open(Ref{Path: filepath.Join(dir, "disk.vhd"), Format: name})
		if err != nil || chain[0].Format != "vhd" {
			t.Errorf("%q: got %+v, %v", name, chain, err)
		}
	}
	for name, kind := range map[string]api.Kind{"floppy": api.KindInvalid, "qed": api.KindUnsupported} {
		_, err := Open(Ref{Path: filepath.Join(dir, "disk.vhd"), Format: name})
		if p := problem.Of(err); p == nil || p.Kind != kind || !strings.Contains(p.Detail, name) {
			t.Errorf("%s: %+v", name, p)
		}
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
	for path, why := range map[string]string{
		text: "no known image format", cut: "qcow2", dir: "no Parallels bundle", filepath.Join(dir, "missing"): "no such file",
		"/dev/null": "neither a file nor a block device", filepath.Join(text, "member"): "nor a tar archive",
	} {
		_, err := Open(Ref{Path: path})
		p := problem.Of(err)
		if p == nil || p.Kind != api.KindUnreadable || !strings.HasPrefix(p.Detail, "image "+path+": ") || !strings.Contains(p.Detail, why) ||
			strings.Count(p.Detail, path) > 1 {
			t.Errorf("%s: %+v", path, p)
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
		_, err := Open(Ref{Path: path})
		want := api.KindRefused
		if name == "protocol" {
			want = api.KindUnsupported
		}
		if problem.Of(err) == nil || problem.Of(err).Kind != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	descriptor := "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n" +
		"RW 8192 FLAT \"" + source + "\" 0\nddb.adapterType = \"ide\"\n"
	vmdk := filepath.Join(dir, "extent.vmdk")
	if err := os.WriteFile(vmdk, []byte(descriptor), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Ref{Path: vmdk}); problem.Of(err) == nil || problem.Of(err).Kind != api.KindRefused {
		t.Errorf("VMDK extent: %v", err)
	}
}

func TestChainsAreFollowedAndLoopsAreNot(t *testing.T) {
	dir := t.TempDir()
	raw(t, dir)
	run(t, dir, "create", "-q", "-f", "qcow2", "-b", "disk.raw", "-F", "raw", "middle.qcow2")
	run(t, dir, "create", "-q", "-f", "qcow2", "-b", "middle.qcow2", "-F", "qcow2", "top.qcow2")
	chain, err := Open(Ref{Path: filepath.Join(dir, "top.qcow2")})
	if err != nil || len(chain) != 3 || chain[2].Format != "raw" || !chain.Plain() {
		t.Errorf("the chain is %+v, %v", chain, err)
	}
	run(t, dir, "create", "-q", "-u", "-f", "qcow2", "-b", "b.qcow2", "-F", "qcow2", "a.qcow2", "4M")
	run(t, dir, "create", "-q", "-u", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", "b.qcow2", "4M")
	if _, err := Open(Ref{Path: filepath.Join(dir, "a.qcow2")}); err == nil {
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
	overlay := filepath.Join(dir, "overlay.qcow2")
	if err := CreateOverlay(overlay, Ref{Path: source, Format: "raw"}, nil); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "check", "-q", overlay)
	run(t, dir, "compare", "-q", overlay, source)
	chain, err := Open(Ref{Path: overlay, Format: "qcow2"})
	if err != nil || len(chain) != 2 || chain[0].Size != 4<<20 || chain[1].Path != source || chain[1].Format != "raw" {
		t.Errorf("the overlay is %+v, %v", chain, err)
	}
	if after, err := os.ReadFile(source); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the base has changed, %v", err)
	}
}

func TestOverlaysStandOnEveryFormat(t *testing.T) {
	dir := t.TempDir()
	source := raw(t, dir)
	for _, format := range []string{"vdi", "vmdk", "vpc", "vhdx", "parallels"} {
		image, overlay := filepath.Join(dir, "image."+format), filepath.Join(dir, format+".qcow2")
		run(t, dir, "convert", "-O", format, source, image)
		chain, err := Open(Ref{Path: image})
		if err != nil {
			t.Fatal(err)
		}
		if err := CreateOverlay(overlay, Ref{Path: image, Format: chain[0].Format}, nil); err != nil {
			t.Fatal(err)
		}
		// What is written into it is for other programs to understand.
		run(t, dir, "compare", "-q", overlay, image)
	}
}

func TestEarlierStatesAreOpenedAndNeverTakenForThePresentOne(t *testing.T) {
	dir := t.TempDir()
	run(t, dir, "create", "-q", "-f", "qcow2", "disk.qcow2", "4M")
	run(t, dir, "snapshot", "-c", "monday", "disk.qcow2")
	ref := Ref{Path: filepath.Join(dir, "disk.qcow2"), Format: "qcow2", Snapshot: "monday"}
	chain, err := Open(ref)
	if err != nil || chain.Plain() {
		t.Errorf("the chain is %+v, %v", chain, err)
	}
	overlay := filepath.Join(dir, "overlay.qcow2")
	if err := CreateOverlay(overlay, ref, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Ref{Path: overlay}); err == nil {
		t.Error("the overlay alone is opened on the present state")
	}
	ref.Snapshot = "tuesday"
	if _, err := Open(ref); err == nil || !strings.Contains(err.Error(), "tuesday") {
		t.Errorf("a state that it does not hold: %v", err)
	}
}

func TestEmptyDisksAreWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "new.qcow2")
	if err := CreateEmpty(path, 3*api.GiB, nil); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "check", "-q", path)
	chain, err := Open(Ref{Path: path})
	if err != nil || chain[0].Size != 3*api.GiB || !chain.Plain() {
		t.Errorf("the disk is %+v, %v", chain, err)
	}
	if err := CreateEmpty(path, api.GiB, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made over another one: %v", err)
	}
}

func TestOnlyWhatCanBeWrittenInPlaceIs(t *testing.T) {
	dir := t.TempDir()
	source := raw(t, dir)
	run(t, dir, "convert", "-O", "vmdk", source, "sparse.vmdk")
	run(t, dir, "convert", "-O", "vmdk", "-o", "subformat=streamOptimized", source, "stream.vmdk")
	if err := Writable(Ref{Path: filepath.Join(dir, "sparse.vmdk"), Format: "vmdk"}); err != nil {
		t.Error(err)
	}
	err := Writable(Ref{Path: filepath.Join(dir, "stream.vmdk"), Format: "vmdk"})
	if p := problem.Of(err); p == nil || p.Kind != api.KindUnsupported {
		t.Errorf("streamOptimized: %v", err)
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
	if err := CopyFile(t.Context(), from, to, func(int64, int64) {}); err != nil {
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
	if err := CopyFile(cancelled, from, to+"2", func(int64, int64) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(to + "2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a part of the copy is left: %v", err)
	}
}
