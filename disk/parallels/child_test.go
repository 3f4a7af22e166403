package parallels_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

const clone = "clone.hdd/DiskDescriptor.xml"

// above makes a bundle that differs from an image.
func above(t *testing.T, m disk.FS, name, parent, ref, content string) {
	t.Helper()
	p := mustOpen(t, m, parent, disk.Options{})
	defer mustClose(t, p)
	makeBundle(t, m, name, content, disk.CreateOptions{Parent: p, ParentName: ref})
}

func TestABundleNamesItsParentsFiles(t *testing.T) {
	m := family()
	above(t, m, clone, descr, "../"+descr, "1......2")
	reads(t, m, clone, "", "1M.NP..2")
	reads(t, m, descr, "", "aM.NP..q")
	text := string(m.Bytes(clone))
	for _, want := range []string{"<File>../d.hdd/0.top</File>", "<File>../d.hdd/1.mid</File>", "<Type>Plain</Type>", guidBase, guidMid} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, guidSide) || strings.Count(text, guidTop) != 2+1 {
		t.Errorf("the GUIDs are not those of the line\n%s", text)
	}
	var opened []string
	img := mustOpen(t, m, clone, disk.Options{Opened: func(name string, _ disk.Image) { opened = append(opened, name) }})
	defer mustClose(t, img)
	if !slices.Equal(opened, []string{descr, clone}) {
		t.Errorf("opened as %q", opened)
	}
	if i := disk.Describe(img); i.Parent == nil || i.Parent.Name != "../"+descr || len(i.Files) != 2 || len(i.Snapshots) != 1 || i.Snapshots[0].Parent != "" {
		t.Errorf("described as %+v, parent %+v", i, i.Parent)
	}
	if i := disk.Describe(disk.Parent(img)); i.Size != 32768 || len(i.Files) != 6 || i.Parent != nil || len(i.Details) != 0 {
		t.Errorf("the parent is described as %+v", i)
	}
	if have := letters(t, disk.Parent(img)); have != "aM.NP..q" {
		t.Errorf("the parent reads as %s", have)
	}
}

// A path may be absolute, and a parent may be a file without a bundle.
func TestParentsOfOtherKinds(t *testing.T) {
	m := memfs.New()
	m.Put("disks/lone.hds", hds{bat: []uint32{1, 0, 2, 0}, letters: "ab"}.bytes())
	m.Put("disks/plain.hds", []byte(strings.Repeat("p", 8192)))
	above(t, m, clone, "disks/lone.hds", "/disks/lone.hds", ".x")
	reads(t, m, clone, "", "axb.")
	above(t, m, "grand.hdd/DiskDescriptor.xml", clone, "/"+clone, "...y")
	reads(t, m, "grand.hdd/DiskDescriptor.xml", "", "axby")
	if text := string(m.Bytes("grand.hdd/DiskDescriptor.xml")); !strings.Contains(text, "<File>/disks/lone.hds</File>") || !strings.Contains(text, "<File>/clone.hdd/") {
		t.Errorf("the files are not absolute\n%s", text)
	}
	img := mustOpen(t, m, "grand.hdd/DiskDescriptor.xml", disk.Options{})
	if p := disk.Parent(disk.Parent(img)); p == nil || disk.Describe(p).Version != "" || disk.Describe(img).Parent.Name != "/"+clone {
		t.Errorf("the second parent is %v", p)
	}
	mustClose(t, img)

	p := mustOpen(t, m, "disks/plain.hds", disk.Options{Format: "parallels"})
	makeBundle(t, m, "p.hdd/DiskDescriptor.xml", ".x", disk.CreateOptions{Parent: p, ParentName: "../disks/plain.hds"})
	mustClose(t, p)
	reads(t, m, "p.hdd/DiskDescriptor.xml", "", "px")
}

func TestParentsThatCannotBe(t *testing.T) {
	m := memfs.New()
	makeBundle(t, m, web, "abcd", disk.CreateOptions{})
	p := mustOpen(t, m, web, disk.Options{})
	defer mustClose(t, p)
	for name, c := range map[string]struct {
		file   string
		change func(o *disk.CreateOptions)
	}{
		"a lone file":   {"a.hds", func(*disk.CreateOptions) {}},
		"plain":         {clone, func(o *disk.CreateOptions) { o.Format = "parallels:plain" }},
		"no name":       {clone, func(o *disk.CreateOptions) { o.ParentName = "" }},
		"other cluster": {clone, func(o *disk.CreateOptions) { o.Options = map[string]string{"clusterSize": "8K"} }},
		"other split":   {clone, func(o *disk.CreateOptions) { o.Size, o.Options = 4<<20, map[string]string{"split": "1M"} }},
		"other format":  {clone, func(o *disk.CreateOptions) { o.Parent = anyImage{p} }},
	} {
		o := disk.CreateOptions{FS: m, Formats: formats, Format: "parallels", Parent: p, ParentName: "../" + web}
		c.change(&o)
		img, err := disk.Create(c.file, o)
		if err == nil {
			mustClose(t, img)
		}
		if usage := (*disk.UsageError)(nil); !errors.As(err, &usage) && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
		if len(m.Names()) != 2 {
			t.Errorf("%s left %q", name, m.Names())
		}
	}
}

