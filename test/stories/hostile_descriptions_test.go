package stories

import (
	"archive/tar"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// idsTwice describes two files and two disks by the same ids.
func idsTwice(dir string) (string, error) {
	twice := strings.NewReplacer(
		`<File ovf:id="f" ovf:href="disk.img"/>`, `<File ovf:id="f" ovf:href="disk.img"/><File ovf:id="f" ovf:href="/etc/passwd"/>`,
		`<Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="1048576"/>`, `<Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="1048576"/><Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="99"/>`)
	return description(twice.Replace(envelope(`ovf:href="disk.img"`, "", "")))(dir)
}

// manyDisks describes more disks than there is room for.
func manyDisks(dir string) (string, error) {
	var disks, items strings.Builder
	for n := range 30_000 {
		fmt.Fprintf(&disks, `<Disk ovf:diskId="d%d" ovf:fileRef="f" ovf:capacity="1048576"/>`, n)
		fmt.Fprintf(&items, `<Item><rasd:HostResource>ovf:/disk/d%d</rasd:HostResource><rasd:InstanceID>%d</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>`, n, n+9)
	}
	return description(strings.Replace(envelope(`ovf:href="disk.img"`, "", items.String()), "<DiskSection><Info/>", "<DiskSection><Info/>"+disks.String(), 1))(dir)
}

// circleOfParents describes disks that stand on each other.
func circleOfParents(dir string) (string, error) {
	circle := strings.NewReplacer(`ovf:capacity="1048576"/>`, `ovf:capacity="1048576" ovf:parentRef="e"/><Disk ovf:diskId="e" ovf:fileRef="f" ovf:capacity="1048576" ovf:parentRef="d"/>`)
	return description(circle.Replace(envelope(`ovf:href="disk.img"`, "", "")))(dir)
}

// qcow2On is an image that is a difference to a file.
func qcow2On(parent string) string {
	head := make([]byte, 64<<10)
	copy(head, "QFI\xfb")
	for offset, value := range map[int]uint32{4: 2, 16: 512, 20: 16, 28: 1 << 20, 36: 1, 56: 1} {
		binary.BigEndian.PutUint32(head[offset:], value)
	}
	binary.BigEndian.PutUint64(head[8:], 512)
	binary.BigEndian.PutUint32(head[16:], uint32(len(parent))) //nolint:gosec // a short name
	binary.BigEndian.PutUint64(head[40:], 64<<10)
	binary.BigEndian.PutUint64(head[48:], 128<<10)
	copy(head[512:], parent)
	return string(head) + strings.Repeat("\x00", 192<<10)
}

// virtualBoxTwice has a medium whose child has its own identifier.
func virtualBoxTwice(dir string) (string, error) {
	return text("web.vbox", `<VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux"><Machine uuid="{1e5a4d3c-0000-4000-8000-000000000001}" name="web">
<MediaRegistry><HardDisks>`+strings.Repeat(`<HardDisk uuid="{d1}" location="../../../../etc/passwd" format="VDI">`, 5000)+strings.Repeat(`</HardDisk>`, 5000)+`</HardDisks></MediaRegistry>
<Hardware><StorageControllers><StorageController name="SATA" type="AHCI"><AttachedDevice type="HardDisk" port="0" device="0"><Image uuid="{d1}"/></AttachedDevice></StorageController></StorageControllers></Hardware>
</Machine></VirtualBox>`)(dir)
}

// thousandDevices has more of everything than a machine can have.
func thousandDevices(dir string) (string, error) {
	var config strings.Builder
	config.WriteString("displayName = \"web\"\nmemsize = \"64\"\n")
	for n := range 20_000 {
		fmt.Fprintf(&config, "ethernet%d.present = \"TRUE\"\nserial%d.present = \"TRUE\"\n", n, n)
		fmt.Fprintf(&config, "scsi%d.present = \"TRUE\"\nscsi%d:0.present = \"TRUE\"\nscsi%d:0.fileName = \"web.vmdk\"\n", n, n, n)
	}
	return text("web.vmx", config.String())(dir)
}

// circleOfSnapshots has snapshots of which each is the other's parent.
func circleOfSnapshots(dir string) (string, error) {
	_, err := text("web.vmsd", "snapshot.numSnapshots = \"2\"\nsnapshot0.uid = \"1\"\nsnapshot0.parent = \"2\"\nsnapshot1.uid = \"2\"\nsnapshot1.parent = \"1\"\n")(dir)
	if err != nil {
		return "", err
	}
	return text("web.vmx", "displayName = \"web\"\nmemsize = \"64\"\n")(dir)
}

// xva makes an export with a disk of two MiB, of which there is one chunk, with
// the checksum given.
func xva(content, checksum string) func(string) (string, error) {
	object := func(class, id, fields string) string {
		return "<value><struct><member><name>class</name><value>" + class + "</value></member><member><name>id</name><value>" + id +
			"</value></member><member><name>snapshot</name><value><struct>" + fields + "</struct></value></member></struct></value>"
	}
	field := func(name, text string) string {
		return "<member><name>" + name + "</name><value>" + text + "</value></member>"
	}
	head := plain("ova.xml", "<value><struct><member><name>objects</name><value><array><data>"+
		object("VM", "Ref:0", field("name_label", "xen")+field("memory_static_max", "67108864"))+
		object("VBD", "Ref:1", field("VM", "Ref:0")+field("VDI", "Ref:2")+field("userdevice", "0")+field("type", "Disk"))+
		object("VDI", "Ref:2", field("virtual_size", "2097152"))+"</data></array></value></member></struct></value>")
	all := []member{head, plain("Ref:2/00000000", strings.Repeat(content, 1<<20)), plain("Ref:2/00000000.checksum", checksum)}
	return func(dir string) (string, error) {
		file, err := os.Create(filepath.Join(dir, "web.xva"))
		if err != nil {
			return "", err
		}
		w := tar.NewWriter(file)
		for _, m := range all {
			wrong := w.WriteHeader(&m.Header)
			_, short := w.Write([]byte(m.content))
			err = errors.Join(err, wrong, short)
		}
		return "web.xva", errors.Join(err, w.Close(), file.Close())
	}
}
