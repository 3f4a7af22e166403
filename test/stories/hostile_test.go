package stories

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha1" //nolint:gosec // the checksum of an XVA
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// hostile makes a folder of a name with something in it that means harm, and
// puts the path of what is to be imported into THING.
func hostile(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "hostile NAME")
	attack, found := attacks[args[0]]
	if !found {
		ts.Fatalf("there is no attack %s; there are %s", args[0], slices.Sorted(maps.Keys(attacks)))
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	name, err := attack(dir)
	ts.Check(err)
	ts.Setenv("THING", filepath.Join(dir, name))
}

// same imports a thing and compares the disk of the machine with seed.raw: qemu-img
// says whether they are equal.
func same(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "same THING")
	ts.Check(ts.Exec("panal", "import", args[0], "--name", "same"))
	disk := filepath.Join(worldOf(ts).home.Data, "machines", "same", "disks", "disk0.qcow2")
	ts.Check(ts.Exec("qemu-img", "compare", "-f", "qcow2", "-F", "raw", disk, ts.MkAbs("seed.raw")))
	ts.Check(ts.Exec("panal", "delete", "same"))
}

// attacks make files in a folder, and tell what of it is to be imported.
var attacks = map[string]func(dir string) (string, error){
	"absolute member":      members(plain("/etc/panal-was-here", "x")),
	"member upwards":       members(plain("a/../../panal-was-here", "x")),
	"symbolic link":        members(odd(tar.Header{Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})),
	"hard link":            members(odd(tar.Header{Typeflag: tar.TypeLink, Linkname: "web.ovf"})),
	"device":               members(odd(tar.Header{Typeflag: tar.TypeBlock, Devmajor: 8})),
	"pipe in an archive":   members(odd(tar.Header{Typeflag: tar.TypeFifo})),
	"member twice":         members(plain("disk.img", "x"), plain("./DISK.img", "y")),
	"member cut off":       members(odd(tar.Header{Size: 1 << 50, Format: tar.FormatGNU})),
	"a million members":    manyMembers,
	"endless gzip":         endlessGzip,
	"endless archive":      endlessArchive,
	"entity bomb":          description(`<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>` + envelope(`ovf:href="disk.img"`, "&c;", "")),
	"external entity":      description(`<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>` + envelope(`ovf:href="disk.img"`, "&a;", "")),
	"deep nesting":         description(strings.Repeat("<a>", 1<<20)),
	"deep collections":     description(strings.Replace(envelope(`ovf:href="disk.img"`, "", ""), "<VirtualSystem ", strings.Repeat(`<VirtualSystemCollection ovf:id="c"><Info/>`, 100_000)+"<VirtualSystem ", 1)),
	"huge attribute":       description(envelope(`ovf:href="`+strings.Repeat("disk", 3<<20)+`"`, "", "")),
	"huge description":     description(envelope(`ovf:href="disk.img"`, strings.Repeat("long ", 4<<20), "")),
	"many items":           description(envelope(`ovf:href="disk.img"`, "", strings.Repeat(`<Item><rasd:InstanceID>9</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>`, 100_000))),
	"many disks":           manyDisks,
	"much memory":          description(envelope(`ovf:href="disk.img"`, "", `<Item><rasd:AllocationUnits>byte * 2^60</rasd:AllocationUnits><rasd:InstanceID>9</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>9223372036854775807</rasd:VirtualQuantity></Item>`)),
	"reference upwards":    description(envelope(`ovf:href="../../../../../../etc/passwd"`, "", "")),
	"absolute reference":   description(envelope(`ovf:href="/etc/passwd"`, "", "")),
	"reference to a URL":   description(envelope(`ovf:href="http://127.0.0.1:1/disk.img"`, "", "")),
	"reference to itself":  description(envelope(`ovf:href="web.ovf"`, "", "")),
	"a million parts":      description(envelope(`ovf:href="disk.img" ovf:chunkSize="1"`, "", "")),
	"ids twice":            idsTwice,
	"circle of parents":    circleOfParents,
	"link out":             beside(func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "disk.img")) }),
	"pipe":                 beside(func(dir string) error { return unix.Mkfifo(filepath.Join(dir, "disk.img"), 0o600) }),
	"folder as disk":       beside(func(dir string) error { return os.Mkdir(filepath.Join(dir, "disk.img"), 0o755) }),
	"manifest upwards":     withManifest("SHA256(../../../../../../etc/passwd)= " + strings.Repeat("0", 64)),
	"manifest without end": withManifest(strings.Repeat("SHA256(web.ovf)= "+strings.Repeat("0", 64)+"\n", 200_000)),
	"wrong digest":         withManifest(fmt.Sprintf("SHA256(disk.img)= %x", sha256.Sum256([]byte("another")))),
	"extent upwards":       withDisk("# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 1 FLAT \"../../../../../../etc/passwd\" 0\n"),
	"extent at a device":   withDisk("# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"fullDevice\"\nRW 1 FLAT \"/dev/zero\" 0\n"),
	"huge VMDK":            withDisk("KDMV\x01\x00\x00\x00\x03\x00\x00\x00" + strings.Repeat("\xff", 500)),
	"QCOW2 on itself":      withDisk(qcow2On("disk.img")),
	"QCOW2 on a secret":    withDisk(qcow2On("/etc/passwd")),
	"VirtualBox twice":     virtualBoxTwice,
	"thousand devices":     thousandDevices,
	"circle of snapshots":  circleOfSnapshots,
	"wrong checksum":       xva("x", strings.Repeat("0", 40)),
	"missing chunk":        xva("x", fmt.Sprintf("%x", sha1.Sum([]byte(strings.Repeat("x", 1<<20))))), //nolint:gosec // the format's
	"domain bomb":          text("web.xml", `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><domain type="kvm"><name>&a;</name></domain>`),
	"domain of disks":      text("web.xml", `<domain type="kvm"><name>web</name><memory>65536</memory><os><type arch="x86_64">hvm</type></os><devices>`+strings.Repeat(`<disk type="file" device="disk"><source file="x"/><target dev="sda"/></disk>`, 50_000)+`</devices></domain>`),
}

