package memfs_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// TestHugeHolesCostNothing looks for data in, cuts and punches files of 8 EiB.
func TestHugeHolesCostNothing(t *testing.T) {
	m := memfs.New()
	f, _ := m.Create("huge")
	const size = 1<<63 - 1
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteAt([]byte("here"), 1<<62)
	if start, end, _ := f.(disk.Holed).NextData(4096); start != 1<<62 || end != 1<<62+4096 {
		t.Errorf("data is at [%d,%d)", start, end)
	}
	if err := f.(disk.Puncher).PunchHole(1, size-1); err != nil {
		t.Fatal(err)
	}
	if start, _, _ := f.(disk.Holed).NextData(0); start != size {
		t.Errorf("data is at %d", start)
	}
	if err := f.Truncate(10); err != nil {
		t.Fatal(err)
	}
	if got := m.Bytes("huge"); len(got) != 10 {
		t.Errorf("%d bytes are left", len(got))
	}
}

// TestCrashSharesNothing writes to both sides after a crash.
func TestCrashSharesNothing(t *testing.T) {
	m := memfs.New()
	m.Put("a", bytes.Repeat([]byte("x"), 10000))
	after := m.Crash(rand.New(rand.NewPCG(1, 1)))
	for text, side := range map[string]*memfs.FS{"one": m, "two": after} {
		f, err := side.Open("a", true)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.WriteAt([]byte(text), 4095)
		if err := f.(disk.Puncher).PunchHole(9000, 10); err != nil {
			t.Fatal(err)
		}
	}
	for text, side := range map[string]*memfs.FS{"one": m, "two": after} {
		want := bytes.Repeat([]byte("x"), 10000)
		copy(want[4095:], text)
		clear(want[9000:9010])
		if !bytes.Equal(side.Bytes("a"), want) {
			t.Errorf("%s: the sides share pages", text)
		}
	}
	third := after.Crash(rand.New(rand.NewPCG(2, 2)))
	if got := third.Bytes("a"); len(got) != 10000 {
		t.Errorf("%d bytes", len(got))
	}
}
