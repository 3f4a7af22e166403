package parallels

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// descriptorName is what a bundle is opened by.
const descriptorName = "DiskDescriptor.xml"

// maxParts is how many parts a new disk may be split into: their descriptor
// stays well below what is read again.
const maxParts = 1024

// create makes an empty image.
func create(t *disk.Target) (disk.Image, error) {
	img, err := createAny(t)
	if err != nil {
		return nil, errors.Join(err, t.File.Close())
	}
	return img, nil
}

func createAny(t *disk.Target) (disk.Image, error) {
	if err := checkTarget(t); err != nil {
		return nil, err
	}
	if base(t.Name) == descriptorName {
		return wrap(createBundle(t))
	}
	return createFile(t, t.File, t.Size, true)
}

// checkTarget says what of a target cannot be.
func checkTarget(t *disk.Target) error {
	bundle := base(t.Name) == descriptorName
	switch cluster := t.Int(optionCluster); {
	case cluster&(cluster-1) != 0:
		return disk.Usage("option %s is %d; it must be a power of two", optionCluster, cluster)
	case t.On(optionBundle) && !bundle:
		return disk.Usage("a bundle is made by the name of its %s, as in disk.hdd/%s", descriptorName, descriptorName)
	case t.Text(optionBundle) == "off" && bundle:
		return disk.Usage("%s is the name of a bundle's descriptor; choose another", descriptorName)
	case t.Int(optionSplit) != 0 && !bundle:
		return disk.Usage("only a bundle can be split; make one by the name disk.hdd/%s", descriptorName)
	case t.Int(optionSplit)%sector != 0:
		return disk.Usage("option %s is not whole sectors", optionSplit)
	}
	return sizeFits(t.Size, max(t.Int(optionCluster), sector), t.Text(optionVersion) != layoutOld)
}

// base is the last part of a name, whatever separates them.
func base(name string) string { return name[strings.LastIndexAny(name, `/\`)+1:] }

// createFile makes an empty .hds.
func createFile(t *disk.Target, file disk.File, size int64, lone bool) (layer, error) {
	if t.Variant.Name == variantPlain {
		if err := file.Truncate(size); err != nil {
			return nil, err
		}
		if err := file.Sync(); err != nil {
			return nil, err
		}
		return openPlain(file, true, lone)
	}
	h := newHeader(t, size)
	if _, err := file.WriteAt(h.encode(), 0); err != nil {
		return nil, err
	}
	if err := file.Truncate(h.data()); err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	return openExpanding(file, true, nil)
}

// newHeader is the header of an empty image.
func newHeader(t *disk.Target, size int64) header {
	h := header{isNew: t.Text(optionVersion) != layoutOld, inUse: inUseClosed, tracks: uint32(t.Int(optionCluster) / sector)}
	h.setSize(size)
	h.dataOff = uint32(roundUp(h.tableEnd(), h.cluster()) / sector)
	return h
}

// createBundle makes the files of a bundle with one shot, and the descriptor
// last.
func createBundle(t *disk.Target) (_ *bundle, err error) {
	b := &bundle{file: t.File, shot: guidTop, write: true}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.closeParts())
		}
	}()
	step := t.Int(optionSplit)
	if step == 0 {
		step = max(t.Size, sector)
	}
	if ceilDiv(t.Size, step) > maxParts {
		return nil, disk.Usage("a disk of %d bytes in parts of %d would have more than %d files", t.Size, step, maxParts)
	}
	for start := int64(0); start < t.Size || start == 0; start += step {
		p, err := createPart(t, len(b.parts), start, min(t.Size, start+step))
		if err != nil {
			return nil, err
		}
		b.parts = append(b.parts, p)
	}
	text := b.descriptorText(t)
	if _, err := t.File.WriteAt(text, 0); err != nil {
		return nil, err
	}
	if err := t.File.Sync(); err != nil {
		return nil, err
	}
	root, err := parseElements(text)
	if err != nil {
		return nil, err
	}
	b.d, err = parseDescriptor(root)
	return b, err
}

func createPart(t *disk.Target, index int, start, end int64) (part, error) {
	stem := "disk.hdd"
	if dir := base(path.Dir(strings.ReplaceAll(t.Name, `\`, "/"))); dir != "." && dir != "" {
		stem = dir
	}
	p := part{start: start, end: end, path: fmt.Sprintf("%s.%d.{%s}.hds", stem, index, guidTop)}
	p.paths = []string{p.path}
	file, err := t.Sibling(p.path)
	if err != nil {
		return p, err
	}
	if p.top, err = createFile(t, file, end-start, false); err != nil {
		return p, errors.Join(err, file.Close())
	}
	return p, nil
}

// descriptorText is the descriptor of a new bundle.
func (b *bundle) descriptorText(t *disk.Target) []byte {
	var w bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&w, format+"\n", args...) }
	sectors := t.Size / sector
	kind := typeCompressed
	if t.Variant.Name == variantPlain {
		kind = typePlain
	}
	id := t.UUID
	if id == "" {
		id = uuid.NewString()
	}
	line("<?xml version='1.0' encoding='UTF-8'?>")
	line(`<Parallels_disk_image Version="1.0">`)
	line("    <Disk_Parameters>")
	line("        <Disk_size>%d</Disk_size>", sectors)
	line("        <Cylinders>%d</Cylinders>", sectors/(16*32))
	line("        <PhysicalSectorSize>4096</PhysicalSectorSize>")
	line("        <LogicSectorSize>512</LogicSectorSize>")
	line("        <Heads>16</Heads>")
	line("        <Sectors>32</Sectors>")
	line("        <Padding>0</Padding>")
	line("        <Encryption>")
	line("            <Engine>{%s}</Engine>", guidNone)
	line("            <Data></Data>")
	line("        </Encryption>")
	line("        <UID>{%s}</UID>", guid(id))
	line("        <Name>%s</Name>", escape(strings.TrimSuffix(base(b.parts[0].path), fmt.Sprintf(".0.{%s}.hds", guidTop))))
	line("    </Disk_Parameters>")
	line("    <StorageData>")
	for _, p := range b.parts {
		line("        <Storage>")
		line("            <Start>%d</Start>", p.start/sector)
		line("            <End>%d</End>", p.end/sector)
		line("            <Blocksize>%d</Blocksize>", max(t.Int(optionCluster)/sector, 1))
		line("            <Image>")
		line("                <GUID>{%s}</GUID>", guidTop)
		line("                <Type>%s</Type>", kind)
		line("                <File>%s</File>", escape(p.path))
		line("            </Image>")
		line("        </Storage>")
	}
	line("    </StorageData>")
	line("    <Snapshots>")
	line("        <Shot>")
	line("            <GUID>{%s}</GUID>", guidTop)
	line("            <ParentGUID>{%s}</ParentGUID>", guidNone)
	line("        </Shot>")
	line("    </Snapshots>")
	line("</Parallels_disk_image>")
	return w.Bytes()
}

func escape(s string) string {
	var w strings.Builder
	_ = xml.EscapeText(&w, []byte(s)) // a strings.Builder takes all
	return w.String()
}
