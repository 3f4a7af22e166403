package vhdx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/panalvm/panal/disk"
)

// Block sizes unless told otherwise; those of Hyper-V.
const (
	defaultBlock      = 32 * mib
	defaultChildBlock = 2 * mib
)

// producer is what new files name as their creator.
const producer = "Panal"

// plan is an image that is going to be made.
type plan struct {
	shape
	metadata metadata
	log      span
	table    span
	data     int64 // where blocks may begin
}

// newPlan lays out the file that a target asks for.
func newPlan(t *disk.Target, fallback int64) (plan, error) {
	m := metadata{size: t.Size, leave: t.Variant.Name == "fixed", physical: t.Int(optionPhysical), logical: t.Int(optionLogical), blockSize: t.Int(optionBlock)}
	if m.blockSize == 0 {
		m.blockSize = fallback
	}
	if m.logical == 0 {
		m.logical = 512
	}
	var err error
	if m.page83, err = identity(t.UUID); err != nil {
		return plan{}, err
	}
	if t.Parent != nil {
		if err := m.derive(t); err != nil {
			return plan{}, err
		}
	}
	if err := m.creatable(); err != nil {
		return plan{}, err
	}
	return m.plan(t.Int(optionLog))
}

// identity is a UUID that was asked for, or a random one.
func identity(text string) (guid, error) {
	if text == "" {
		return newGUID(), nil
	}
	g, err := parseGUID(text)
	if err != nil {
		return g, disk.Usage("%q is not a UUID", text)
	}
	return g, nil
}

// creatable tells what is wrong with what was asked for.
func (m *metadata) creatable() error {
	switch {
	case m.logical != 512 && m.logical != 4096:
		return disk.Usage("%s is %d; it must be 512 or 4096", optionLogical, m.logical)
	case m.physical != 512 && m.physical != 4096:
		return disk.Usage("%s is %d; it must be 512 or 4096", optionPhysical, m.physical)
	case m.blockSize&(m.blockSize-1) != 0:
		return disk.Usage("%s is %d; it must be a power of two", optionBlock, m.blockSize)
	}
	return expressible(m.size, m.logical)
}

// expressible refuses sizes that a disk cannot have.
func expressible(size, sector int64) error {
	if size <= 0 {
		return disk.Usage("a VHDX cannot have %d bytes: it must have a sector at least", size)
	}
	if size > maxVirtual {
		return disk.Unsupported(name, "a disk cannot have %d bytes; the most is %d", size, maxVirtual)
	}
	if size%sector != 0 {
		return disk.Unsupported(name, "a disk of %d-byte sectors cannot have %d bytes; the nearest that it can are %d and %d", sector, size, size/sector*sector, roundUp(size, sector))
	}
	return nil
}

// derive makes the image a differencing one.
func (m *metadata) derive(t *disk.Target) (err error) {
	info := disk.Describe(t.Parent)
	if t.Int(optionLogical) == 0 && info.SectorSize != 0 {
		m.logical = int64(info.SectorSize)
	}
	if t.Int(optionBlock) == 0 {
		m.blockSize = defaultChildBlock
	}
	m.hasParent = true
	m.locator, err = newLocator(t.Parent, t.Name, t.ParentName)
	return err
}

// newLocator names a parent. own is what the image itself is called.
func newLocator(parent disk.Image, own, called string) (locator, error) {
	info := disk.Describe(parent)
	if info.Format != name {
		return nil, disk.Unsupported(name, "the parent of a VHDX must be a VHDX, and this one is %s; convert it, or make the image in QCOW2", info.Format)
	}
	link := info.Modified
	list := locator{{keyLinkage, "{" + link + "}"}}
	relative, absolute := places(own, called)
	if relative != "" {
		list = append(list, pair{keyRelative, relative})
	}
	if absolute != "" {
		list = append(list, pair{keyAbsolute, absolute})
	}
	for _, e := range list {
		if len(toUTF16(e.value)) > 1<<16-2 {
			return nil, disk.Usage("the parent's path is too long")
		}
	}
	return list, nil
}

