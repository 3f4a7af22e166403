package hostfs

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A file that is being made is passed on to the store while it grows, and
// holds what was written, in whatever order.
func TestEarly(t *testing.T) {
	name := filepath.Join(t.TempDir(), "image")
	stage := NewStage(Everywhere())
	defer stage.Abort()
	made, err := stage.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	file := made.(*File)
	want := make([]byte, 3*earlyStep)
	write := func(off, n int64, with byte) {
		t.Helper()
		copy(want[off:], bytes.Repeat([]byte{with}, int(n)))
		if _, err := file.WriteAt(want[off:off+n], off); err != nil {
			t.Fatal(err)
		}
	}
	for off := int64(0); off < 2*earlyStep; off += earlyStep / 4 {
		write(off, earlyStep/4, byte(off>>20)+1)
	}
	file.early.wait()
	if file.early.begin == 0 {
		t.Error("nothing was passed on after two steps")
	}
	begin := file.early.begin
	write(4096, earlyStep, 0xEE)
	file.early.wait()
	if file.early.begin < begin {
		t.Errorf("what is passed on went back from %d to %d", begin, file.early.begin)
	}
	write(int64(len(want))-1, 1, 0xFF)
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := stage.Commit(false); err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("the file does not hold what was written to it")
	}
}
