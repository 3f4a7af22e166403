package vmdk

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
)

// splitSize is how large the extents of split images are, in bytes: files stay
// below 2 GiB, for file systems that end there.
const splitSize = 2<<30 - 64<<10

// minExtent is the least that all but the last extent of a split image have,
// and maxExtents is how many there may be: so many files, and lines of text.
const (
	minExtent  = 64 << 10
	maxExtents = 1 << 16
)

// create makes an image and opens it.
func create(t *disk.Target) (disk.Image, error) {
	m := &image{name: t.Name, fs: t.FS, kind: t.Variant.Name, write: true, parent: t.Parent, borrowed: true, parts: []*part{{file: t.File}}}
	if err := m.build(t); err != nil {
		for _, p := range m.parts {
			err = errors.Join(err, p.file.Close())
		}
		return nil, err
	}
	m.identity.changed.Store(true) // nobody knows the CID yet
	if m.kind == kindStream {
		return &unfilled{m}, nil
	}
	return m, nil
}

// checkTarget refuses sizes and options that the format does not have.
func checkTarget(t *disk.Target) error {
	if err := checkSize(t.Size); err != nil {
		return err
	}
	if e := t.Int(optExtent); e > 0 {
		if e%minExtent != 0 {
			return disk.Usage("option %s is %d; it must be a multiple of %d", optExtent, e, int64(minExtent))
		}
		if err := checkCount(0, t.Size, e); err != nil {
			return err
		}
	}
	if g := t.Int(optGrain); g&(g-1) != 0 {
		return disk.Usage("option %s is %d; it must be a power of two", optGrain, g)
	}
	if t.On(optCompat6) && t.Text(optHardware) != "" {
		return disk.Usage("options %s and %s exclude each other", optCompat6, optHardware)
	}
	if !quotable(t.Text(optHardware) + t.Text(optTools)) {
		return disk.Usage("options %s and %s must not have quotes or control characters", optHardware, optTools)
	}
	return errors.Join(checkName("image's name", base(t.Name)), checkName("parent's name", t.ParentName))
}

// checkCount refuses more extents than there may be: have, and those for size
// bytes more.
func checkCount(have int, size, most int64) error {
	if n := int64(have) + (size+most-1)/most; n > maxExtents {
		return disk.Unsupported(name, "a disk in %d extents of %d bytes is not possible; it may have %d", n, most, maxExtents)
	}
	return nil
}

// checkName refuses names that cannot stand in a descriptor: it quotes them,
// and knows no way to write a quote or the end of a line within.
func checkName(whose, file string) error {
	if quotable(file) {
		return nil
	}
	return disk.Usage("the %s %q has a quote or a control character, which a VMDK's descriptor cannot hold; choose another name", whose, file)
}

// quotable tells whether a text can stand between quotes.
func quotable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r == '"' || unicode.IsControl(r) })
}

// checkSize refuses sizes that cannot be expressed: a disk has whole sectors.
func checkSize(size int64) error {
	switch {
	case size%sector != 0:
		return disk.Unsupported(name, "a disk of %d bytes is not possible: sizes are multiples of %d; the nearest is %d", size, sector, (size+sector-1)/sector*sector)
	case size == 0:
		return disk.Unsupported(name, "a disk of 0 bytes is not possible; the nearest is %d", sector)
	case size > maxCapacity*sector:
		return disk.Unsupported(name, "a disk of %d bytes is not possible; the largest has %d", size, int64(maxCapacity*sector))
	}
	return nil
}

// build makes the files and opens them.
func (m *image) build(t *disk.Target) error {
	if err := checkTarget(t); err != nil {
		return err
	}
	lines := extentLines(t)
	d, err := newDescriptor(t, lines)
	if err != nil {
		return err
	}
	m.desc = d
	if m.kind == kindSparse || m.kind == kindStream {
		err = m.buildMonolithic(t)
	} else {
		m.home = home{part: m.parts[0]}
		err = m.buildApart(t, lines)
	}
	if err != nil {
		return err
	}
	return m.syncParts()
}

