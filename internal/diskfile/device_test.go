package diskfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/testenv"
)

// A block device is not written onto unless that was allowed. The node is of a
// device that does not exist: it is refused before it is opened.
func TestADeviceIsNotOverwrittenByChance(t *testing.T) {
	node := filepath.Join(t.TempDir(), "sdb")
	if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(7, 4000))); err != nil {
		t.Skipf("device nodes cannot be made here: %v", err)
	}
	err := vacant(node, node, hostfs.Everywhere(), false)
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "it is a block device, and what it holds would be lost") {
		t.Errorf("without leave: %v", err)
	}
	if err := vacant(node, node, hostfs.Everywhere(), true); err != nil {
		t.Errorf("with leave: %v", err)
	}
}

// loop is a block device of a size, filled with what was on it before.
func loop(t *testing.T, size int) string {
	t.Helper()
	losetup := testenv.Need(t, "losetup")
	file := filepath.Join(t.TempDir(), "backing")
	if err := os.WriteFile(file, bytes.Repeat([]byte("old."), size/4), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(losetup, "--show", "-f", file).Output()
	if err != nil {
		t.Skipf("loop devices cannot be had here: %v", err)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command(losetup, "-d", device).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return device
}

func isDeviceStill(t *testing.T, path string) {
	t.Helper()
	if !isDevice(path) {
		t.Fatalf("%s is no block device any more", path)
	}
}

func onDevice(t *testing.T, device string) []byte {
	t.Helper()
	p, err := os.ReadFile(device)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A disk is written onto a device that is there, and what lies behind stays.
func TestADeviceIsWrittenOnto(t *testing.T) {
	device := loop(t, 4<<20)
	content := make([]byte, 3<<20)
	copy(content[1<<20:], bytes.Repeat([]byte("new"), 1<<17))
	source := filepath.Join(t.TempDir(), "a.raw")
	if err := os.WriteFile(source, content, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := Place{}.Open(source, OpenOptions{Format: "raw"})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	convert := func(m Make) error {
		_, err := Place{}.Convert(t.Context(), src, device, m, nil, nil)
		isDeviceStill(t, device)
		return err
	}
	if err := convert(Make{Format: "raw"}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("without leave: %v", err)
	}
	if err := convert(Make{Format: "vdi", Replace: true}); err == nil {
		t.Error("a VDI was written onto a device")
	}
	if p := onDevice(t, device); !bytes.Equal(p, bytes.Repeat([]byte("old."), 1<<20)) {
		t.Error("what was refused changed the device")
	}
	if err := convert(Make{Format: "raw", Replace: true}); err != nil {
		t.Fatal(err)
	}
	if p := onDevice(t, device); !bytes.Equal(p[:3<<20], content) || !bytes.HasPrefix(p[3<<20:], []byte("old.old.")) {
		t.Error("the device does not hold the disk, or what lay behind it is gone")
	}

	img, err := Place{}.Open(device, OpenOptions{Format: "raw", Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if i := disk.Describe(img); i.Variant != "device" || i.Size != 4<<20 {
		t.Errorf("described as %+v", i)
	}
	if err := disk.Zero(img, 1<<20, 4096); err != nil {
		t.Error(err)
	}
	if err := disk.Discard(img, 2<<20, 1<<20); err != nil {
		t.Error(err)
	}
	if err := disk.Resize(img, 2<<20); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("resizing: %v", err)
	}
	p := make([]byte, 8192)
	if _, err := img.ReadAt(p, 1<<20); err != nil || !bytes.Equal(p[:4096], make([]byte, 4096)) || bytes.Equal(p[4096:], make([]byte, 4096)) {
		t.Errorf("zeroing: %v", err)
	}
	if _, err := (Place{}).Open(device, OpenOptions{Format: "raw", Write: true}); err == nil {
		t.Error("it was opened twice for writing")
	}
}

// An empty disk is made on the device, and not in its place.
func TestADiskIsMadeOnADevice(t *testing.T) {
	device := loop(t, 4<<20)
	create := func(m Make) error {
		_, err := Place{}.Create(device, m)
		isDeviceStill(t, device)
		return err
	}
	for _, m := range []Make{
		{Format: "raw", Size: 1 << 20},
		{Format: "qcow2", Size: 1 << 20, Replace: true},
		{Format: "raw", Size: 8 << 20, Replace: true},
		{Format: "raw", Parent: device, Replace: true},
	} {
		if err := create(m); err == nil {
			t.Errorf("%+v was not refused", m)
		}
	}
	if err := create(Make{Format: "raw", Size: 1 << 20, Replace: true}); err != nil {
		t.Fatal(err)
	}
	if p := onDevice(t, device); !bytes.Equal(p[:1<<20], make([]byte, 1<<20)) || !bytes.HasPrefix(p[1<<20:], []byte("old.")) {
		t.Error("the disk is not empty, or what lay behind it is gone")
	}
}

// Whatever a caller forgot, no file takes a device's place.
func TestAStageReplacesNoDevice(t *testing.T) {
	node := filepath.Join(t.TempDir(), "sdb")
	if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(7, 4000))); err != nil {
		t.Skipf("device nodes cannot be made here: %v", err)
	}
	stage := hostfs.NewStage(hostfs.Everywhere())
	defer stage.Abort()
	file, err := stage.Create(node)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := stage.Commit(true); err == nil || !isDevice(node) {
		t.Errorf("committing: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(node)); err != nil || len(left) != 1 {
		t.Errorf("there are %v, %v", left, err)
	}
}
