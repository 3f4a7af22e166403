package parallels_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/parallels"
)

var formats = []*disk.Format{parallels.Format}

const (
	guidBase = "11111111-1111-1111-1111-111111111111"
	guidMid  = "22222222-2222-2222-2222-222222222222"
	guidSide = "33333333-3333-3333-3333-333333333333"
	guidTop  = "5fbaabe3-6958-40ff-92a7-860e329aab41"
	descr    = "d.hdd/DiskDescriptor.xml"
)

// xmlOf is a descriptor of a disk of 8 clusters of 8 sectors; what is in
// place is put between its parts.
func xmlOf(parameters, storages, shots string) []byte {
	if parameters == "" {
		parameters = "<Disk_size>64</Disk_size><Padding>0</Padding><UID>{ABCDEF00-0000-4000-8000-000000000001}</UID>"
	}
	return []byte(`<?xml version='1.0' encoding='UTF-8'?><Parallels_disk_image Version="1.0"><Disk_Parameters>` + parameters +
		"</Disk_Parameters><StorageData>" + storages + "</StorageData><Snapshots>" + shots + "</Snapshots></Parallels_disk_image>")
}

func storageOf(start, end int, images ...string) string {
	return fmt.Sprintf("<Storage><Start>%d</Start><End>%d</End><Blocksize>8</Blocksize>%s</Storage>", start, end, strings.Join(images, ""))
}

func imageOf(guid, kind, file string) string {
	return fmt.Sprintf("<Image><GUID>{%s}</GUID><Type>%s</Type><File>%s</File></Image>", strings.ToUpper(guid), kind, file)
}

func shotOf(guid, parent string) string {
	if parent == "" {
		parent = "00000000-0000-0000-0000-000000000000"
	}
	return fmt.Sprintf("<Shot><GUID>{%s}</GUID><ParentGUID>{%s}</ParentGUID></Shot>", guid, parent)
}

// family is a split bundle with a tree of shots: base ← mid ← top, and side
// beside mid. Its first storage begins with a plain file.
func family() *memfs.FS {
	m := memfs.New()
	m.Put("d.hdd/0.base", bytes.Join([][]byte{bytes.Repeat([]byte{'a'}, 8192), make([]byte, 4096), bytes.Repeat([]byte{'b'}, 4096)}, nil))
	m.Put("d.hdd/0.mid", hds{bat: []uint32{0, 1, 0, 0}, letters: "M"}.bytes())
	m.Put("d.hdd/0.side", hds{old: true, bat: []uint32{8, 0, 16, 0}, letters: "ST"}.bytes())
	m.Put("d.hdd/0.top", hds{bat: []uint32{0, 0, 0, 1}, letters: "N"}.bytes())
	m.Put("d.hdd/1.base", hds{bat: []uint32{1, 0, 0, 2}, letters: "pq"}.bytes())
	m.Put("d.hdd/1.mid", hds{bat: []uint32{0, 0, 0, 0}}.bytes())
	m.Put("d.hdd/1.side", hds{bat: []uint32{0, 1, 0, 0}, letters: "U"}.bytes())
	m.Put("d.hdd/1.top", hds{bat: []uint32{1, 0, 0, 0}, letters: "P"}.bytes())
	images := func(n int, kind string) []string {
		return []string{
			imageOf(guidTop, "Compressed", fmt.Sprintf("%d.top", n)), imageOf(guidBase, kind, fmt.Sprintf("%d.base", n)),
			imageOf(guidMid, "Compressed", fmt.Sprintf("%d.mid", n)), imageOf(guidSide, "Compressed", fmt.Sprintf("%d.side", n)),
		}
	}
	m.Put(descr, xmlOf("", storageOf(0, 32, images(0, "Plain")...)+storageOf(32, 64, images(1, "Compressed")...),
		shotOf(guidTop, guidMid)+shotOf(guidMid, guidBase)+shotOf(guidSide, guidBase)+shotOf(guidBase, "")))
	return m
}

func TestABundleReadsThroughItsShots(t *testing.T) {
	for shot, want := range map[string]string{
		"":                        "aM.NP..q",
		guidMid:                   "aM.bp..q",
		"{" + guidSide + "}":      "SaTbpU.q",
		strings.ToUpper(guidBase): "aa.bp..q",
	} {
		img := mustOpen(t, family(), descr, disk.Options{Snapshot: shot})
		if have := letters(t, img); have != want {
			t.Errorf("shot %q reads as %s; it should be %s", shot, have, want)
		}
		mapped := make([]byte, img.Size())
		for e, err := range disk.Extents(t.Context(), img, 0, img.Size()) {
			if err != nil {
				t.Fatal(err)
			}
			if e.State == disk.Data {
				if _, err := e.File.ReadAt(mapped[e.Off:e.End()], e.HostOff); err != nil {
					t.Fatal(err)
				}
			}
		}
		direct := make([]byte, img.Size())
		if _, err := img.ReadAt(direct, 0); err != nil || !bytes.Equal(mapped, direct) {
			t.Errorf("shot %q: the map leads to other bytes than reading (%v)", shot, err)
		}
		mustClose(t, img)
	}
}

