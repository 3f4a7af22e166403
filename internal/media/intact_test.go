package media

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/internal/problem"
)

// A disk that was cut short is none that merely holds zeros at its end, in formats that read it as that too.
func TestDisksThatWereCutShortAreRefused(t *testing.T) {
	for _, format := range []string{"qcow2", "vdi", "vhd", "vmdk", "vmdk:streamOptimized"} {
		name, _, _ := strings.Cut(format, ":")
		path := filepath.Join(t.TempDir(), "disk."+name)
		holding(t, path, format)
		if err := intact(t, path); err != nil {
			t.Errorf("%s, whole: %v", format, err)
		}
		info, err := os.Stat(path)
		if err == nil {
			err = os.Truncate(path, info.Size()*2/3)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := intact(t, path); err == nil || problem.Of(err).Kind != api.KindUnreadable {
			t.Errorf("%s, cut short: %v", format, err)
		}
	}
}

// holding makes an image that holds something everywhere, and ends where the last block is not filled.
func holding(t *testing.T, path, format string) {
	t.Helper()
	raw := path + ".raw"
	if err := os.WriteFile(raw, []byte(strings.Repeat("0123456789abcdef", 8<<16)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(raw, 8<<20+512); err != nil {
		t.Fatal(err)
	}
	from, _, err := OpenImage(Ref{Path: raw, Format: "raw"}, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	none := func(int64, int64) {}
	if _, err := (diskfile.Place{}).Convert(t.Context(), from, path, diskfile.Make{Format: format}, io.Discard, none); err != nil {
		t.Fatal(err)
	}
}

func intact(t *testing.T, path string) error {
	t.Helper()
	img, _, err := OpenImage(Ref{Path: path}, OpenOptions{})
	if err != nil {
		return err
	}
	defer img.Close()
	return Intact(t.Context(), "the disk", img)
}
