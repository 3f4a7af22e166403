package vhdx

import (
	"context"
	"os"
	"testing"

	"github.com/panalvm/panal/disk"
)

// TestTheGreatestDisk has a table of 512 MiB, of which only pieces may be in
// memory.
func TestTheGreatestDisk(t *testing.T) {
	name := t.TempDir() + "/a.vhdx"
	img := createHost(t, name, "vhdx", maxVirtual, map[string]string{optionBlock: "1M"})
	places := []int64{0, 5 * tib, 33*tib + 12345, maxVirtual - 4}
	for _, off := range places {
		if _, err := img.(disk.Writer).WriteAt([]byte("here"), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() > 530*mib {
		t.Fatalf("the file is %v long (%v)", info.Size(), err)
	}
	img = openHost(t, name, false)
	held := 0
	for x, err := range disk.Extents(context.Background(), img, 0, img.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		if x.State == disk.Data {
			held++
		}
	}
	if held != len(places) {
		t.Errorf("%d extents hold data, want %d", held, len(places))
	}
	for _, off := range places {
		p := make([]byte, 4)
		if _, err := img.ReadAt(p, off); string(p) != "here" {
			t.Errorf("at %d there is %q (%v)", off, p, err)
		}
	}
	if kept := len(img.(*image).pages.all); kept > 2*cleanPages {
		t.Errorf("%d pages are in memory", kept)
	}
}
