package gpt_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/test/guests/internal/gpt"
)

const size = 8 << 20

func write(t *testing.T, partitions ...gpt.Partition) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return path, errors.Join(file.Truncate(size), gpt.Write(file, size, uuid.New(), partitions))
}

// TestReadByBlkid has another program read the table.
func TestReadByBlkid(t *testing.T) {
	id := uuid.New()
	path, err := write(t, gpt.Partition{Name: "comb", Type: gpt.EFISystem, ID: id, Start: 1 << 20, Size: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(testenv.Need(t, "blkid"), "-p", "-o", "export", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PTTYPE=gpt") {
		t.Fatalf("blkid: %v: %s", err, out)
	}
	// A partition of a file is looked at by its place.
	out, err = exec.Command(testenv.Need(t, "partx"), "--raw", "--noheadings", "-o", "START,SECTORS,NAME,UUID,TYPE", path).CombinedOutput()
	want := "2048 4096 comb " + id.String() + " " + gpt.EFISystem.String()
	if err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("partx: %v: got %q, want %q", err, out, want)
	}
}

func TestRefusesWhatDoesNotFit(t *testing.T) {
	for name, p := range map[string]gpt.Partition{
		"on the table":   {Start: 33 * gpt.SectorSize, Size: gpt.SectorSize},
		"past the end":   {Start: 1 << 20, Size: size},
		"without a size": {Start: 1 << 20},
	} {
		if _, err := write(t, p); err == nil {
			t.Errorf("a partition %s was taken", name)
		}
	}
}
