package media

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/testenv"
)

// roomFormats are the formats that fixed images can be made in, with what their fixed variant is called.
var roomFormats = []struct{ name, variant string }{
	{"raw", ""}, {"qcow2", ""}, {"vdi", "fixed"}, {"vhd", "fixed"}, {"vhdx", "fixed"}, {"vmdk", "monolithicFlat"}, {"parallels", "plain"},
}

const roomSize = 6 << 20

// sparse is a disk with data, zeros that were written, and nothing.
func sparse(t *testing.T, dir string) (path string, content []byte) {
	t.Helper()
	content = make([]byte, roomSize)
	copy(content[512:], "at the beginning")
	for i := range content[3<<20 : 3<<20+100_000] {
		content[3<<20+i] = byte(i * 7)
	}
	copy(content[roomSize-20:], "at the very end")
	path = filepath.Join(dir, "source.raw")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, part := range [][2]int{{0, 2 << 20}, {3 << 20, 3<<20 + 100_000}, {roomSize - 512, roomSize}} { // the first is zeros mostly
		if _, err := file.WriteAt(content[part[0]:part[1]], int64(part[0])); err != nil {
			t.Fatal(err)
		}
	}
	return path, content
}

func openWhole(t *testing.T, path string) disk.Image {
	t.Helper()
	img, _, err := OpenImage(Ref{Path: path}, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = img.Close() })
	return img
}

// reads checks what a disk holds, and that zeros follow to its size.
func reads(t *testing.T, path string, content []byte, size int64) disk.Info {
	t.Helper()
	img := openWhole(t, path)
	got := make([]byte, img.Size())
	if _, err := img.ReadAt(got, 0); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if img.Size() != size || !bytes.Equal(got[:len(content)], content) || len(bytes.Trim(got[len(content):], "\x00")) != 0 {
		t.Errorf("%s has %d bytes, want %d, and does not read as it should", path, img.Size(), size)
	}
	return disk.Describe(img)
}

func TestFixedImagesFromAndToOthers(t *testing.T) {
	dir := t.TempDir()
	source, content := sparse(t, dir)
	for _, from := range roomFormats {
		fixed := filepath.Join(dir, "fixed-"+from.name)
		if err := Make(t.Context(), fixed, MakeOptions{Format: from.name, Room: api.Falloc, From: openWhole(t, source)}); err != nil {
			t.Errorf("fixed %s: %v", from.name, err)
			continue
		}
		info := reads(t, fixed, content, roomSize)
		if !roomy(info) || from.variant != "" && info.Variant != from.variant {
			t.Errorf("fixed %s is %s:%s and takes up %d of %d bytes", from.name, info.Format, info.Variant, info.Allocated, info.Size)
		}
		for _, to := range roomFormats {
			again := filepath.Join(dir, from.name+"-to-"+to.name)
			if err := Make(t.Context(), again, MakeOptions{Format: to.name, From: openWhole(t, fixed)}); err != nil {
				t.Errorf("%s to %s: %v", from.name, to.name, err)
				continue
			}
			info := reads(t, again, content, roomSize)
			if info.Allocated > 4<<20 || to.variant != "" && info.Variant == to.variant {
				t.Errorf("fixed %s to a %s that grows: it is %s and takes up %d bytes", from.name, to.name, info.Variant, info.Allocated)
			}
		}
	}
}

// TestOthersReadFixedImages asks qemu-img.
func TestOthersReadFixedImages(t *testing.T) {
	testenv.Need(t, "qemu-img")
	dir := t.TempDir()
	source, _ := sparse(t, dir)
	names := map[string]string{"vhd": "vpc"}
	for _, format := range roomFormats[:6] {
		fixed := filepath.Join(dir, "fixed."+format.name)
		if err := Make(t.Context(), fixed, MakeOptions{Format: format.name, Room: api.Falloc, From: openWhole(t, source)}); err != nil {
			t.Fatal(err)
		}
		name := format.name
		if other := names[name]; other != "" {
			name = other
		}
		out, err := exec.Command("qemu-img", "compare", "-F", name, source, fixed, "-f", "raw").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", format.name, err, out)
		}
		if slices.Contains([]string{"qcow2", "vdi", "vhdx", "vmdk"}, name) {
			if out, err := exec.Command("qemu-img", "check", "-f", name, fixed).CombinedOutput(); err != nil && !strings.Contains(string(out), "not support") {
				t.Errorf("check %s: %v: %s", format.name, err, out)
			}
		}
	}
}

func TestGrowingKeepsRoom(t *testing.T) {
	const larger = 9 << 20
	dir := t.TempDir()
	source, content := sparse(t, dir)
	for _, format := range roomFormats {
		if format.name == "parallels" {
			continue // its fixed images are not resized
		}
		for _, c := range []struct {
			made, asked Room
			want        bool
		}{{api.Falloc, "", true}, {api.PreallocateFull, "", true}, {api.Falloc, api.PreallocateNothing, false}, {"", "", false}} {
			path := filepath.Join(dir, "growing-"+format.name+"-"+string(c.made)+"-"+string(c.asked))
			if err := Make(t.Context(), path, MakeOptions{Format: format.name, Room: c.made, From: openWhole(t, source)}); err != nil {
				t.Fatal(err)
			}
			if err := Grow(Ref{Path: path, Format: format.name}, larger, c.asked); err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			info := reads(t, path, content, larger)
			if roomy(info) != c.want && !(c.asked == api.PreallocateNothing && format.name == "vhdx") { // which has its own way
				t.Errorf("%s takes up %d of %d bytes", path, info.Allocated, info.Size)
			}
			if c.made == api.Falloc && format.variant != "" && info.Variant != format.variant {
				t.Errorf("%s became %s", path, info.Variant)
			}
		}
	}
}

