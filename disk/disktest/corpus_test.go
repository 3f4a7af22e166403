package disktest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// TestCorpusTable finds files by a table with quoted fields.
func TestCorpusTable(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(corpusVariable, dir)
	t.Setenv(indexVariable, "")
	table := "format\tfile\texercises\traw_size\traw_sha256\tnote\n" +
		"toy\ttoy/a\t\"says \"\"hello\"\"\"\t512\tabc\tUNTRUSTED: why\n" +
		"toy\ttoy/gone\t\t\t\t\n"
	if err := os.Mkdir(filepath.Join(dir, "toy"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"INDEX.tsv": table, "toy/a": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := CorpusFiles(t, "toy")
	if len(files) != 1 {
		t.Fatalf("%d files", len(files))
	}
	f := files[0]
	if f.Exercises != `says "hello"` || f.Digest.Size != 512 || f.Digest.Raw != "abc" || !f.Untrusted() || f.Path != filepath.Join(dir, "toy/a") {
		t.Errorf("%+v", f)
	}
}

// TestDigests compares digests with those that other programs computed.
func TestDigests(t *testing.T) {
	for _, f := range CorpusFiles(t, "raw") {
		content, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		img := plain(t, content)
		if compared, err := f.Verify(img); err != nil || !compared {
			t.Errorf("compared %v: %v", compared, err)
		}
		if blocks, err := BlockDigest(img); err != nil || blocks != f.Digest.Blocks {
			t.Errorf("%s: the digest of its blocks is %s, %v; it should be %s", f.Name, blocks, err, f.Digest.Blocks)
		}
		content[len(content)/2] ^= 1
		if _, err := f.Verify(plain(t, content)); err == nil {
			t.Errorf("%s: a changed disk has the same digest", f.Name)
		}
	}
}

// bare is an image in a file, byte for byte.
type bare struct {
	disk.File
	size int64
}

func (b bare) Size() int64 { return b.size }

func plain(t *testing.T, content []byte) disk.Image {
	t.Helper()
	fs := memfs.New()
	fs.Put("plain", content)
	f, err := fs.Open("plain", false)
	if err != nil {
		t.Fatal(err)
	}
	return bare{f, int64(len(content))}
}
