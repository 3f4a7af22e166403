package raw_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/raw"
)

var formats = []*disk.Format{raw.Format}

func TestConformance(t *testing.T) {
	whole := disktest.Subject{Format: raw.Format, Variant: "plain", Align: 1, Unsigned: true, NoCheck: true}
	t.Run("plain", func(t *testing.T) { disktest.Run(t, whole) })
	t.Run("split", func(t *testing.T) {
		parts := whole
		parts.Variant, parts.FixedSize = "split", true
		parts.Options = map[string]string{"split": "100K"}
		parts.File = func(image string) string { return "disks/" + image + ".000" }
		disktest.Run(t, parts)
	})
	t.Run("split by option", func(t *testing.T) {
		parts := whole
		parts.FixedSize = true
		parts.Options = map[string]string{"split": "77777"} // parts that end within sectors
		parts.File = func(image string) string { return image + ".001" }
		parts.Skip = map[string]string{
			"stream": "a pipe cannot be split", "crash": "sectors that lie in two files can be torn", "crash/new": "so can these",
			"compact": "power is cut here also",
		}
		disktest.Run(t, parts)
	})
}

func FuzzOpen(f *testing.F) {
	disc := make([]byte, 40960)
	copy(disc[32768:], "\x01CD001\x01")
	copy(disc[34816:], "\xffCD001\x01")
	disktest.Fuzz(f, formats, []byte{}, []byte("x"), disc, bytes.Repeat([]byte{0xeb}, 1474560/1440))
}

// TestCorpus compares with what other programs read.
func TestCorpus(t *testing.T) {
	files := disktest.CorpusFiles(t, "raw")
	for _, f := range files {
		if strings.Contains(f.Name, "splitraw") {
			continue // a part; see TestCorpusSplit
		}
		fs := memfs.New()
		name := load(t, fs, f.Path)
		img := open(t, fs, name, disk.Options{})
		if compared, err := f.Verify(img); err != nil || !compared {
			t.Errorf("compared %v: %v", compared, err)
		}
		shut(t, img)
	}
}

// TestCorpusSplit joins the parts of a disk, and compares with the whole.
func TestCorpusSplit(t *testing.T) {
	fs := memfs.New()
	var whole disktest.CorpusFile
	first := ""
	for _, f := range disktest.CorpusFiles(t, "raw") {
		switch {
		case strings.HasSuffix(f.Name, "ext2.raw"):
			whole = f
		case strings.HasSuffix(f.Name, "splitraw.000"):
			first = load(t, fs, f.Path)
		case strings.HasSuffix(f.Name, "splitraw.001"):
			load(t, fs, f.Path)
		}
	}
	img := open(t, fs, first, disk.Options{})
	defer shut(t, img)
	if info := disk.Describe(img); info.Variant != "split" || len(info.Files) != 1 {
		t.Errorf("%+v", info)
	}
	if compared, err := whole.Verify(img); err != nil || !compared {
		t.Errorf("compared %v: %v", compared, err)
	}
}

// load puts a file of the host into a file system.
func load(t *testing.T, fs *memfs.FS, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fs.Put(filepath.Base(path), content)
	return filepath.Base(path)
}

// open opens an image; without formats it may be raw only.
func open(t *testing.T, fs disk.FS, name string, o disk.Options) disk.Image {
	t.Helper()
	o.FS = fs
	if o.Formats == nil {
		o.Formats = formats
	}
	img, err := disk.Open(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func shut(t *testing.T, img disk.Image) {
	t.Helper()
	if err := img.Close(); err != nil {
		t.Error(err)
	}
}

// TestALaterPartIsOpenedAlone does not join what does not begin with the first.
func TestPartsThatAreJoined(t *testing.T) {
	for _, c := range []struct {
		open  string
		files []string
		want  string
	}{
		{"d.000", []string{"d.000", "d.001", "d.002"}, "012"},
		{"d.001", []string{"d.000", "d.001", "d.002"}, "1"},
		{"d.002", []string{"d.000", "d.001", "d.002"}, "2"},
		{"d.001", []string{"d.001", "d.002", "d.003"}, "123"},
		{"d.001", []string{"d.001", "d.003"}, "1"},
		{"d.000", []string{"d.000"}, "0"},
		{"d.0000", []string{"d.0000", "d.0001", "d.001"}, "01"},
		{"sub/d.000", []string{"sub/d.000", "sub/d.001", "d.002"}, "01"},
		{"d.00", []string{"d.00", "d.01"}, "0"},
		{"d.img", []string{"d.img", "d.001"}, "g"},
		{".001", []string{".001", ".002"}, "1"},
		{"d.aa", []string{"d.aa", "d.ab", "d.ac", "d.ae"}, "abc"},
		{"d.aaa", []string{"d.aaa", "d.aab", "d.ab"}, "ab"},
		{"d.ab", []string{"d.aa", "d.ab", "d.ac"}, "b"},
		{"d.a", []string{"d.a", "d.b"}, "a"},
		{"d.AA", []string{"d.AA", "d.AB"}, "A"},
	} {
		fs := memfs.New()
		for _, name := range c.files {
			fs.Put(name, []byte(name[len(name)-1:]))
		}
		img := open(t, fs, c.open, disk.Options{Format: "raw"})
		got := make([]byte, img.Size())
		if _, err := img.ReadAt(got, 0); err != nil || string(got) != c.want {
			t.Errorf("%s of %q reads %q, %v; want %q", c.open, c.files, got, err, c.want)
		}
		shut(t, img)
	}
}

func TestSplitNames(t *testing.T) {
	for name, right := range map[string]bool{"d.000": true, "d.001": true, "d.002": false, "d.img": false, "d.aa": true, "d.ab": false} {
		fs := memfs.New()
		img, err := disk.Create(name, disk.CreateOptions{FS: fs, Formats: formats, Format: "raw:split", Size: 10000, Options: map[string]string{"split": "4K"}})
		var usage *disk.UsageError
		switch {
		case right && err != nil, !right && !errors.As(err, &usage):
			t.Errorf("%s: %v", name, err)
		case right:
			shut(t, img)
			if names := fs.Names(); len(names) != 3 {
				t.Errorf("%s: %q", name, names)
			}
		case len(fs.Names()) != 0:
			t.Errorf("%s leaves %q", name, fs.Names())
		}
	}
	many := disk.CreateOptions{FS: memfs.New(), Formats: formats, Format: "raw:split", Size: 1 << 40, Options: map[string]string{"split": "512"}}
	if _, err := disk.Create("d.000", many); err == nil {
		t.Error("a disk in two milliards of parts was made")
	}
}