// buildMonolithic makes an image of one file with the descriptor in it.
func (m *image) buildMonolithic(t *disk.Target) error {
	p := m.parts[0]
	p.touch()
	if m.kind == kindStream {
		return m.buildStream(t)
	}
	l, err := newLayout(t.Size, descriptorRoom, t.Int(optGrain), t.On(optZeroed))
	if err != nil {
		return err
	}
	text := m.desc.Bytes()
	if len(text) > descriptorRoom*sector {
		return disk.Usage("the descriptor has %d bytes, more than the %d that are kept for it; shorten the parent's name", len(text), descriptorRoom*sector)
	}
	if _, err := p.file.WriteAt(text, sector); err != nil {
		return err
	}
	if err := l.write(p.file); err != nil {
		return err
	}
	m.home = home{part: p, off: sector, room: descriptorRoom * sector}
	return m.attach(p, 0, descriptor.Extent{Access: descriptor.ReadWrite, Sectors: t.Size / sector, Type: "SPARSE"})
}

// buildApart makes an image whose descriptor and extents are files of their own.
func (m *image) buildApart(t *disk.Target, lines []descriptor.Extent) error {
	for i, line := range lines {
		f, err := t.Sibling(line.File)
		if err != nil {
			return fmt.Errorf("extent %q: %w", line.File, err)
		}
		p := &part{ref: line.File, file: f}
		m.parts = append(m.parts, p)
		if err := fillFile(p, line, t.Int(optGrain), t.On(optZeroed)); err != nil {
			return fmt.Errorf("extent %q: %w", line.File, err)
		}
		if err := m.attach(p, i, line); err != nil {
			return err
		}
	}
	m.home.part.touch()
	_, err := m.home.part.file.WriteAt(m.desc.Bytes(), 0)
	return err
}

// fillFile makes an empty extent in a file. It is to be synced.
func fillFile(p *part, line descriptor.Extent, grain int64, zeroed bool) error {
	p.touch()
	size := line.Sectors * sector
	if line.Type != "SPARSE" {
		return p.file.Truncate(size)
	}
	l, err := newLayout(size, 0, grain, zeroed)
	if err != nil {
		return err
	}
	return l.write(p.file)
}

// attach opens an extent that was made, and puts it behind the others.
func (m *image) attach(p *part, i int, line descriptor.Extent) error {
	o := opener{image: m}
	size := line.Sectors * sector
	if line.Type != "SPARSE" {
		o.add(&flat{part: p, size: size}, size, line.Access, i)
		return nil
	}
	s, err := openExtent(p, hosted, size, true)
	if err == nil {
		s.writer.searched = true // it is new, and has no places that were given up
		o.add(s, size, line.Access, i)
	}
	return err
}

// extentLines says which extents an image is to have.
func extentLines(t *disk.Target) []descriptor.Extent {
	kind, mark, most := "SPARSE", "", t.Size
	switch t.Variant.Name {
	case kindFlat:
		kind, mark = "FLAT", "-flat"
	case kindVMFS:
		kind, mark = "VMFS", "-flat"
	case kindSplitFlat:
		kind, mark, most = "FLAT", "-f%03d", t.Int(optExtent)
	case kindSplitSparse:
		mark, most = "-s%03d", t.Int(optExtent)
	}
	var all []descriptor.Extent
	for left := t.Size; left > 0; left -= most {
		most = min(most, left)
		all = append(all, descriptor.Extent{
			Access: descriptor.ReadWrite, Sectors: most / sector, Type: kind, File: extentName(t.Name, mark, len(all)+1),
		})
	}
	return all
}

// extentName is what the ith extent of an image is called.
func extentName(image, mark string, i int) string {
	stem := base(image)
	if mark == "" {
		return stem
	}
	if strings.Contains(mark, "%") {
		mark = fmt.Sprintf(mark, i)
	}
	if l := len(stem) - len(".vmdk"); l > 0 && strings.EqualFold(stem[l:], ".vmdk") {
		return stem[:l] + mark + stem[l:]
	}
	return stem + mark + ".vmdk"
}