func TestABundleListsItsShots(t *testing.T) {
	img := mustOpen(t, family(), descr, disk.Options{})
	defer mustClose(t, img)
	var line []string
	for _, s := range img.(disk.Snapshotter).Snapshots() {
		line = append(line, fmt.Sprintf("%.2s<%.2s %v", s.ID, s.Parent, s.Current))
	}
	if have := strings.Join(line, ", "); have != "11< false, 22<11 false, 33<11 false, 5f<22 true" {
		t.Errorf("the shots are %s", have)
	}
	info := disk.Describe(img)
	if info.UUID != "abcdef00-0000-4000-8000-000000000001" || len(info.Files) != 6 {
		t.Errorf("described as %+v", info)
	}
}

func TestOnlyTheCurrentShotIsWritten(t *testing.T) {
	m := family()
	before := map[string][]byte{}
	for _, name := range m.Names() {
		before[name] = m.Bytes(name)
	}
	img := mustOpen(t, m, descr, disk.Options{Write: true})
	w := img.(disk.Writer)
	if _, err := w.WriteAt(bytes.Repeat([]byte{'w'}, 8192), 12288); err != nil { // across the storages
		t.Fatal(err)
	}
	if _, err := w.WriteAt([]byte{'x'}, 100); err != nil { // copies the rest of the cluster
		t.Fatal(err)
	}
	if err := disk.Zero(img, 28672, 4096); err != nil { // hides the first shot's
		t.Fatal(err)
	}
	if err := disk.Discard(img, 4096, 4096); err != nil {
		t.Fatal(err)
	}
	mustClose(t, img)
	for name, old := range before {
		if changed := !bytes.Equal(old, m.Bytes(name)); changed != strings.HasSuffix(name, ".top") {
			t.Errorf("%s changed: %v", name, changed)
		}
	}
	img = mustOpen(t, m, descr, disk.Options{})
	defer mustClose(t, img)
	if have := letters(t, img); have != "?M.ww..." {
		t.Errorf("it reads as %s", have)
	}
	p := make([]byte, 3)
	if _, err := img.ReadAt(p, 99); err != nil || string(p) != "axa" {
		t.Errorf("around the byte that was written: %q, %v", p, err)
	}
}

func TestASnapshotIsReadOnly(t *testing.T) {
	img := mustOpen(t, family(), descr, disk.Options{Snapshot: guidMid, Write: true})
	defer mustClose(t, img)
	if disk.Writable(img) {
		t.Error("an earlier shot can be written")
	}
	if _, err := img.(disk.Writer).WriteAt([]byte{1}, 0); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("writing: %v", err)
	}
}

func TestBadBundlesAreRefused(t *testing.T) {
	one := imageOf(guidTop, "Compressed", "0.top")
	root := shotOf(guidTop, "")
	good := storageOf(0, 64, one)
	for name, c := range map[string]struct {
		text []byte
		want string
		is   error
	}{
		"gap":            {xmlOf("", storageOf(0, 32, one)+storageOf(40, 64, one), root), "no storage has the sectors from 32 to 40", nil},
		"overlap":        {xmlOf("", storageOf(0, 32, one)+storageOf(24, 64, one), root), "belongs to the one before", nil},
		"short":          {xmlOf("", storageOf(0, 32, one), root), "the storages end at sector 32", nil},
		"backwards":      {xmlOf("", storageOf(9, 4, one), root), "from sector 9 to 4", nil},
		"no storage":     {xmlOf("", "", root), "no Storage", nil},
		"cycle":          {xmlOf("", good, shotOf(guidTop, guidMid)+shotOf(guidMid, guidTop)), "", disk.ErrCycle},
		"orphan":         {xmlOf("", good, shotOf(guidTop, guidMid)), "is missing", nil},
		"twice":          {xmlOf("", good, root+root), "another's", nil},
		"no file":        {xmlOf("", good, shotOf(guidTop, guidMid)+shotOf(guidMid, "")), "has no file of shot 2222", nil},
		"plain child":    {xmlOf("", storageOf(0, 64, imageOf(guidTop, "Plain", "a"), imageOf(guidMid, "Plain", "b")), shotOf(guidTop, guidMid)+shotOf(guidMid, "")), "plain", nil},
		"unknown type":   {xmlOf("", storageOf(0, 64, imageOf(guidTop, "Quantum", "a")), root), "Quantum", errors.ErrUnsupported},
		"padding":        {xmlOf("<Disk_size>64</Disk_size><Padding>1</Padding>", good, root), "padding", errors.ErrUnsupported},
		"encrypted":      {xmlOf("<Disk_size>64</Disk_size><Encryption><Engine>{11111111-0000-0000-0000-000000000000}</Engine></Encryption>", good, root), "encrypted", errors.ErrUnsupported},
		"no number":      {xmlOf("<Disk_size>many</Disk_size>", good, root), "no number", nil},
		"huge":           {xmlOf("<Disk_size>9223372036854775807</Disk_size>", good, root), "more than can be addressed", nil},
		"escape":         {xmlOf("", storageOf(0, 64, imageOf(guidTop, "Compressed", "../../../etc/passwd")), root), "", disk.ErrOutside},
		"missing":        {xmlOf("", storageOf(0, 64, imageOf(guidTop, "Compressed", "nothing.hds")), root), "nothing.hds", fs.ErrNotExist},
		"deep":           {[]byte("<Parallels_disk_image>" + strings.Repeat("<a>", 50) + strings.Repeat("</a>", 50) + "</Parallels_disk_image>"), "too deep", nil},
		"not closed":     {[]byte("<Parallels_disk_image><a>"), "descriptor", nil},
		"entity":         {[]byte(`<!DOCTYPE x [<!ENTITY a "aaa">]><Parallels_disk_image>&a;</Parallels_disk_image>`), "entity", nil},
		"other clusters": {xmlOf("", storageOf(0, 64, imageOf(guidTop, "Compressed", "0.mid")), root), "of a storage of", nil},
		"large":          {append(xmlOf("", good, root), bytes.Repeat([]byte(" "), 2<<20)...), "bytes", nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := family()
			m.Put(descr, c.text)
			img, err := openIn(m, descr, disk.Options{Write: true})
			if err == nil {
				mustClose(t, img)
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("the error is %v; it should say %q", err, c.want)
			}
		})
	}
}