// places are a parent's relative and absolute path as Windows writes them,
// "" where one cannot be told. own is the path of the image that names it.
func places(own, parent string) (relative, absolute string) {
	own, parent = slashes(own), slashes(parent)
	switch {
	case parent == "":
		return "", ""
	case rooted(parent):
		absolute = parent
		if rooted(own) {
			relative = from(path.Dir(own), parent)
		}
	default:
		relative = path.Clean(parent)
		if rooted(own) {
			absolute = path.Join(path.Dir(own), parent)
		}
	}
	if relative != "" && !strings.HasPrefix(relative, "..") {
		relative = "./" + relative
	}
	return strings.ReplaceAll(relative, "/", `\`), strings.ReplaceAll(absolute, "/", `\`)
}

func slashes(p string) string { return strings.ReplaceAll(p, `\`, "/") }

// rooted tells whether a path begins at a root or a drive.
func rooted(p string) bool { return strings.HasPrefix(p, "/") || len(p) > 1 && p[1] == ':' }

// from is the way from a directory to a file, both absolute; "" if there is
// none, as between drives.
func from(dir, file string) string {
	a, b := strings.Split(path.Clean(dir), "/"), strings.Split(path.Clean(file), "/")
	if a[0] != b[0] {
		return ""
	}
	for len(a) > 0 && len(b) > 1 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	if len(a) == 1 && a[0] == "" {
		a = nil
	}
	return strings.Repeat("../", len(a)) + strings.Join(b, "/")
}

// plan places the regions: log, metadata, table, blocks.
func (m metadata) plan(logSize int64) (plan, error) {
	if logSize%mib != 0 {
		return plan{}, disk.Usage("%s is %d; it must be a multiple of %d", optionLog, logSize, mib)
	}
	p := plan{shape: shapeOf(m.blockSize, m.logical), metadata: m, log: span{headerSection, logSize}}
	p.metadata.span = span{p.log.end(), metadataRegion}
	p.table = span{p.metadata.end(), max(roundUp(p.entries(m.size, m.hasParent)*entryLength, mib), mib)}
	p.data = p.table.end()
	return p, nil
}

// head is the file up to the table.
func (p plan) head() []byte {
	b := make([]byte, p.table.off)
	copy(b, identifier(producer))
	h := header{fileWrite: newGUID(), dataWrite: newGUID(), version: 1, logLength: p.log.length, logOffset: p.log.off}
	for i, off := range headerPlaces {
		h.sequence = uint64(i + 1)
		copy(b[off:], h.encode())
	}
	list := encodeRegions([]region{
		{wellKnown(regionBAT), p.table, true},
		{wellKnown(regionMetadata), p.metadata.span, true},
	})
	for _, off := range regionPlaces {
		copy(b[off:], list)
	}
	copy(b[p.metadata.off:], p.metadata.encode())
	return b
}

// encode makes a new metadata region, as far as it is used.
func (m *metadata) encode() []byte {
	table, items := make([]byte, metadataTableLength), []byte(nil)
	copy(table, "metadata")
	for _, it := range m.contents() {
		e := table[32+32*int(table[10]):]
		id := wellKnown(it.id)
		copy(e, id[:])
		binary.LittleEndian.PutUint32(e[16:], uint32(metadataTableLength+int64(len(items))))
		binary.LittleEndian.PutUint32(e[20:], uint32(len(it.data)))
		binary.LittleEndian.PutUint32(e[24:], it.flags)
		items = append(items, it.data...)
		items = append(items, make([]byte, -len(items)&7)...)
		table[10]++
	}
	return append(table, items...)
}

// content is an item of a new metadata region.
type content struct {
	id    string
	flags uint32
	data  []byte
}

// contents are the items that an image needs.
func (m *metadata) contents() []content {
	le := binary.LittleEndian
	list := []content{
		{itemParameters, flagRequired, m.parameters()},
		{itemSize, flagRequired | flagDisk, le.AppendUint64(nil, uint64(m.size))},
		{itemPage83, flagRequired | flagDisk, m.page83[:]},
		{itemLogical, flagRequired | flagDisk, le.AppendUint32(nil, uint32(m.logical))},
		{itemPhysical, flagRequired | flagDisk, le.AppendUint32(nil, uint32(m.physical))},
	}
	if m.hasParent {
		list = append(list, content{itemLocator, flagRequired, m.locator.encode()})
	}
	return list
}

// parameters is the file parameters item.
func (m *metadata) parameters() []byte {
	p := binary.LittleEndian.AppendUint32(nil, uint32(m.blockSize))
	flags := uint32(0)
	if m.leave {
		flags |= flagLeave
	}
	if m.hasParent {
		flags |= flagParent
	}
	return binary.LittleEndian.AppendUint32(p, flags)
}

// create makes an empty image and opens it.
func create(t *disk.Target) (disk.Image, error) {
	img, err := build(t)
	if err != nil {
		return nil, errors.Join(err, t.File.Close())
	}
	return img, nil
}

func build(t *disk.Target) (*image, error) {
	p, err := newPlan(t, defaultBlock)
	if err != nil {
		return nil, err
	}
	size := p.data
	if p.metadata.leave {
		size += p.blocks(t.Size) << p.block
	}
	if err := t.File.Truncate(size); err != nil {
		return nil, fmt.Errorf("make the file %d bytes long: %w", size, err)
	}
	if _, err := t.File.WriteAt(p.head(), 0); err != nil {
		return nil, err
	}
	if p.metadata.leave {
		if err := p.writeTable(&writerAt{t.File, p.table.off}, func(int64) bool { return true }); err != nil {
			return nil, err
		}
	}
	if err := t.File.Sync(); err != nil {
		return nil, err
	}
	m, err := load(t.File, true)
	if err == nil {
		m.parent, m.borrowed = t.Parent, true
	}
	return m, err
}