func TestRoomIsToldBeforeADiskGrows(t *testing.T) {
	dir := t.TempDir()
	for _, format := range []string{"raw", "qcow2"} {
		ref := Ref{Path: filepath.Join(dir, "disk."+format), Format: format}
		if err := Make(t.Context(), ref.Path, MakeOptions{Format: format, Size: 4 << 20, Room: api.Falloc}); err != nil {
			t.Fatal(err)
		}
		before, err := os.Stat(ref.Path)
		if err != nil {
			t.Fatal(err)
		}
		if err := TakeRoom(ref, 16<<20); err != nil {
			t.Fatal(err)
		}
		after, err := os.Stat(ref.Path)
		if err != nil || after.Size() != before.Size() {
			t.Errorf("%s has %d bytes now and had %d, %v", format, after.Size(), before.Size(), err)
		}
		if err := Grow(ref, 16<<20, api.PreallocateNothing); err != nil {
			t.Fatal(err)
		}
		if takes, err := TakesRoom(ref); err != nil || !takes {
			t.Errorf("%s does not take up its room, %v", format, err)
		}
		if err := Compact(t.Context(), ref, false, nil, nil); err != nil {
			t.Fatal(err)
		}
		if described, err := DescribeFile(ref); err != nil || described.Info.Allocated > 1<<20 || described.Info.Size != 16<<20 {
			t.Errorf("a compact %s has %d bytes and takes up %d, %v", format, described.Info.Size, described.Info.Allocated, err)
		}
		if err := TakeRoom(ref, 1<<60); err == nil || !strings.Contains(err.Error(), "are free (free some space, or leave preallocation off") {
			t.Errorf("more than there is: %v", err)
		}
	}
	path := filepath.Join(dir, "disk.vdi")
	if err := Make(t.Context(), path, MakeOptions{Format: "vdi", Size: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := Grow(Ref{Path: path}, 8<<20, api.Falloc); err == nil || !strings.Contains(err.Error(), "--fixed") {
		t.Errorf("the room of a VDI that grows: %v", err)
	}
	if err := TakeRoom(Ref{Path: path}, 8<<20); err == nil || !strings.Contains(err.Error(), "while a machine runs") {
		t.Errorf("the room of a VDI: %v", err)
	}
}

func TestRoomThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		format string
		room   Room
		size   int64
		want   string
	}{
		{"raw", api.PreallocateMetadata, 4 << 20, "no metadata"},
		{"qcow", api.Falloc, 4 << 20, `no variant "fixed"`},
		{"raw", api.Falloc, 1 << 43, "are free"},
	} {
		path := filepath.Join(dir, "disk."+c.format)
		err := Make(t.Context(), path, MakeOptions{Format: c.format, Size: c.size, Room: c.room})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v", c.format, c.room, err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%s %s: left is %v", c.format, c.room, left)
		}
	}
}

func TestImagesAreMadeAndRemovedWithAllTheirFiles(t *testing.T) {
	dir := t.TempDir()
	path, taken := filepath.Join(dir, "disk.vmdk"), filepath.Join(dir, "taken-flat.vmdk")
	if err := Make(t.Context(), path, MakeOptions{Format: "vmdk", Size: 4 << 20, Room: api.Falloc}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(taken, []byte("of somebody else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Make(t.Context(), filepath.Join(dir, "taken.vmdk"), MakeOptions{Format: "vmdk", Size: 4 << 20, Room: api.Falloc}); err == nil {
		t.Error("an image was made over a file")
	}
	if err := Remove(path); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "taken-flat.vmdk" {
		t.Errorf("left is %v, %v", left, err)
	}
	if err := Remove(filepath.Join(dir, "nothing.raw")); err != nil {
		t.Errorf("what is not there: %v", err)
	}
}

func TestCopiedFilesKeepTheirRoom(t *testing.T) {
	dir := t.TempDir()
	for format, room := range map[string]Room{"raw": api.Falloc, "qcow2": api.Falloc, "vdi": ""} {
		from, to := filepath.Join(dir, "a."+format), filepath.Join(dir, "b."+format)
		if err := Make(t.Context(), from, MakeOptions{Format: format, Size: 8 << 20, Room: room}); err != nil {
			t.Fatal(err)
		}
		if err := CopyFile(context.Background(), from, to, func(int64, int64) {}); err != nil {
			t.Fatal(err)
		}
		if takes, err := TakesRoom(Ref{Path: to}); err != nil || takes != (room != "") {
			t.Errorf("a copy of %s takes up its room: %t, %v", format, takes, err)
		}
	}
	if err := CopyFile(context.Background(), filepath.Join(dir, "none"), filepath.Join(dir, "c"), nil); !os.IsNotExist(err) {
		t.Errorf("a copy of nothing: %v, want %v", err, fs.ErrNotExist)
	}
}