// envelope describes a machine with a disk, whose file has the attributes given,
// with more text and items.
func envelope(file, annotation, items string) string {
	return `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
<References><File ovf:id="f" ` + file + `/></References>
<DiskSection><Info/><Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="1048576"/></DiskSection>
<VirtualSystem ovf:id="web"><Info/><AnnotationSection><Info/><Annotation>` + annotation + `</Annotation></AnnotationSection><VirtualHardwareSection><Info/>` + items + `
<Item><rasd:ElementName>disk</rasd:ElementName><rasd:HostResource>ovf:/disk/d</rasd:HostResource><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>
</VirtualHardwareSection></VirtualSystem></Envelope>`
}

// text makes one file.
func text(name, content string) func(string) (string, error) {
	return func(dir string) (string, error) {
		return name, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644)
	}
}

// description makes a descriptor, and a disk that it may name.
func description(content string) func(string) (string, error) {
	return func(dir string) (string, error) {
		_, err := text("disk.img", strings.Repeat("d", 1<<20))(dir)
		if err != nil {
			return "", err
		}
		return text("web.ovf", content)(dir)
	}
}

// beside makes a sound descriptor, and lets something else make its disk.
func beside(disk func(dir string) error) func(string) (string, error) {
	return func(dir string) (string, error) {
		name, err := text("web.ovf", envelope(`ovf:href="disk.img"`, "", ""))(dir)
		return name, errors.Join(err, disk(dir))
	}
}

// withDisk makes a sound descriptor of a disk with some content.
func withDisk(content string) func(string) (string, error) {
	return beside(func(dir string) error { _, err := text("disk.img", content)(dir); return err })
}

// withManifest makes a sound folder with a manifest.
func withManifest(content string) func(string) (string, error) {
	return func(dir string) (string, error) {
		name, err := description(envelope(`ovf:href="disk.img"`, "", ""))(dir)
		if err == nil {
			_, err = text("web.mf", content)(dir)
		}
		return name, err
	}
}

// member is a member of an archive. Its header may lie about its content.
type member struct {
	tar.Header
	content string
}

// plain is a member that is what it says.
func plain(name, content string) member {
	return member{tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644}, content}
}

// odd is a member that is no file, or is longer than what follows.
func odd(h tar.Header) member {
	h.Name, h.Mode = "disk.img", 0o644
	return member{h, ""}
}

// members makes an archive of a sound descriptor and members.
func members(more ...member) func(string) (string, error) {
	return func(dir string) (string, error) {
		file, err := os.Create(filepath.Join(dir, "web.ova"))
		if err != nil {
			return "", err
		}
		for _, m := range append([]member{plain("web.ovf", envelope(`ovf:href="disk.img"`, "", ""))}, more...) {
			w := tar.NewWriter(file) // which does not notice that the one before was cut short
			err = errors.Join(err, w.WriteHeader(&m.Header))
			_, wrong := io.WriteString(w, m.content)
			err = errors.Join(err, wrong)
			if m.Size == int64(len(m.content)) {
				err = errors.Join(err, w.Flush())
			}
		}
		return "web.ova", errors.Join(err, file.Close())
	}
}

// manyMembers makes an archive of empty members.
func manyMembers(dir string) (string, error) {
	file, err := os.Create(filepath.Join(dir, "web.ova"))
	if err != nil {
		return "", err
	}
	w := tar.NewWriter(file)
	for n := range 200_000 {
		if err = w.WriteHeader(&tar.Header{Name: fmt.Sprint(n)}); err != nil {
			break
		}
	}
	return "web.ova", errors.Join(err, w.Close(), file.Close())
}

// endlessGzip makes a disk of a MiB, as it says, that becomes eight GiB.
func endlessGzip(dir string) (string, error) {
	file, err := os.Create(filepath.Join(dir, "disk.img"))
	if err != nil {
		return "", err
	}
	w := gzip.NewWriter(file)
	_, err = io.CopyN(w, zeros{}, 1<<30)
	if err = errors.Join(err, w.Close(), file.Close()); err != nil {
		return "", err
	}
	return text("web.ovf", envelope(`ovf:href="disk.img" ovf:compression="gzip"`, "", ""))(dir)
}

// endlessArchive makes a compressed archive that goes on with zeros.
func endlessArchive(dir string) (string, error) {
	name, err := members(odd(tar.Header{Size: 1 << 40, Format: tar.FormatGNU}))(dir)
	if err != nil {
		return "", err
	}
	start, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return "", err
	}
	file, err := os.Create(filepath.Join(dir, "web.ova.gz"))
	if err != nil {
		return "", err
	}
	w := gzip.NewWriter(file)
	_, err = w.Write(start)
	_, wrong := io.CopyN(w, zeros{}, 1<<30)
	return "web.ova.gz", errors.Join(err, wrong, w.Close(), file.Close())
}

// zeros are without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
