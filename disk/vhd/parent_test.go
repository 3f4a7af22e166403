package vhd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/memfs"
)

// child is a differencing image over plain: of its first block some sectors,
// of its second none, the third is missing.
func child() built {
	return built{
		kind: 4, current: 12 << 10, id: 0x22, block: 4096, parent: 0x11,
		blocks: []*blockOf{{[]byte{0b10100001}, sectors(21, 22, 23, 24, 25, 26, 27, 28)}, {[]byte{0}, sectors(99, 99, 99, 99, 99, 99, 99, 99)}, nil},
	}
}

func childContent() []byte {
	content := plainContent()
	copy(content[0:], sectors(21))
	copy(content[2*512:], sectors(23))
	copy(content[7*512:], sectors(28))
	return content
}

func TestParentLocators(t *testing.T) {
	for name, test := range map[string]struct {
		at       string // where the parent is
		locators []locatorOf
		name     []byte
		paths    []string // what is described
	}{
		"relative":                   {at: "vm/base.vhd", locators: []locatorOf{{"W2ru", utf16le(`.\base.vhd`)}}, paths: []string{`.\base.vhd`, "base.vhd"}},
		"relative, above":            {at: "base.vhd", locators: []locatorOf{{"W2ru", utf16le(`..\base.vhd`)}}},
		"relative, big-endian":       {at: "vm/base.vhd", locators: []locatorOf{{"W2ru", utf16be(`.\base.vhd`)}}, paths: []string{`.\base.vhd`, "base.vhd"}},
		"with a mark":                {at: "vm/base.vhd", locators: []locatorOf{{"W2ru", append([]byte{0xfe, 0xff}, utf16be(`.\base.vhd`)...)}}, paths: []string{`.\base.vhd`, "base.vhd"}},
		"absolute":                   {at: "disks/base.vhd", locators: []locatorOf{{"W2ku", utf16le(`C:\disks\base.vhd`)}}, paths: []string{`C:\disks\base.vhd`, "base.vhd"}},
		"absolute, of another place": {at: "vm/base.vhd", locators: []locatorOf{{"W2ku", utf16le(`D:\elsewhere\base.vhd`)}}},
		"relative before absolute": {
			at: "vm/base.vhd", locators: []locatorOf{{"W2ku", utf16le(`C:\x\y.vhd`)}, {"W2ru", utf16le("base.vhd")}},
			paths: []string{"base.vhd", `C:\x\y.vhd`, "y.vhd"},
		},
		"deprecated":           {at: "vm/base.vhd", locators: []locatorOf{{"Wi2r", []byte(`.\base.vhd`)}}, paths: []string{`.\base.vhd`, "base.vhd"}},
		"deprecated, absolute": {at: "d/base.vhd", locators: []locatorOf{{"Wi2k", []byte(`C:\d\base.vhd` + "\x00")}}},
		"Mac OS X":             {at: "d/my base.vhd", locators: []locatorOf{{"MacX", []byte("file:///d/my%20base.vhd")}}, paths: []string{"/d/my base.vhd", "my base.vhd"}},
		"XenServer":            {at: "vm/base.vhd", locators: []locatorOf{{"MacX", []byte("file://./base.vhd")}}, paths: []string{"./base.vhd", "base.vhd"}},
		"XenServer, escaped":   {at: "vm/a b.vhd", locators: []locatorOf{{"MacX", []byte("file://./a%20b.vhd")}}},
		"alias record":         {at: "vm/base.vhd", locators: []locatorOf{{"Mac ", []byte("\x00\x01binary")}, {"W2ru", utf16le("base.vhd")}}, paths: []string{"base.vhd"}},
		"name alone":           {at: "vm/base.vhd", name: utf16be("base.vhd"), paths: []string{"base.vhd"}},
		"name, little-endian":  {at: "vm/base.vhd", name: utf16le("base.vhd"), paths: []string{"base.vhd"}},
		"name with a path":     {at: "vm/base.vhd", name: utf16be(`C:\old\base.vhd`)},
		"other letters":        {at: "vm/основа.vhd", locators: []locatorOf{{"W2ru", utf16le(`.\основа.vhd`)}}, paths: []string{`.\основа.vhd`, "основа.vhd"}},
		"renamed":              {at: "vm/renamed.vhd", locators: []locatorOf{{"W2ru", utf16le(`.\base.vhd`)}}},
		"nothing at all":       {at: "vm/base.vhd"},
	} {
		t.Run(name, func(t *testing.T) {
			b := child()
			b.locators, b.name = test.locators, test.name
			files := map[string][]byte{"vm/child.vhd": b.bytes(), test.at: plain().bytes(), "vm/noise": []byte("noise"), "vm/other.vhd": built{kind: 3, id: 9, block: 4096, current: 4096, blocks: make([]*blockOf, 1)}.bytes()}
			img, err := openBuilt(t, files, "vm/child.vhd", disk.Options{Write: true})
			if err != nil {
				t.Fatal(err)
			}
			disktest.Holds(t, img, childContent())
			info := disk.Describe(img)
			if info.Variant != "differencing" || info.Parent == nil || info.Parent.UUID != uuidOf(0x11) {
				t.Errorf("described as %+v", info)
			}
			if have := append([]string{info.Parent.Name}, info.Parent.Others...); test.paths != nil && !slices.Equal(have, test.paths) {
				t.Errorf("paths %q, want %q", have, test.paths)
			}
		})
	}
}

