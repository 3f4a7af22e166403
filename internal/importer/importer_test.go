package importer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1" //nolint:gosec // the checksum of an XVA
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/importer"
	"github.com/panalvm/panal/internal/problem"
)

// folder writes files of the names and contents given, and returns where.
func folder(t *testing.T, pairs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(pairs); i += 2 {
		path := filepath.Join(dir, filepath.FromSlash(pairs[i]))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(pairs[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// archive puts files into a tar archive, in their order.
func archive(t *testing.T, pairs ...string) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(pairs); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: pairs[i], Size: int64(len(pairs[i+1])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(pairs[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// descriptor describes a machine with one disk, of a file with the attributes given.
func descriptor(file string, size int) string {
	return fmt.Sprintf(`<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
<References><File ovf:id="f" %s/></References>
<DiskSection><Info/><Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="%d"/></DiskSection>
<VirtualSystem ovf:id="vm"><Info/><VirtualHardwareSection><Info/>
<Item><rasd:ElementName>disk</rasd:ElementName><rasd:HostResource>ovf:/disk/d</rasd:HostResource><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>
</VirtualHardwareSection></VirtualSystem></Envelope>`, file, size)
}

// content is 64 KiB that are like nothing else.
var content = strings.Repeat("what is on the disk, ", 64<<10/16)[:64<<10]

// holds checks that the only disk of a source has the content.
func holds(t *testing.T, path string) {
	t.Helper()
	s, err := importer.Open(path, appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	img, err := s.Image(context.Background(), s.Appliance.Machines[0].Disks[0], t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	got := make([]byte, img.Size())
	if _, err := img.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if string(got) != content {
		t.Errorf("the disk holds %.40q… of %d bytes", got, len(got))
	}
}

func TestContentIsFoundHoweverItIsKept(t *testing.T) {
	plain, zippedDisk := descriptor(`ovf:href="d.img"`, len(content)), descriptor(`ovf:href="d.img" ovf:compression="gzip"`, len(content))
	parts := descriptor(`ovf:href="d.img" ovf:chunkSize="40000"`, len(content))
	both := descriptor(`ovf:href="d.img" ovf:chunkSize="100" ovf:compression="gzip"`, len(content))
	z := zipped(t, content)
	var pieces []string
	for i := 0; i*100 < len(z); i++ {
		pieces = append(pieces, fmt.Sprintf("d.img.%09d", i), z[i*100:min(len(z), i*100+100)])
	}
	for name, files := range map[string][]string{
		"plain":      {"a.ovf", plain, "d.img", content},
		"compressed": {"a.ovf", zippedDisk, "d.img", z},
		"in parts":   {"a.ovf", parts, "d.img.000000000", content[:40000], "d.img.000000001", content[40000:]},
		"both":       append([]string{"a.ovf", both}, pieces...),
	} {
		t.Run(name+" in a folder", func(t *testing.T) { holds(t, folder(t, files...)) })
		t.Run(name+" in an archive", func(t *testing.T) {
			holds(t, filepath.Join(folder(t, "a.ova", archive(t, files...)), "a.ova"))
		})
	}
}

// export is an XVA with one disk.
func export(t *testing.T) string {
	t.Helper()
	disk := content + strings.Repeat("\x00", 1<<20-len(content))
	sum := sha1.Sum([]byte(disk)) //nolint:gosec // the format's
	return exportOf(t, len(content), "Ref:2/00000000", disk, "Ref:2/00000000.checksum", hex.EncodeToString(sum[:]))
}

// exportOf is an XVA with one disk of a size, and members behind its description.
func exportOf(t *testing.T, size int, members ...string) string {
	t.Helper()
	object := func(class, id, fields string) string {
		return "<value><struct><member><name>class</name><value>" + class + "</value></member><member><name>id</name><value>" + id +
			"</value></member><member><name>snapshot</name><value><struct>" + fields + "</struct></value></member></struct></value>"
	}
	field := func(name, text string) string {
		return "<member><name>" + name + "</name><value>" + text + "</value></member>"
	}
	return archive(t, append([]string{"ova.xml", "<value><struct><member><name>objects</name><value><array><data>" +
		object("VM", "Ref:0", field("name_label", "xen")) +
		object("VBD", "Ref:1", field("VM", "Ref:0")+field("VDI", "Ref:2")+field("userdevice", "0")+field("type", "Disk")) +
		object("VDI", "Ref:2", field("virtual_size", fmt.Sprint(size))) + "</data></array></value></member></struct></value>"}, members...)...)
}

func TestAnExportOfXenServerIsRead(t *testing.T) {
	whole := export(t)
	holds(t, filepath.Join(folder(t, "a.xva", whole), "a.xva"))
	holds(t, filepath.Join(folder(t, "a.xva.gz", zipped(t, whole)), "a.xva.gz"))
}

func TestWhatIsInNoDescriptionIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		path  string
		want  string
	}{
		"nothing there":      {nil, "gone.ova", "no such file or folder"},
		"an empty folder":    {nil, "", "no description of a machine in it"},
		"two descriptions":   {[]string{"a.ovf", "", "b.ovf", ""}, "", "2 descriptions of machines in it: a.ovf, b.ovf"},
		"no envelope":        {[]string{"a.ovf", "<a/>"}, "", "a.ovf: "},
		"no archive":         {[]string{"a.ova", "hello"}, "a.ova", "a.ova: "},
		"an archive of none": {[]string{"a.ova", "" + strings.Repeat("\x00", 10240)}, "a.ova", "no descriptor"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := importer.Open(filepath.Join(folder(t, c.files...), c.path), appliance.Choices{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if p := problem.Of(err); p.Kind == api.KindInternal {
				t.Errorf("%v is taken for our own fault", err)
			}
		})
	}
}

func TestAPipeIsNotWaitedFor(t *testing.T) {
	for _, name := range []string{"a.ovf", "a.vmx", "a.ova", "a.xva", "a.xml"} {
		path := filepath.Join(t.TempDir(), name)
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := importer.Open(path, appliance.Choices{}); err == nil || !strings.Contains(err.Error(), "neither a file") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	dir := folder(t, "a.ovf", descriptor(`ovf:href="d.img"`, len(content)), "d.img", content)
	if err := syscall.Mkfifo(filepath.Join(dir, "a.mf"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := importer.Open(dir, appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Verify(context.Background(), importer.Trust{}); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("got %v", err)
	}
}

func TestContentThatCannotBeHadIsRefused(t *testing.T) {
	bomb := zipped(t, strings.Repeat("\x00", 200<<20))
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"outside":   {[]string{"a.ovf", descriptor(`ovf:href="../secret.img"`, 512), "x", ""}, "is outside"},
		"elsewhere": {[]string{"a.ovf", descriptor(`ovf:href="http://example.org/d.img"`, 512)}, "lies elsewhere, at http://example.org/d.img"},
		"missing":   {[]string{"a.ovf", descriptor(`ovf:href="d.img"`, 512)}, "d.img"},
		"no gzip":   {[]string{"a.ovf", descriptor(`ovf:href="d.img" ovf:compression="gzip"`, 512), "d.img", "hello"}, "gzip"},
		"other zip": {[]string{"a.ovf", descriptor(`ovf:href="d.img" ovf:compression="xz"`, 512), "d.img", "hello"}, `compressed by "xz"`},
		"part gone": {
			[]string{"a.ovf", descriptor(`ovf:href="d.img" ovf:chunkSize="512"`, 2048), "d.img.000000000", content[:512], "d.img.000000002", content[:512]},
			"its part d.img.000000001 is not there",
		},
		"part short": {
			[]string{"a.ovf", descriptor(`ovf:href="d.img" ovf:chunkSize="512"`, 1024), "d.img.000000000", content[:500], "d.img.000000001", content[:512]},
			"its part d.img.000000000 has 500 bytes, and the description says 512",
		},
		"end gone": {
			[]string{"a.ovf", descriptor(`ovf:href="d.img" ovf:chunkSize="512" ovf:size="1536"`, 1536), "d.img.000000000", content[:512], "d.img.000000001", content[:512]},
			"1024 bytes together, and the description says 1536: d.img.000000002 is not there",
		},
		"part gone in an archive": {
			[]string{"a.ova", archive(t, "a.ovf", descriptor(`ovf:href="d.img" ovf:chunkSize="512"`, 2048), "d.img.000000000", content[:512], "d.img.000000003", content[:512])},
			"its part d.img.000000001 is not there",
		},
		"endless zip": {[]string{"a.ovf", descriptor(`ovf:href="d.img" ovf:compression="gzip"`, 512), "d.img", bomb}, "there is more of it than"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := importer.Open(folder(t, c.files...), appliance.Choices{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			img, err := s.Image(context.Background(), s.Appliance.Machines[0].Disks[0], t.TempDir())
			if err == nil {
				img.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestALinkOutOfTheFolderIsNotFollowed(t *testing.T) {
	secret := filepath.Join(folder(t, "secret.img", content), "secret.img")
	dir := folder(t, "a.ovf", descriptor(`ovf:href="d.img" ovf:compression="gzip"`, 512))
	if err := os.Symlink(secret, filepath.Join(dir, "d.img")); err != nil {
		t.Fatal(err)
	}
	s, err := importer.Open(dir, appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Image(context.Background(), s.Appliance.Machines[0].Disks[0], t.TempDir()); err == nil || !strings.Contains(err.Error(), "link that leads out") {
		t.Errorf("got %v", err)
	}
}

func TestADiskIsNoLinkOutOfTheFolder(t *testing.T) {
	outside := folder(t, "secret.img", content)
	for name, link := range map[string][2]string{"the file": {"d.img", "secret.img"}, "its folder": {"sub", ""}} {
		href := map[string]string{"the file": "d.img", "its folder": "sub/secret.img"}[name]
		dir := folder(t, "a.ovf", descriptor(`ovf:href="`+href+`"`, len(content)))
		if err := os.Symlink(filepath.Join(outside, link[1]), filepath.Join(dir, link[0])); err != nil {
			t.Fatal(err)
		}
		s, err := importer.Open(dir, appliance.Choices{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, _, err := s.Look(context.Background(), s.Appliance.Machines[0].Disks[0], t.TempDir()); err == nil || !strings.Contains(err.Error(), "link that leads out") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestADiskElsewhereHasToBeAllowed(t *testing.T) {
	elsewhere := folder(t, "d.img", content)
	dir := folder(t, "a.xml", `<domain><name>a</name><devices><disk type="file"><source file="`+elsewhere+`/d.img"/><target dev="sda"/></disk></devices></domain>`)
	look := func(allowed ...string) error {
		s, err := importer.Open(filepath.Join(dir, "a.xml"), appliance.Choices{}, allowed...)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, _, err = s.Look(context.Background(), s.Appliance.Machines[0].Disks[0], t.TempDir())
		return err
	}
	if err := look(); err == nil || !strings.Contains(err.Error(), "lies elsewhere") {
		t.Errorf("got %v", err)
	}
	if err := look(filepath.Join(elsewhere, "sub")); err == nil {
		t.Error("another directory was allowed")
	}
	if err := look(elsewhere); err != nil {
		t.Error(err)
	}
}

func TestACancelEndsAVerification(t *testing.T) {
	dir := folder(t, "a.ovf", descriptor(`ovf:href="d.img"`, len(content)), "d.img", content, "a.mf", "SHA256(d.img)= "+strings.Repeat("0", 64)+"\n")
	s, err := importer.Open(dir, appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Verify(ctx, importer.Trust{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Verify(context.Background(), importer.Trust{}); err == nil || !strings.Contains(err.Error(), "d.img") {
		t.Errorf("got %v", err)
	}
}

// TestStatesAreNoDisks refuses what lies beside disks and has a disk's length, where nothing in it says that it is one.
func TestStatesAreNoDisks(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.VMRS", "a.vmem", "a.vmss", "a.sav", "a.nvram"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := importer.Open(path, appliance.Choices{}); err == nil || !strings.Contains(err.Error(), "and no disk") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
