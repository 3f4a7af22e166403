package vmdk_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/memfs"
)

// cidOf is the CID of an image, as its descriptor has it.
func cidOf(t testing.TB, img disk.Image) string {
	t.Helper()
	for _, d := range disk.Describe(img).Details {
		if d.Name == "CID" {
			return d.Value
		}
	}
	t.Fatal("it has no CID")
	return ""
}

// handmadeDelta puts a delta of a kind that we only read above an image.
func handmadeDelta(t *testing.T, path, parent, kind, line string, extent []byte) {
	t.Helper()
	base, err := openHost(t, parent, false)
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	text := string(handmadeDescriptor(kind, fmt.Sprintf(line, filepath.Base(path)+".delta")))
	text = strings.Replace(text, "parentCID=ffffffff", fmt.Sprintf("parentCID=%s\nparentFileNameHint=%q", cidOf(t, base), filepath.Base(parent)), 1)
	for name, p := range map[string][]byte{path: []byte(text), path + ".delta": extent} {
		if err := os.WriteFile(name, p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// scribble writes at random.
func scribble(t testing.TB, img disk.Image, content []byte, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 8))
	for range 12 {
		p := mixed(1+r.Int64N(200<<10), r.Uint64())
		off := r.Int64N(int64(len(content) - len(p)))
		write(t, img, p, off)
		copy(content[off:], p)
	}
}

// TestAChainOfAllKinds stacks deltas of every kind, and lets qemu-img read it,
// as far as it knows the kinds.
func TestAChainOfAllKinds(t *testing.T) {
	dir := t.TempDir()
	at := func(i int) string { return filepath.Join(dir, fmt.Sprintf("%d.vmdk", i)) }
	content := make([]byte, handmadeSize)
	img := create(t, at(0), "vmdk:vmfs", handmadeSize, nil, nil)
	scribble(t, img, content, 0)
	closed(t, img)
	over := func(grain int, grains []int) {
		for _, g := range grains {
			copy(content[g*grain:][:grain], handmadeContent(grain, grains...)[g*grain:])
		}
	}
	handmadeDelta(t, at(1), at(0), "vmfsSparse", `RW 40960 VMFSSPARSE "%s"`, cowdImage())
	over(512, cowdGrains)
	handmadeDelta(t, at(2), at(1), "seSparse", `RW 40960 SESPARSE "%s"`, seImage())
	over(4096, seGrains)
	clear(content[4096 : 3*4096]) // grains that it says are zero
	for i, c := range []struct {
		kind    string
		options map[string]string
	}{
		{"vmdk:monolithicSparse", nil},
		{"vmdk:twoGbMaxExtentSparse", map[string]string{"extentSize": "3M"}},
		{"vmdk:monolithicSparse", map[string]string{"zeroedGrain": "on"}},
		{"vmdk:twoGbMaxExtentSparse", map[string]string{"zeroedGrain": "on", "grainSize": "16K"}},
		{"vmdk:monolithicSparse", map[string]string{"grainSize": "4K"}},
	} {
		below, above := at(2+i), at(3+i)
		parent, err := openHost(t, below, false)
		if err != nil {
			t.Fatal(err)
		}
		img, err := disk.Create(above, disk.CreateOptions{
			FS: hostfs.Everywhere(), Formats: formats, Format: c.kind, Options: c.options, Parent: parent, ParentName: filepath.Base(below),
		})
		if err != nil {
			t.Fatal(err)
		}
		scribble(t, img, content, uint64(i)+1)
		closed(t, img)
		closed(t, parent)
		img, err = openHost(t, above, true)
		if err != nil {
			t.Fatal(err)
		}
		scribble(t, img, content, uint64(i)+20)
		if err := disk.Zero(img, int64(i)*1000000, 300000); err != nil {
			t.Fatal(err)
		}
		clear(content[i*1000000:][:300000])
		if !bytes.Equal(readAll(t, img), content) {
			t.Fatalf("%s: it reads otherwise", above)
		}
		sound(t, img, disk.Note)
		closed(t, img)
		sameAsRaw(t, above, content)
	}
}

// TestAParentThatWasWritten is refused with what to do about it, at whatever
// depth, and that helps.
func TestAParentThatWasWritten(t *testing.T) {
	m := memfs.New()
	m.Put("0.vmdk", small(t, "monolithicSparse"))
	for i, kind := range []string{"monolithicSparse", "twoGbMaxExtentSparse"} {
		parent := mustOpen(t, m, fmt.Sprintf("%d.vmdk", i), disk.Options{})
		img, err := disk.Create(fmt.Sprintf("%d.vmdk", i+1), disk.CreateOptions{
			FS: m, Formats: formats, Format: "vmdk:" + kind, Parent: parent, ParentName: fmt.Sprintf("%d.vmdk", i),
		})
		if err != nil {
			t.Fatal(err)
		}
		closed(t, img)
		closed(t, parent)
	}
	img := mustOpen(t, m, "0.vmdk", disk.Options{Write: true})
	write(t, img, []byte("anything"), 100000)
	closed(t, img)
	_, err := openMem(m, "2.vmdk", disk.Options{})
	if !errors.Is(err, disk.ErrWrongParent) || !strings.Contains(err.Error(), `panal disk rebase "1.vmdk" --parent "0.vmdk" --unsafe`) {
		t.Fatalf("got %v", err)
	}
	base := mustOpen(t, m, "0.vmdk", disk.Options{})
	img = mustOpen(t, m, "1.vmdk", disk.Options{Write: true, Alone: true})
	if err := img.(disk.Reparenter).SetParent(base, "0.vmdk", "vmdk"); err != nil {
		t.Fatal(err)
	}
	closed(t, img)
	closed(t, base)
	p := make([]byte, 8)
	if _, err := mustOpen(t, m, "2.vmdk", disk.Options{}).ReadAt(p, 100000); err != nil || string(p) != "anything" {
		t.Errorf("%q, %v", p, err)
	}
}

// TestCreateTypesOfDevices are read and written where their extents are files,
// and refused with a reason where they are devices.
func TestCreateTypesOfDevices(t *testing.T) {
	kinds := []string{
		"custom", "fullDevice", "partitionedDevice", "vmfsRaw", "vmfsRDM", "vmfsRDMP", "vmfsRawDeviceMap",
		"vmfsPassthroughRawDeviceMap", "vmfsPreallocated", "vmfsEagerZeroedThick", "vmfsThin", "somethingNew",
	}
	for _, kind := range kinds {
		for _, line := range []string{`RW 16 FLAT "%s" 0`, `RW 16 VMFS "%s"`, `RW 16 VMFSRDM "%s"`, `RW 16 VMFSRAW "%s"`} {
			m := memfs.New()
			m.Put("content.bin", bytes.Repeat([]byte{7}, 8192))
			text := "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"" + kind + "\"\nRW 2 ZERO\n"
			m.Put("a.vmdk", fmt.Appendf(nil, text+line+"\n", "content.bin"))
			img := mustOpen(t, m, "a.vmdk", disk.Options{Write: true})
			write(t, img, []byte("new"), 1024)
			closed(t, img)
			want := append(make([]byte, 1024), bytes.Repeat([]byte{7}, 8192)...)
			copy(want[1024:], "new")
			if img = mustOpen(t, m, "a.vmdk", disk.Options{}); !bytes.Equal(readAll(t, img), want) {
				t.Errorf("%s, %s: it reads otherwise", kind, line)
			}
			closed(t, img)
			m.Put("mapping.bin", make([]byte, 512))
			for _, device := range []string{"mapping.bin", `\\.\PhysicalDrive0`, "/dev/sdz", "/vmfs/devices/disks/vml.01"} {
				if device == "mapping.bin" && !strings.Contains(line, "VMFSR") {
					continue
				}
				m.Put("b.vmdk", fmt.Appendf(nil, text+line+"\n", device))
				if _, err := openMem(m, "b.vmdk", disk.Options{}); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "image the device") {
					t.Errorf("%s, %s, %s: %v", kind, line, device, err)
				}
			}
		}
	}
}
