package importer_test

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/importer"
)

// TestAMemberBeyondEightGiBIsRead reads the end of a disk of nine GiB in an
// archive: its size has no room in the eleven octal digits of a header, and is in
// a PAX record or, as GNU tar writes it, in binary.
func TestAMemberBeyondEightGiBIsRead(t *testing.T) {
	const size = 9 << 30
	for _, format := range []tar.Format{tar.FormatPAX, tar.FormatGNU} {
		t.Run(format.String(), func(t *testing.T) {
			s, err := importer.Open(hugeArchive(t, format, size), appliance.Choices{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			img, err := s.Image(context.Background(), s.Appliance.Machines[0].Disks[0], t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			end := make([]byte, 8)
			if _, err := img.ReadAt(end, size-8); err != nil && !errors.Is(err, io.EOF) || string(end) != "the end." || img.Size() != size {
				t.Errorf("it ends with %q after %d bytes, %v", end, img.Size(), err)
			}
		})
	}
}

// hugeArchive makes an archive with a disk that is a hole but for its end.
func hugeArchive(t *testing.T, format tar.Format, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "huge.ova")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text := descriptor(`ovf:href="d.img"`, int(size))
	w := tar.NewWriter(file)
	err = w.WriteHeader(&tar.Header{Name: "a.ovf", Size: int64(len(text)), Mode: 0o644, Format: format})
	_, writing := io.WriteString(w, text)
	if err := errors.Join(err, writing, w.Flush()); err != nil {
		t.Fatal(err)
	}
	if err := tar.NewWriter(file).WriteHeader(&tar.Header{Name: "d.img", Size: size, Mode: 0o644, Format: format}); err != nil {
		t.Fatal(err)
	}
	_, seeking := file.Seek(size-8, io.SeekCurrent)
	_, writing = file.Write(append([]byte("the end."), make([]byte, 1024)...))
	if err := errors.Join(seeking, writing); err != nil {
		t.Fatal(err)
	}
	return path
}
