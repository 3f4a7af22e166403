package disktest

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
)

// The corpus is a folder of images that other programs made, a folder a
// format, with a table that says what each file is. It is no part of the
// repository.
const (
	corpusVariable = "PANAL_CORPUS"       // the folder
	indexVariable  = "PANAL_CORPUS_INDEX" // the table
	indexName      = "INDEX.tsv"          // of the table, in the folder
)

// CorpusFile is a file of the corpus, and what is known of it.
type CorpusFile struct {
	Path        string // where it is
	Name        string // its path within the corpus, "vdi/dfvfs__ext2.vdi"
	Format      string // the folder
	Exercises   string // what is special about it
	Note        string
	QemuFormat  string // what qemu-img takes it for
	QemuSize    int64  // the size of its disk according to qemu-img; 0 if unknown
	QemuCheck   string // "clean", or what qemu-img check says
	QemuConvert string // "ok", or not
	QemuError   string
	HeaderFacts string // what another reader saw
	MemberDisks string // of an archive: what another reader saw in the images within
	Digest      Digest // what the whole disk holds
	CurrentSize string // Digest.Raw of a VHD, if its size is the footer's "current size"
	ReplayedLog string // Digest.Raw of a VHDX, when its log was replayed
}

// Untrusted tells whether qemu-img is known to be wrong about the file.
func (c CorpusFile) Untrusted() bool { return strings.Contains(c.Note, "UNTRUSTED") }

// CorpusDir is where the corpus is: $PANAL_CORPUS, else panal/corpus in the
// user's cache. Without any it skips the test.
func CorpusDir(t testing.TB) string {
	t.Helper()
	dir, err := corpusDir()
	if err != nil {
		t.Skipf("the corpus of foreign images is not on this machine (%v); %s may name its folder", err, corpusVariable)
	}
	return dir
}

func corpusDir() (string, error) {
	dir := os.Getenv(corpusVariable)
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(cache, "panal", "corpus")
	}
	_, err := os.Stat(dir)
	return dir, err
}

// CorpusFiles lists the corpus' files of a format, "" for all. The table is
// $PANAL_CORPUS_INDEX, else INDEX.tsv in the folder or beside it. Without the
// corpus it skips the test.
func CorpusFiles(t testing.TB, format string) []CorpusFile {
	t.Helper()
	dir := CorpusDir(t)
	rows, err := readIndex(dir)
	if err != nil {
		t.Skipf("the corpus in %s has no table (%v); %s may name it", dir, err, indexVariable)
	}
	var files []CorpusFile
	for _, row := range rows {
		if format != "" && row["format"] != format {
			continue
		}
		file := corpusFile(dir, row)
		if _, err := os.Stat(file.Path); err == nil {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		t.Fatalf("the corpus in %s has no file of format %q", dir, format)
	}
	return files
}

// Seeds are the contents of the corpus' small files of a format whose names end
// in suffix, for a fuzzer to begin with. There are none without the corpus.
func Seeds(format, suffix string) []string {
	const small = 16 << 10
	dir, err := corpusDir()
	if err != nil {
		return nil
	}
	rows, err := readIndex(dir)
	if err != nil {
		return nil
	}
	var seeds []string
	for _, row := range rows {
		file := corpusFile(dir, row)
		if file.Format != format || !strings.HasSuffix(file.Name, suffix) {
			continue
		}
		if info, err := os.Stat(file.Path); err != nil || info.Size() > small {
			continue
		}
		if text, err := os.ReadFile(file.Path); err == nil {
			seeds = append(seeds, string(text))
		}
	}
	return seeds
}

func corpusFile(dir string, row map[string]string) CorpusFile {
	number := func(column string) int64 {
		n, _ := strconv.ParseInt(row[column], 10, 64) // empty where nothing is known
		return n
	}
	return CorpusFile{
		Path: filepath.Join(dir, filepath.FromSlash(row["file"])), Name: row["file"], Format: row["format"],
		Exercises: row["exercises"], Note: row["note"],
		QemuFormat: row["qemu_auto_format"], QemuSize: number("qemu_vsize"), QemuCheck: row["qemu_check"],
		QemuConvert: row["qemu_convert"], QemuError: row["qemu_error"], HeaderFacts: row["header_facts"], MemberDisks: row["member_disks"],
		Digest:      Digest{Raw: row["raw_sha256"], Size: number("raw_size"), Blocks: row["raw_nz64k"]},
		CurrentSize: row["vhd_current_size_raw_sha256"], ReplayedLog: row["replayed_log_raw"],
	}
}

// readIndex reads the table; each row is by the names of the columns.
func readIndex(dir string) ([]map[string]string, error) {
	var failed error
	for _, name := range []string{os.Getenv(indexVariable), filepath.Join(dir, indexName), filepath.Join(filepath.Dir(dir), indexName)} {
		if name == "" {
			continue
		}
		text, err := os.ReadFile(name)
		if err == nil {
			return parseIndex(string(text))
		}
		failed = err
	}
	return nil, failed
}

func parseIndex(text string) ([]map[string]string, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord = '\t', -1
	lines, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("the table is empty")
	}
	rows := make([]map[string]string, 0, len(lines))
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, value := range line {
			if i < len(lines[0]) {
				row[lines[0][i]] = value
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Verify compares an image's content with what the table knows of it: the
// digest of all, or when the disk is too large for that, of its blocks. It
// tells whether there was anything to compare with.
func (c CorpusFile) Verify(img disk.Image) (compared bool, err error) {
	switch want := c.Digest; {
	case want.Size != 0 && want.Size != img.Size():
		return true, fmt.Errorf("%s: the disk has %d bytes; it should have %d", c.Name, img.Size(), want.Size)
	case want.Raw != "" && img.Size() <= hashable:
		return true, differs(c.Name, want.Raw, img, RawDigest)
	case want.Blocks != "":
		return true, differs(c.Name, want.Blocks, img, BlockDigest)
	}
	return false, nil
}

func differs(name, want string, img disk.Image, digest func(disk.Image) (string, error)) error {
	have, err := digest(img)
	if err == nil && have != want {
		err = fmt.Errorf("the digest of the disk is %s; it should be %s", have, want)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
