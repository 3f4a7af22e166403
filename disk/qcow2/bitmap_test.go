package qcow2_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/testenv"
)

// dirty is what QEMU takes for dirty in a bitmap of an image.
func dirty(t *testing.T, image, bitmap string) []disk.Extent {
	t.Helper()
	socket := filepath.Join(testenv.SocketDir(t), "s")
	script := `
"$1" -r -t -f qcow2 -B "$2" -k "$3" --fork --pid-file "$3.pid" "$4" && "$5" map --output=json --image-opts \
  "driver=nbd,server.type=unix,server.path=$3,x-dirty-bitmap=qemu:dirty-bitmap:$2"
p=$(cat "$3.pid")
kill $p
while [ -n "$(ls /proc/$p/fd 2>/dev/null)" ]; do sleep 0.01; done # until its lock is gone; it may stay a zombie`
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script, "sh", testenv.Need(t, "qemu-nbd"), bitmap, socket, image, testenv.Need(t, "qemu-img")).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var extents []struct {
		Start, Length int64
		Data          bool
	}
	if err := json.Unmarshal(out, &extents); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var all []disk.Extent
	for _, e := range extents {
		if !e.Data { // this is how QEMU shows what is dirty
			all = append(all, disk.Extent{Off: e.Start, Len: e.Length})
		}
	}
	return all
}

func TestBitmapsFollowWrites(t *testing.T) {
	for _, o := range []string{"cluster_size=64k", "cluster_size=512", "extended_l2=on"} {
		t.Run(o, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "q.qcow2")
			run(t, "qemu-img", "create", "-f", "qcow2", "-o", o, name, "8M")
			run(t, "qemu-img", "bitmap", "--add", "-g", "65536", name, "follows")
			run(t, "qemu-img", "bitmap", "--add", "-g", "32768", "--disable", name, "record")
			qemuIO(t, name, "write 0 64k")
			img := openImage(t, name, true)
			w := img.(disk.Writer)
			if _, err := w.WriteAt(make([]byte, 70_000), 1<<20); err != nil {
				t.Fatal(err)
			}
			if err := disk.Zero(img, 3<<20, 1<<16); err != nil {
				t.Fatal(err)
			}
			if err := w.Sync(); err != nil {
				t.Fatal(err)
			}
			crashed := filepath.Join(t.TempDir(), "crashed.qcow2")
			copyFile(t, name, crashed)
			closeImage(t, img)
			want := []disk.Extent{{Off: 0, Len: 1 << 16}, {Off: 1 << 20, Len: 1 << 17}, {Off: 3 << 20, Len: 1 << 16}}
			got := dirty(t, name, "follows")
			if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
				t.Errorf("dirty: %v; want %v", got, want)
			}
			if got := dirty(t, name, "record"); len(got) != 0 {
				t.Errorf("the disabled bitmap changed: %v", got)
			}
			sound(t, name)
			resizedWithBitmaps(t, name)
			info := run(t, "qemu-img", "info", crashed)
			if n := strings.Count(info, "in-use"); n != 1 {
				t.Errorf("after a crash the bitmap that follows must be in use, and only that: %s", info)
			}
			sound(t, crashed)
		})
	}
}

// resizedWithBitmaps resizes, compacts and checks that the bitmaps are there.
func resizedWithBitmaps(t *testing.T, name string) {
	t.Helper()
	for _, size := range []int64{4 << 20, 600 << 20} {
		img := openImage(t, name, true)
		if err := disk.Resize(img, size); err != nil {
			t.Fatal(err)
		}
		if _, err := img.(disk.Compacter).Compact(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		closeImage(t, img)
		sound(t, name)
		if info := run(t, "qemu-img", "info", name); !strings.Contains(info, "follows") || !strings.Contains(info, "record") || strings.Contains(info, "in-use") {
			t.Errorf("bitmaps were lost: %s", info)
		}
	}
	if got := dirty(t, name, "follows"); len(got) == 0 || got[0].Off != 0 {
		t.Errorf("after resizing: %v", got)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	p, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, p)
}