// anyImage is an image of no format.
type anyImage struct{ disk.Image }

// A parent that has taken a snapshot since is still read as it was, and is told from
// one that is as it was.
func TestAParentThatHasGoneOn(t *testing.T) {
	m := memfs.New()
	makeBundle(t, m, web, "abcd", disk.CreateOptions{})
	above(t, m, clone, web, "../"+web, "A...")
	img := mustOpen(t, m, web, disk.Options{Write: true})
	take(t, img)
	write(t, img, "1234")
	mustClose(t, img)
	reads(t, m, clone, "", "Abcd")
	img = mustOpen(t, m, clone, disk.Options{})
	defer mustClose(t, img)
	if i := disk.Describe(disk.Parent(img)); len(i.Details) != 1 || i.Details[0].Name != "opened shot" {
		t.Errorf("the parent is described as %+v", i)
	}
}

func TestAChildKeepsItsOwnSnapshots(t *testing.T) {
	m := memfs.New()
	makeBundle(t, m, web, "abcd", disk.CreateOptions{})
	makeBundle(t, m, "other.hdd/DiskDescriptor.xml", "abcd", disk.CreateOptions{})
	above(t, m, clone, web, "../"+web, "A...")
	img := mustOpen(t, m, clone, disk.Options{Write: true})
	id := take(t, img)
	write(t, img, ".B..")
	inherited := ""
	for _, s := range img.(disk.Snapshotter).Snapshots() {
		if !s.Current && (s.ID != id || s.Parent != "") {
			inherited = s.ID
		}
	}
	if inherited != "" {
		t.Errorf("the parent's state %s is listed", inherited)
	}
	other := mustOpen(t, m, "other.hdd/DiskDescriptor.xml", disk.Options{})
	if err := img.(disk.Reparenter).SetParent(other, "../other.hdd/DiskDescriptor.xml", "parallels"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("another parent below snapshots: %v", err)
	}
	mustClose(t, img)
	reads(t, m, clone, "", "ABcd")
	reads(t, m, clone, id, "Abcd")

	img = mustOpen(t, m, clone, disk.Options{Write: true, Alone: true}) // it was moved
	if err := img.(disk.Reparenter).SetParent(other, "../other.hdd/DiskDescriptor.xml", "parallels"); err != nil {
		t.Error(err)
	}
	mustClose(t, other)
	mustClose(t, img)
	if text := string(m.Bytes(clone)); strings.Contains(text, "web.hdd") || !strings.Contains(text, "../other.hdd/") {
		t.Errorf("the descriptor is\n%s", text)
	}
	reads(t, m, clone, id, "Abcd")
	img = mustOpen(t, m, clone, disk.Options{Write: true})
	if err := drop(img, id); err != nil {
		t.Error(err)
	}
	if err := drop(img, guidBase); err == nil {
		t.Error("a state that is not there was dropped")
	}
	mustClose(t, img)
	reads(t, m, clone, "", "ABcd")
}

// Opened without its parent, a bundle still tells what it lacks from what is zero.
func TestZerosAloneHideTheParent(t *testing.T) {
	m := memfs.New()
	makeBundle(t, m, web, "abcd", disk.CreateOptions{})
	above(t, m, clone, web, "../"+web, "A...")
	img := mustOpen(t, m, clone, disk.Options{Write: true, Alone: true})
	write(t, img, ".0\x00.")
	if _, err := img.(disk.Compacter).Compact(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("compacting: %v", err)
	}
	mustClose(t, img)
	reads(t, m, clone, "", "A..d")
}

func TestSplitBundlesGrowByParts(t *testing.T) {
	for _, variant := range []string{"parallels", "parallels:plain"} {
		m := memfs.New()
		img, err := disk.Create(web, disk.CreateOptions{FS: m, Formats: formats, Format: variant, Size: 3 << 19, Options: map[string]string{"split": "1M"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := disk.Resize(img, 7<<19); err != nil {
			t.Fatal(err)
		}
		if i := disk.Describe(img); i.Size != 7<<19 || len(i.Files) != 4 {
			t.Errorf("%s: described as %+v", variant, i)
		}
		if _, err := img.(disk.Writer).WriteAt([]byte("end"), 7<<19-3); err != nil {
			t.Error(err)
		}
		mustClose(t, img)
		img = mustOpen(t, m, web, disk.Options{Write: true})
		if err := disk.Resize(img, 2<<50); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: too many parts: %v", variant, err)
		}
		if err := disk.Resize(img, 1<<20); err != nil || len(m.Names()) != 2 {
			t.Errorf("%s: cut to %q, %v", variant, m.Names(), err)
		}
		mustClose(t, img)
		mustClose(t, mustOpen(t, m, web, disk.Options{}))
	}
}