func TestSectorsOfTheParent(t *testing.T) {
	fs := memfs.New()
	fs.Put("child.vhd", child().bytes())
	fs.Put("base.vhd", plain().bytes())
	img, err := disk.Open("child.vhd", disk.Options{FS: fs, Formats: formats, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	content := childContent()
	for i, do := range []func() error{
		func() error { clear(content[1000:1100]); return disk.Zero(img, 1000, 100) },
		func() error { clear(content[4096:9000]); return disk.Zero(img, 4096, 9000-4096) },
		func() error {
			copy(content[5000:], "hello")
			_, err := img.(disk.Writer).WriteAt([]byte("hello"), 5000)
			return err
		},
		func() error { return img.(disk.Writer).Sync() },
		func() error { content = content[:9216]; return disk.Resize(img, 9216) },
		func() error { content = append(content, make([]byte, 8192)...); return disk.Resize(img, 9216+8192) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		disktest.Holds(t, img, content)
		disktest.Sound(t, img, disk.Leak)
		t.Logf("step %d", i)
	}
	disktest.Scribble(t, img, content, 3)
	disktest.Finish(t, img)
	if img, err = disk.Open("child.vhd", disk.Options{FS: fs, Formats: formats}); err != nil {
		t.Fatal(err)
	}
	disktest.Holds(t, img, content)
	disktest.Finish(t, img)
	if !bytes.Equal(fs.Bytes("base.vhd"), plain().bytes()) {
		t.Error("the parent was changed")
	}
}

func TestWrongParent(t *testing.T) {
	b := child()
	other := plain()
	other.id = 0x77
	for name, locators := range map[string][]locatorOf{
		"one place":            {{"W2ru", utf16le("base.vhd")}},
		"one of several":       {{"W2ku", utf16le(`C:\elsewhere\parent.vhd`)}, {"W2ru", utf16le("base.vhd")}},
		"beside another place": {{"W2ku", utf16le(`C:\elsewhere\base.vhd`)}},
	} {
		b.locators = locators
		_, err := openBuilt(t, map[string][]byte{"child.vhd": b.bytes(), "base.vhd": other.bytes()}, "child.vhd", disk.Options{})
		if !errors.Is(err, disk.ErrWrongParent) || errors.Is(err, disk.ErrNoParent) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error %v", name, err)
		}
		for _, part := range []string{uuidOf(0x11), uuidOf(0x77), "base.vhd"} {
			if !strings.Contains(fmt.Sprint(err), part) {
				t.Errorf("%s: the error does not say %s: %v", name, part, err)
			}
		}
	}
	_, err := openBuilt(t, map[string][]byte{"child.vhd": b.bytes()}, "child.vhd", disk.Options{})
	if !errors.Is(err, disk.ErrNoParent) {
		t.Errorf("error %v", err)
	}
	b.parent, b.id = 0x33, 0x33
	_, err = openBuilt(t, map[string][]byte{"base.vhd": b.bytes()}, "base.vhd", disk.Options{})
	if err == nil {
		t.Error("an image that is its own parent was opened")
	}
}

func TestAFixedDiskHasASector(t *testing.T) {
	o := disk.CreateOptions{FS: memfs.New(), Formats: formats, Format: "vhd:fixed"}
	var usage *disk.UsageError
	if _, err := disk.Create("a.vhd", o); !errors.As(err, &usage) {
		t.Errorf("of no bytes: %v", err)
	}
	if _, err := disk.NewStream(io.Discard, o); !errors.As(err, &usage) {
		t.Errorf("of no bytes, to a pipe: %v", err)
	}
	o.Size = 1 << 20
	img, err := disk.Create("a.vhd", o)
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Resize(img, 0); !errors.As(err, &usage) {
		t.Errorf("resized to no bytes: %v", err)
	}
	disktest.Finish(t, img)
}

func TestParentOfAnotherFormatIsRefused(t *testing.T) {
	fs := memfs.New()
	_, err := disk.Create("c.vhd", disk.CreateOptions{FS: fs, Formats: formats, Format: "vhd", Parent: plainImage{}, ParentName: "p"})
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}

// plainImage is a disk of no format.
type plainImage struct{}

func (plainImage) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }
func (plainImage) Size() int64                           { return 1 << 20 }
func (plainImage) Close() error                          { return nil }

func TestSetNoParentKeepsTheContent(t *testing.T) {
	fs := memfs.New()
	fs.Put("child.vhd", child().bytes())
	fs.Put("base.vhd", plain().bytes())
	img, err := disk.Open("child.vhd", disk.Options{FS: fs, Formats: formats, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	content := childContent()
	if _, err := img.(disk.Writer).WriteAt(content, 0); err != nil { // all of it is the child's own now
		t.Fatal(err)
	}
	if err := img.(disk.Reparenter).SetParent(nil, "", ""); err != nil {
		t.Fatal(err)
	}
	disktest.Finish(t, img)
	if img, err = disk.Open("child.vhd", disk.Options{FS: fs, Formats: formats}); err != nil {
		t.Fatal(err)
	}
	if info := disk.Describe(img); info.Parent != nil || info.Variant != "dynamic" {
		t.Errorf("described as %+v", info)
	}
	disktest.Holds(t, img, content)
	disktest.Sound(t, img, disk.Leak)
	disktest.Finish(t, img)
}