func TestTheCurrentShotMayBeNamed(t *testing.T) {
	m := family()
	text := strings.Replace(string(m.Bytes(descr)), "<Snapshots>", "<Snapshots><TopGUID>{"+guidSide+"}</TopGUID>", 1)
	m.Put(descr, []byte(text))
	img := mustOpen(t, m, descr, disk.Options{})
	defer mustClose(t, img)
	if have := letters(t, img); have != "SaTbpU.q" {
		t.Errorf("it reads as %s", have)
	}
}

func TestAYoungerShotMayBeLarger(t *testing.T) {
	m := memfs.New()
	m.Put("d.hdd/base", hds{bat: []uint32{1, 2}, letters: "ab"}.bytes())
	m.Put("d.hdd/top", hds{bat: []uint32{0, 0, 0, 1, 0, 0, 0, 0}, letters: "t"}.bytes())
	m.Put(descr, xmlOf("", storageOf(0, 64, imageOf(guidTop, "Compressed", "top"), imageOf(guidBase, "Compressed", "base")),
		shotOf(guidTop, guidBase)+shotOf(guidBase, "")))
	img := mustOpen(t, m, descr, disk.Options{Write: true})
	defer mustClose(t, img)
	if have := letters(t, img); have != "ab.t...." {
		t.Errorf("it reads as %s", have)
	}
}

func TestBundlesAreMadeByTheirName(t *testing.T) {
	m := memfs.New()
	img, err := disk.Create("x/web.hdd/DiskDescriptor.xml", disk.CreateOptions{
		FS: m, Formats: formats, Format: "hdd", Size: 5 << 20, UUID: "12345678-9abc-4def-8123-456789abcdef",
		Options: map[string]string{"split": "2M"},
	})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, img)
	want := "x/web.hdd/DiskDescriptor.xml"
	for i := range 3 {
		want += fmt.Sprintf(" x/web.hdd/web.hdd.%d.{%s}.hds", i, guidTop)
	}
	if have := strings.Join(m.Names(), " "); have != want {
		t.Errorf("the files are %s", have)
	}
	img = mustOpen(t, m, "x/web.hdd/DiskDescriptor.xml", disk.Options{})
	defer mustClose(t, img)
	if i := disk.Describe(img); i.UUID != "12345678-9abc-4def-8123-456789abcdef" || i.Size != 5<<20 || i.Comment != "web.hdd" {
		t.Errorf("described as %+v", i)
	}
	for name, o := range map[string]map[string]string{
		"a.hds": {"bundle": "on"}, "b.hds": {"split": "2M"}, "c.hds": {"clusterSize": "5000"}, "y/DiskDescriptor.xml": {"bundle": "off"},
	} {
		_, err := disk.Create(name, disk.CreateOptions{FS: m, Formats: formats, Format: "hdd", Size: 1 << 20, Options: o})
		var usage *disk.UsageError
		if !errors.As(err, &usage) {
			t.Errorf("%s with %v: %v", name, o, err)
		}
	}
}

func TestABundleOfTheMostPartsOpens(t *testing.T) {
	m := memfs.New()
	create := func(dir string, parts int64) error {
		img, err := disk.Create(dir+"/DiskDescriptor.xml", disk.CreateOptions{
			FS: m, Formats: formats, Format: "parallels", Size: parts << 20, Options: map[string]string{"split": "1M"},
		})
		if err != nil {
			return err
		}
		return img.Close()
	}
	if err := create("a.hdd", 1024); err != nil {
		t.Fatal(err)
	}
	mustClose(t, mustOpen(t, m, "a.hdd/DiskDescriptor.xml", disk.Options{Write: true}))
	var usage *disk.UsageError
	if err := create("b.hdd", 1025); !errors.As(err, &usage) {
		t.Errorf("one part more: %v", err)
	}
}