// newDescriptor makes the text of a new image.
func newDescriptor(t *disk.Target, extents []descriptor.Extent) (*descriptor.Descriptor, error) {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	id := t.UUID
	if id == "" {
		id = uuid.NewString()
	}
	id, ok := plainUUID(id)
	if !ok {
		return nil, disk.Usage("%q is not a UUID; it must be like 123e4567-e89b-12d3-a456-426614174000", t.UUID)
	}
	lines := []string{
		"# Disk DescriptorFile", "version=1", `encoding="UTF-8"`,
		"CID=" + newCID().String(), "parentCID=" + descriptor.NoParent.String(), fmt.Sprintf(`createType="%s"`, t.Variant.Name),
		"", "# Extent description",
	}
	for _, e := range extents {
		lines = append(lines, e.String())
	}
	lines = append(lines, "", descriptor.Filler(), "# The Disk Data Base", "#DDB", "")
	lines = append(lines, settings(t, id, hex.EncodeToString(random[:]))...)
	d := descriptor.New(lines...)
	if t.Parent != nil {
		if err := nameParent(d, t.Parent, t.ParentName); err != nil {
			return nil, err
		}
	}
	if c, ok := d.CID(); ok {
		if err := d.SetCID(c); err != nil { // also into the long one
			return nil, err
		}
	}
	d.Align(sector, 0)
	return d, nil
}

// settings are the lines of the data base.
func settings(t *disk.Target, id, long string) []string {
	hardware := t.Text(optHardware)
	switch {
	case t.On(optCompat6):
		hardware = "6"
	case hardware == "":
		hardware = "4"
	}
	g := geometry(t.Size, t.Text(optAdapter))
	all := []string{
		fmt.Sprintf(`ddb.virtualHWVersion = "%s"`, hardware),
		fmt.Sprintf(`ddb.geometry.cylinders = "%d"`, g.Cylinders),
		fmt.Sprintf(`ddb.geometry.heads = "%d"`, g.Heads),
		fmt.Sprintf(`ddb.geometry.sectors = "%d"`, g.Sectors),
		fmt.Sprintf(`ddb.adapterType = "%s"`, t.Text(optAdapter)),
		fmt.Sprintf(`ddb.toolsVersion = "%s"`, t.Text(optTools)),
		fmt.Sprintf(`ddb.longContentID = "%s"`, long),
		fmt.Sprintf(`%s = "%s"`, keyUUID, id),
	}
	if t.On(optThin) {
		all = append(all, `ddb.thinProvisioned = "1"`)
	}
	return all
}

// geometry is what old guests are told: IDE disks have 16 heads and at most
// 16383 cylinders, others 255 heads.
func geometry(size int64, adapter string) disk.Geometry {
	g := disk.Geometry{Heads: 255, Sectors: 63}
	if adapter == "ide" {
		g.Heads = 16
	}
	g.Cylinders = int(min(size/sector/int64(g.Heads*g.Sectors), 1<<31-1))
	if adapter == "ide" {
		g.Cylinders = min(g.Cylinders, 16383)
	}
	return g
}

// newCID is a random content identifier, of those without a meaning.
func newCID() descriptor.CID {
	for {
		var p [4]byte
		_, _ = rand.Read(p[:]) // never fails
		if c := descriptor.CID(binary.LittleEndian.Uint32(p[:])); c != 0 && c < descriptor.NoParent-1 {
			return c
		}
	}
}

// nameParent writes into a descriptor what its parent is.
func nameParent(d *descriptor.Descriptor, parent disk.Image, hint string) error {
	p, ok := parent.(cored)
	if !ok || p.core().desc == nil {
		return disk.Unsupported(name, "the parent must be a VMDK with a descriptor; it is %q", disk.Describe(parent).Format)
	}
	cid, ok := p.core().contentID()
	if !ok {
		return disk.Unsupported(name, "the parent has no CID")
	}
	return errors.Join(d.Set("parentCID", cid.String()), d.Set(keyHint, hint))
}
