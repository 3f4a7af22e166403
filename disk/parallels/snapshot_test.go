package parallels_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/diskfault"
	"github.com/panalvm/panal/disk/memfs"
)

// makeBundle makes a bundle of clusters of 4 KiB, one for each letter; '.' is
// left out.
func makeBundle(t *testing.T, m disk.FS, name, content string, o disk.CreateOptions) {
	t.Helper()
	o.FS, o.Formats, o.Format = m, formats, "parallels"
	if o.Parent == nil {
		o.Size = int64(len(content)) * 4096
	}
	if o.Options == nil {
		o.Options = map[string]string{"clusterSize": "4K"}
	}
	img, err := disk.Create(name, o)
	if err != nil {
		t.Fatal(err)
	}
	write(t, img, content)
	mustClose(t, img)
}

// write writes clusters, one for each letter; '.' leaves one as it is, '0' makes
// it zero.
func write(t *testing.T, img disk.Image, content string) {
	t.Helper()
	for i, c := range []byte(content) {
		var err error
		switch c {
		case '.':
		case '0':
			err = disk.Zero(img, int64(i)*4096, 4096)
		default:
			_, err = img.(disk.Writer).WriteAt(bytes.Repeat([]byte{c}, 4096), int64(i)*4096)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func take(t *testing.T, img disk.Image) string {
	t.Helper()
	s, err := img.(disk.SnapshotTaker).TakeSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s.ID
}

func drop(img disk.Image, id string) error {
	return img.(disk.SnapshotTaker).DropSnapshot(context.Background(), id, nil)
}

// reads opens a state of a bundle and compares.
func reads(t *testing.T, m disk.FS, name, snapshot, want string) {
	t.Helper()
	img := mustOpen(t, m, name, disk.Options{Snapshot: snapshot})
	defer mustClose(t, img)
	if have := letters(t, img); have != want {
		t.Errorf("%s %s reads as %s; it should be %s", name, snapshot, have, want)
	}
	r := mustCheck(t, img)
	if worst, _ := r.Worst(); worst > disk.Leak {
		t.Errorf("%s %s: %s", name, snapshot, reasons(t, r))
	}
}

const web = "web.hdd/DiskDescriptor.xml"

func TestSnapshotsAreTakenAndDropped(t *testing.T) {
	for kind, o := range map[string]disk.CreateOptions{
		"one file": {}, "split": {Options: map[string]string{"clusterSize": "4K", "split": "1M"}},
	} {
		t.Run(kind, func(t *testing.T) {
			m := memfs.New()
			long := strings.Repeat(".", 1<<20/4096)
			makeBundle(t, m, web, "abcd.."+long, o)
			img := mustOpen(t, m, web, disk.Options{Write: true})
			first := take(t, img)
			write(t, img, "A.C..0"+long[:len(long)-1]+"x")
			second := take(t, img)
			write(t, img, "1..4.6")
			tail := long[1:] + "x"
			check := func(states map[string]string) {
				t.Helper()
				for id, want := range states {
					reads(t, m, web, id, want)
				}
			}
			mustClose(t, img)
			check(map[string]string{"": "1bC4.6" + tail, first: "abcd.." + long, second: "AbCd.." + tail})

			img = mustOpen(t, m, web, disk.Options{Write: true})
			if err := drop(img, first); err != nil {
				t.Fatal(err)
			}
			if have := img.(disk.Snapshotter).Snapshots(); len(have) != 2 || have[0].ID != second || !have[1].Current {
				t.Errorf("the snapshots are %+v", have)
			}
			write(t, img, "2")
			mustClose(t, img)
			check(map[string]string{"": "2bC4.6" + tail, second: "AbCd.." + tail})

			img = mustOpen(t, m, web, disk.Options{Write: true})
			if err := drop(img, second); err != nil {
				t.Fatal(err)
			}
			mustClose(t, img)
			check(map[string]string{"": "2bC4.6" + tail})
			if want := 2; kind == "one file" && len(m.Names()) != want || kind == "split" && len(m.Names()) != want+1 {
				t.Errorf("the files are %q", m.Names())
			}
		})
	}
}

// A plain file has no place for a parent, and becomes one itself.
func TestASnapshotOfAPlainDisk(t *testing.T) {
	m := memfs.New()
	o := disk.CreateOptions{FS: m, Formats: formats, Format: "parallels:plain", Size: 2 << 20}
	img, err := disk.Create(web, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { mustClose(t, img) }()
	write(t, img, "ab")
	id := take(t, img)
	write(t, img, "A")
	if i := disk.Describe(img); i.Variant != "expanding" || i.BlockSize != 1<<20 {
		t.Errorf("described as %+v", i)
	}
	if err := drop(img, id); err != nil {
		t.Fatal(err)
	}
	if i := disk.Describe(img); i.Variant != "plain" || len(m.Names()) != 2 || letters(t, img)[:3] != "Ab." {
		t.Errorf("described as %+v, files %q, content %s", i, m.Names(), letters(t, img)[:3])
	}
}

func TestSnapshotsThatCannotBeDropped(t *testing.T) {
	m := family()
	img := mustOpen(t, m, descr, disk.Options{Write: true})
	defer func() { mustClose(t, img) }()
	for id, want := range map[string]string{guidTop: "current state", "nonsense": "no snapshot"} {
		if err := drop(img, id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// Whatever is dropped, the other states stay as they are.
func TestDroppingFromATree(t *testing.T) {
	states := map[string]string{"": "aM.NP..q", guidMid: "aM.bp..q", guidSide: "SaTbpU.q", guidBase: "aa.bp..q"}
	for _, order := range [][]string{
		{guidBase, guidMid, guidSide},
		{guidBase, guidSide, guidMid},
		{guidMid, guidBase, guidSide},
		{guidMid, guidSide, guidBase},
		{guidSide, guidBase, guidMid},
		{guidSide, guidMid, guidBase},
	} {
		m := family()
		left := maps.Clone(states)
		for _, gone := range order {
			img := mustOpen(t, m, descr, disk.Options{Write: true})
			if err := drop(img, gone); err != nil {
				t.Fatal(err)
			}
			mustClose(t, img)
			delete(left, gone)
			for id, want := range left {
				reads(t, m, descr, id, want)
			}
		}
		if len(m.Names()) != 3 {
			t.Errorf("the files are %q", m.Names())
		}
		img := mustOpen(t, m, descr, disk.Options{Write: true})
		if err := disk.Resize(img, 3*4096); err != nil { // the second storage goes
			t.Error(err)
		}
		if have := letters(t, img); have != "aM." || len(m.Names()) != 2 {
			t.Errorf("cut, it reads as %s and has the files %q", have, m.Names())
		}
		mustClose(t, img)
	}
}

func TestPowerCutsWhileATreeIsCut(t *testing.T) {
	for _, gone := range []string{guidBase, guidMid, guidSide} {
		everyCut(t, family, func(m *memfs.FS) {
			img := mustOpen(t, m, descr, disk.Options{Write: true})
			if err := drop(img, gone); err != nil {
				t.Fatal(err)
			}
			mustClose(t, img)
		}, func(left *memfs.FS, when string) {
			states := map[string]string{guidTop: "aM.NP..q", guidMid: "aM.bp..q", guidSide: "SaTbpU.q", guidBase: "aa.bp..q"}
			img := mustOpen(t, left, descr, disk.Options{Write: true})
			all := img.(disk.Snapshotter).Snapshots()
			mustClose(t, img)
			for _, s := range all {
				if s.ID != gone {
					reads(t, left, descr, s.ID, states[s.ID])
				}
			}
			if t.Failed() {
				t.Fatal(when)
			}
			img = mustOpen(t, left, descr, disk.Options{Write: true})
			if len(all) == 4 {
				if err := drop(img, gone); err != nil { // again
					t.Fatalf("%s: dropping again: %v", when, err)
				}
			}
			mustClose(t, img)
			for id, want := range states {
				if id != gone {
					reads(t, left, descr, id, want)
				}
			}
		})
	}
}

// everyCut runs work again and again and cuts the power before one operation
// after the other. check looks at what is left each time.
func everyCut(t *testing.T, prepare func() *memfs.FS, work func(m *memfs.FS), check func(left *memfs.FS, when string)) {
	t.Helper()
	for at, more := 0, true; more; at++ {
		m := prepare()
		count, when := 0, ""
		more = false
		var left []*memfs.FS
		m.OnOp = func(kind, name string) {
			if count++; count-1 == at {
				more, when = true, fmt.Sprintf("before operation %d, a %s of %s", at, kind, name)
				for seed := range uint64(6) {
					left = append(left, m.Crash(rand.New(rand.NewPCG(seed, uint64(at)))))
				}
			}
		}
		work(m)
		for _, l := range left {
			check(l, when)
		}
	}
}

func TestPowerCutsWhileSnapshotsAreTakenAndDropped(t *testing.T) {
	var first, second string
	prepare := func() *memfs.FS {
		m := memfs.New()
		makeBundle(t, m, web, "abcdef", disk.CreateOptions{})
		img := mustOpen(t, m, web, disk.Options{Write: true})
		first = take(t, img)
		write(t, img, "A0..")
		second = take(t, img)
		write(t, img, ".BC.")
		mustClose(t, img)
		settled := memfs.New()
		for _, name := range m.Names() {
			settled.Put(name, m.Bytes(name))
		}
		return settled
	}
	check := func(gone string) func(left *memfs.FS, when string) {
		return func(left *memfs.FS, when string) {
			t.Helper()
			img, err := openIn(left, web, disk.Options{Write: true})
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			if have := letters(t, img); have != "ABCdef" {
				t.Fatalf("%s the current state reads as %s", when, have)
			}
			write(t, img, "....E")
			mustClose(t, img)
			all := mustOpen(t, left, web, disk.Options{})
			snapshots := all.(disk.Snapshotter).Snapshots()
			mustClose(t, all)
			for _, s := range snapshots {
				want := map[string]string{first: "abcdef", second: "A.cdef"}[s.ID]
				switch {
				case s.Current:
					want = "ABCdEf"
				case s.ID == gone:
					continue
				case want == "":
					want = "ABCdef"
				}
				reads(t, left, web, s.ID, want)
			}
		}
	}
	change := func(what func(img disk.Image)) func(m *memfs.FS) {
		return func(m *memfs.FS) {
			img := mustOpen(t, m, web, disk.Options{Write: true})
			what(img)
			mustClose(t, img)
		}
	}
	everyCut(t, prepare, change(func(img disk.Image) { take(t, img) }), check(""))
	for i := range 2 {
		everyCut(t, prepare, change(func(img disk.Image) {
			if err := drop(img, []string{first, second}[i]); err != nil {
				t.Fatal(err)
			}
		}), func(left *memfs.FS, when string) { check([]string{first, second}[i])(left, when) })
	}
}

// failing is a file system that fails once, at the n-th operation of a kind.
func failing(m disk.FS, kind diskfault.Op, n int) *diskfault.FS {
	return &diskfault.FS{FS: m, Fail: func(op diskfault.Op, _ string) error {
		if op != kind {
			return nil
		}
		if n--; n == -1 {
			return errFault
		}
		return nil
	}}
}

var errFault = errors.New("no space left")

func TestFaultsWhileSnapshotsAreTakenAndDropped(t *testing.T) {
	for _, kind := range []diskfault.Op{diskfault.Write, diskfault.Sync, diskfault.Truncate, diskfault.Read, diskfault.Rename} {
		fired := 0
		for n := range 40 {
			m := memfs.New()
			makeBundle(t, m, web, "abcd", disk.CreateOptions{})
			f := failing(m, kind, n)
			for _, what := range []string{"take", "drop", "resize"} {
				img, err := openIn(f, web, disk.Options{Write: true})
				if errors.Is(err, errFault) {
					fired++
					continue
				} else if err != nil {
					t.Fatal(err)
				}
				snapshots := img.(disk.Snapshotter).Snapshots()
				switch {
				case what == "take":
					_, err = img.(disk.SnapshotTaker).TakeSnapshot()
				case what == "resize":
					err = disk.Resize(img, img.Size()+4096)
				case len(snapshots) > 1:
					err = drop(img, snapshots[0].ID)
				}
				if err = errors.Join(err, img.Close()); err != nil && !errors.Is(err, errFault) {
					t.Fatalf("%s %d, %s: %v", kind, n, what, err)
				} else if err != nil {
					fired++
				}
			}
			img := mustOpen(t, m, web, disk.Options{Write: true})
			if have := letters(t, img); have != "abcd" && have != "abcd." {
				t.Errorf("%s %d: it reads as %s", kind, n, have)
			}
			mustClose(t, img)
		}
		if fired == 0 {
			t.Errorf("no %s ever failed", kind)
		}
	}
}

// When it is not known whether the descriptor was replaced, nothing is written
// to the files that it may name or not.
func TestABundleWhoseDescriptorMayBeReplacedIsLeftAlone(t *testing.T) {
	m := memfs.New()
	makeBundle(t, m, web, "abcd", disk.CreateOptions{})
	img := mustOpen(t, failing(m, diskfault.Rename, 0), web, disk.Options{Write: true})
	if _, err := img.(disk.SnapshotTaker).TakeSnapshot(); !errors.Is(err, errFault) {
		t.Fatalf("taking a snapshot: %v", err)
	}
	if _, err := img.(disk.Writer).WriteAt([]byte("x"), 0); !errors.Is(err, errFault) {
		t.Errorf("writing: %v", err)
	}
	if have := letters(t, img); have != "abcd" {
		t.Errorf("it reads as %s", have)
	}
	mustClose(t, img)
	img = mustOpen(t, m, web, disk.Options{Write: true})
	take(t, img) // what was left of the other descriptor is in nobody's way
	mustClose(t, img)
}

// unrenaming is a file system that cannot rename.
type unrenaming struct{ disk.FS }

func TestWithoutRenamingADescriptorStaysAsItIs(t *testing.T) {
	m := memfs.New()
	makeBundle(t, m, web, "abcd", disk.CreateOptions{})
	img := mustOpen(t, unrenaming{m}, web, disk.Options{Write: true})
	defer mustClose(t, img)
	if _, err := img.(disk.SnapshotTaker).TakeSnapshot(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("taking a snapshot: %v", err)
	}
	write(t, img, "A")
	if have := letters(t, img); have != "Abcd" || len(m.Names()) != 2 {
		t.Errorf("it reads as %s, and the files are %q", have, m.Names())
	}
}

// What a descriptor has that we do not know is kept.
func TestUnknownElementsAreKept(t *testing.T) {
	m := memfs.New()
	m.Put("d.hdd/a", hds{bat: []uint32{1, 0, 0, 0, 0, 0, 0, 0}, letters: "a"}.bytes())
	text := string(xmlOf("<Disk_size>64</Disk_size><Heads>4</Heads><Sectors>8</Sectors><Cylinders>2</Cylinders><Miscellaneous><CompatLevel>level2</CompatLevel></Miscellaneous>",
		storageOf(0, 64, `<Image><GUID>{`+guidTop+`}</GUID><Type>Compressed</Type><File Protected="T&amp;F">a</File></Image>`), shotOf(guidTop, "")))
	m.Put(descr, []byte(text))
	img := mustOpen(t, m, descr, disk.Options{Write: true})
	id := take(t, img)
	if err := disk.Resize(img, 9*4096); err != nil {
		t.Fatal(err)
	}
	mustClose(t, img)
	reads(t, m, descr, "", "a........")
	reads(t, m, descr, id, "a........")
	now := string(m.Bytes(descr))
	for _, want := range []string{`<CompatLevel>level2</CompatLevel>`, `<File Protected="T&amp;F">a</File>`, `Version="1.0"`, "<Disk_size>72<", "<Cylinders>2<", "<End>72<"} {
		if !strings.Contains(now, want) {
			t.Errorf("there is no %s in\n%s", want, now)
		}
	}
}

// A bundle without a tree of shots gets one.
func TestASnapshotOfABundleWithoutATree(t *testing.T) {
	for _, image := range []string{
		imageOf(guidBase, "Compressed", "a"), `<Image><Type>Compressed</Type><File>a</File></Image>`,
	} {
		m := memfs.New()
		m.Put("d.hdd/a", hds{bat: []uint32{1, 0, 0, 0, 0, 0, 0, 0}, letters: "a"}.bytes())
		m.Put(descr, []byte(strings.Replace(string(xmlOf("", storageOf(0, 64, image), "")), "<Snapshots></Snapshots>", "", 1)))
		img := mustOpen(t, m, descr, disk.Options{Write: true})
		id := take(t, img)
		write(t, img, "A.......")
		mustClose(t, img)
		reads(t, m, descr, id, "a.......")
		reads(t, m, descr, "", "A.......")
	}
}
