package optical

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
)

// TestWrite makes a disc, and another in its place that no file of the first is on.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "cd.iso")
	for _, files := range []map[string][]byte{
		{"meta-data": []byte("instance-id: 1\n"), "gone.txt": []byte("of the first")},
		{"openstack/latest/meta_data.json": []byte(`{"uuid": "2"}`), "meta-data": []byte("instance-id: 2\n"), "empty": nil},
	} {
		if err := Write(image, "config-2", files); err != nil {
			t.Fatal(err)
		}
		got := read(t, image)
		if !maps.EqualFunc(got, files, func(a string, b []byte) bool { return a == string(b) }) {
			t.Errorf("on the disc are %q, want %q", got, files)
		}
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("beside the image lie %q", left)
	}
}

// TestWriteOverWhatWasCutOff makes a disc where an attempt before was ended in its middle.
func TestWriteOverWhatWasCutOff(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "cd.iso")
	if err := lay(image+".files", map[string][]byte{"half": []byte("written")}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(image+".new", make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(image, "cidata", map[string][]byte{"user-data": []byte("#cloud-config\n")}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, image); len(got) != 1 || got["user-data"] != "#cloud-config\n" {
		t.Errorf("on the disc are %q", got)
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("beside the image lie %q", left)
	}
}

// TestWriteFails leaves the image that was there, and nothing beside it.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "cd.iso")
	if err := Write(image, "cidata", map[string][]byte{"a": []byte("kept")}); err != nil {
		t.Fatal(err)
	}
	if err := Write(image, "cidata", map[string][]byte{"a": []byte("x"), "a/b": []byte("y")}); err == nil {
		t.Fatal("a name that is a file and a folder was taken")
	}
	if got := read(t, image); got["a"] != "kept" {
		t.Errorf("on the disc are %q", got)
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("beside the image lie %q", left)
	}
}

// read gives the files on a disc by their paths.
func read(t *testing.T, image string) map[string]string {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Size()%sector != 0 {
		t.Errorf("the image has %d bytes, which are no whole sectors", info.Size())
	}
	disc, err := iso9660.Read(file.New(f, true), info.Size(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var walk func(string)
	walk = func(dir string) {
		entries, err := disc.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := filepath.Join(dir, e.Name())
			if e.IsDir() {
				walk(name)
				continue
			}
			text, err := disc.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got[name] = string(text)
		}
	}
	walk(".")
	return got
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
