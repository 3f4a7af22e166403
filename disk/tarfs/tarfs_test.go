package tarfs_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/tarfs"
)

// member is a file of an archive.
type member struct {
	name, content string
	kind          byte
	records       map[string]string
}

func archive(t *testing.T, format tar.Format, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Size: int64(len(m.content)), Mode: 0o600, Typeflag: tar.TypeReg, Format: format, PAXRecords: m.records}
		if m.kind != 0 {
			h.Typeflag, h.Linkname = m.kind, "target"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func over(archives map[string][]byte) (*tarfs.FS, *memfs.FS) {
	m := memfs.New()
	for name, p := range archives {
		m.Put(name, p)
	}
	return tarfs.Over(m), m
}

func content(t *testing.T, fs disk.FS, name string) string {
	t.Helper()
	f, err := fs.Open(name, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	n, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	p, err := io.ReadAll(io.NewSectionReader(f, 0, n))
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func TestMembersAreReadInPlace(t *testing.T) {
	long := strings.Repeat("directory/", 30) + "disk.vmdk"
	for name, format := range map[string]tar.Format{"PAX": tar.FormatPAX, "GNU": tar.FormatGNU} {
		t.Run(name, func(t *testing.T) {
			p := archive(t, format, member{name: "./a.ovf", content: "<Envelope/>"}, member{name: long, content: "long"}, member{name: "d", kind: tar.TypeDir},
				member{name: "link", kind: tar.TypeSymlink}, member{name: "disk1.vmdk", content: "first"}, member{name: "disk1.vmdk", content: "second"})
			fs, _ := over(map[string][]byte{"x/app.ova": p, "x/plain": []byte("plain")})
			for name, want := range map[string]string{
				"x/app.ova/a.ovf": "<Envelope/>", "x/app.ova/" + long: "long", "x/app.ova/disk1.vmdk": "first",
				"x/app.ova": string(p), "x/plain": "plain",
			} {
				if have := content(t, fs, name); have != want {
					t.Errorf("%s is %q", name, have)
				}
			}
		})
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	p := archive(t, tar.FormatPAX, member{name: "a.vmdk.gz", content: "\x1f\x8b"}, member{name: "../up", content: "u"}, member{name: "/abs", content: "u"}, member{name: "a", content: "a"})
	f, inner := over(map[string][]byte{"app.ova": p, "plain": []byte("plain"), "cut.ova": p[:700]})
	for name, want := range map[string]error{
		"app.ova/missing": fs.ErrNotExist, "plain/a": nil, "missing/a": fs.ErrNotExist,
		"app.ova/../up": fs.ErrNotExist, "app.ova//abs": fs.ErrNotExist, "app.ova/a.vmdk.gz": errors.ErrUnsupported, "cut.ova/a": nil,
	} {
		file, err := f.Open(name, false)
		if err == nil {
			_ = file.Close()
		}
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, file := range map[string]string{"plain/a": "plain", "plain/Ref:1": "plain", "plain/deep/er": "plain"} {
		_, err := f.Open(name, false)
		if want := "open " + name + ": " + file + " is neither a directory nor a tar archive, so there is nothing in it"; err == nil || err.Error() != want || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.Open("app.ova/a", true); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("opening for writing: %v", err)
	}
	if _, err := f.Create("app.ova/b"); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("creating: %v", err)
	}
	if err := f.Remove("app.ova/a"); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("removing: %v", err)
	}
	if len(inner.Names()) != 3 {
		t.Errorf("the files are now %v", inner.Names())
	}
}

func TestReferencesStayInTheArchive(t *testing.T) {
	p := archive(t, tar.FormatUSTAR, member{name: "a/b.vmdk", content: "b"}, member{name: "a/c.vmdk", content: "c"})
	f, _ := over(map[string][]byte{"x/app.ova": p, "x/y.vmdk": []byte("y")})
	for ref, want := range map[string]string{
		"c.vmdk": "x/app.ova/a/c.vmdk", `sub\c.vmdk`: "x/app.ova/a/sub/c.vmdk", "../d": "x/app.ova/d",
		`C:\disks\c.vmdk`: "x/app.ova/a/c.vmdk", "../../y.vmdk": "", "/etc/passwd": "", "": "",
	} {
		have, err := f.Resolve("x/app.ova/a/b.vmdk", ref)
		if have != want || (want == "") != errors.Is(err, disk.ErrOutside) {
			t.Errorf("%q leads to %q, %v", ref, have, err)
		}
	}
	if have, err := f.Resolve("x/y.vmdk", "app.ova/a/b.vmdk"); have != "x/app.ova/a/b.vmdk" || err != nil {
		t.Errorf("from outside it leads to %q, %v", have, err)
	}
	siblings, err := f.Siblings("x/app.ova/a/b.vmdk")
	if err != nil || strings.Join(siblings, " ") != "x/app.ova/a/c.vmdk" {
		t.Errorf("siblings are %v, %v", siblings, err)
	}
	siblings, err = f.Siblings("x/y.vmdk")
	if err != nil || strings.Join(siblings, " ") != "x/app.ova" {
		t.Errorf("of a file, siblings are %v, %v", siblings, err)
	}
}

// hugeMember is an archive with a member beyond 8 GiB and one after it.
func hugeMember(t *testing.T, format tar.Format) *memfs.FS {
	t.Helper()
	const size = 9 << 30
	m := memfs.New()
	f, err := m.Create("app.ova")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "huge", Size: size, Typeflag: tar.TypeReg, Format: format}); err != nil {
		t.Fatal(err)
	}
	at := int64(b.Len())
	if _, err := f.WriteAt(b.Bytes(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("end"), at+size-3); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(archive(t, format, member{name: "after", content: "it"}), at+size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMembersBeyondEightGiB(t *testing.T) {
	for name, format := range map[string]tar.Format{"PAX sizes": tar.FormatPAX, "GNU base-256 sizes": tar.FormatGNU} {
		t.Run(name, func(t *testing.T) {
			fs := tarfs.Over(hugeMember(t, format))
			f, err := fs.Open("app.ova/huge", false)
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 5)
			if n, err := f.ReadAt(p, 9<<30-3); n != 3 || err != io.EOF || string(p[:n]) != "end" {
				t.Errorf("its end is %q, %v", p[:n], err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if have := content(t, fs, "app.ova/after"); have != "it" {
				t.Errorf("behind it is %q", have)
			}
		})
	}
}

func TestADiskOfAnXVAIsSelected(t *testing.T) {
	p := archive(t, tar.FormatUSTAR, member{name: "ova.xml", content: "<value/>"}, member{name: "Ref:12/00000000", content: "chunk"})
	f, _ := over(map[string][]byte{"vm.xva": p, "vm.xva.gz": {0x1f, 0x8b, 8}})
	for _, name := range []string{"vm.xva", "vm.xva.gz"} {
		file, err := f.Open(name+"/Ref:12", false)
		if err != nil {
			t.Fatal(err)
		}
		s, ok := file.(interface{ Selection() string })
		if !ok || s.Selection() != "Ref:12" {
			t.Errorf("%s: %T", name, file)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	if have := content(t, f, "vm.xva/Ref:12/00000000"); have != "chunk" {
		t.Errorf("a chunk is %q", have)
	}
}

func TestCorpusOfAppliances(t *testing.T) {
	found := 0
	for _, c := range disktest.CorpusFiles(t, "ova") {
		if filepath.Ext(c.Path) != ".ova" {
			continue
		}
		host, err := hostfs.Beside(c.Path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := host.Open(c.Path, false)
		if err != nil {
			t.Fatal(err)
		}
		members, err := tarfs.Members(f)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Logf("%s: %v", c.Name, err)
			continue
		}
		found += len(members)
		for _, m := range members {
			if have := content(t, tarfs.Over(host), c.Path+"/"+m.Name); int64(len(have)) != m.Size {
				t.Errorf("%s/%s has %d bytes of %d", c.Name, m.Name, len(have), m.Size)
			}
		}
	}
	if found == 0 {
		t.Error("no member of any appliance was found")
	}
}

func FuzzMembers(f *testing.F) {
	var t testing.T
	f.Add(archive(&t, tar.FormatPAX, member{name: strings.Repeat("n", 200), content: "a"}))
	f.Add(archive(&t, tar.FormatGNU, member{name: strings.Repeat("n", 200), content: "a"}, member{name: "b", content: "b"}))
	f.Fuzz(func(t *testing.T, p []byte) {
		fs, _ := over(map[string][]byte{"a.ova": p})
		file, err := fs.Open("a.ova", false)
		if err != nil {
			t.Fatal(err)
		}
		members, err := tarfs.Members(file)
		if err != nil {
			return
		}
		for _, m := range members {
			if opened, err := fs.Open("a.ova/"+m.Name, false); err == nil {
				if n, _ := opened.Size(); n < 0 || n > int64(len(p)) {
					t.Errorf("%q has %d bytes", m.Name, n)
				}
			}
		}
	})
}
