package vmdk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
)

// open opens an image by its descriptor, by the extent that the descriptor is
// embedded in, or by a lone extent.
func open(s *disk.Source) (disk.Image, error) {
	if s.Snapshot != "" {
		return nil, errors.Join(disk.Unsupported(name, "images of this format hold no snapshots; each snapshot is an image of its own"), s.File.Close())
	}
	o := &opener{source: s, image: &image{write: s.Write, name: s.Name, fs: s.FS()}}
	o.image.parts = []*part{{file: s.File}}
	o.image.inherited.Store(s.Write)
	if err := o.open(); err != nil {
		for _, p := range o.image.parts {
			err = errors.Join(err, p.file.Close())
		}
		if o.image.parent != nil {
			err = errors.Join(err, o.image.parent.Close())
		}
		return nil, err
	}
	return o.image, nil
}

// opener puts an image together.
type opener struct {
	source *disk.Source
	image  *image
}

func (o *opener) own() *part { return o.image.parts[0] }

func (o *opener) open() error {
	magic := make([]byte, 8)
	if n, err := o.own().file.ReadAt(magic, 0); err != nil && err != io.EOF {
		return err
	} else if n < 8 {
		return disk.Corrupt(name, 0, "the file has %d bytes, too few for any image", n)
	}
	var err error
	switch {
	case string(magic[:4]) == magicSparse:
		err = o.openSparse()
	case string(magic[:4]) == magicCOWD:
		err = o.openAlone(cowd)
	case binary.LittleEndian.Uint64(magic) == magicSE:
		err = o.openAlone(se)
	default:
		err = o.openText()
	}
	if err != nil {
		return err
	}
	return o.openParent()
}

// openText opens an image by a descriptor that is a file.
func (o *opener) openText() error {
	size, err := o.own().file.Size()
	if err != nil {
		return err
	}
	if size > descriptor.MaxSize {
		return disk.Corrupt(name, 0, "there is neither an extent's signature nor a descriptor")
	}
	o.image.home = home{part: o.own()}
	if err := o.readDescriptor(size); err != nil {
		return err
	}
	return o.addExtents(nil)
}

// openSparse opens a hosted sparse extent, by itself or by the descriptor in it.
func (o *opener) openSparse() error {
	h, err := readHeader(o.own().file, 0)
	if err != nil {
		return err
	}
	if h.descOffset == 0 || h.descSize == 0 {
		return o.openAlone(hosted)
	}
	if h.descOffset > maxCapacity || h.descSize > descriptor.MaxSize/sector {
		return disk.Corrupt(name, offDescOffset, "the descriptor is said to have %d sectors at sector %d", h.descSize, h.descOffset)
	}
	o.image.home = home{part: o.own(), off: int64(h.descOffset) * sector, room: int64(h.descSize) * sector}
	err = o.readDescriptor(o.image.home.room)
	if errors.Is(err, descriptor.ErrNot) && h.capacity > 0 && o.blank() {
		o.image.home = home{}
		return o.openAlone(hosted)
	}
	if err != nil {
		return err
	}
	if h.capacity == 0 {
		return o.addExtents(nil)
	}
	return o.addExtents(o.own())
}

func (o *opener) readDescriptor(n int64) error {
	h := o.image.home
	size, err := h.part.file.Size()
	if err != nil {
		return err
	}
	text, err := disk.ReadFull(h.part.file, h.off, max(min(n, size-h.off), 1), name, "descriptor")
	if err != nil {
		return err
	}
	d, err := descriptor.Parse(text)
	if err != nil {
		return fmt.Errorf("%w: %w", disk.Corrupt(name, h.off, "the descriptor cannot be read"), err)
	}
	o.image.desc, o.image.kind = d, d.Text("createType")
	return nil
}

// blank tells whether the room for a descriptor was left empty, as QEMU does in
// the extents of split images.
func (o *opener) blank() bool {
	p := make([]byte, 1)
	n, _ := o.own().file.ReadAt(p, o.image.home.off)
	return n == 1 && p[0] == 0
}

// openAlone opens an extent that has no descriptor. It cannot be written:
// the descriptor elsewhere would not learn of it.
func (o *opener) openAlone(k kind) error {
	s, err := openExtent(o.own(), k, -1, false)
	if err != nil {
		return err
	}
	o.image.kind = s.createType()
	if o.image.write {
		return disk.Unsupported(name, "this is an extent without its descriptor, and can only be read; open the descriptor to write")
	}
	o.add(s, s.size, descriptor.ReadOnly, 0)
	return nil
}

func (o *opener) add(e extent, size int64, access descriptor.Access, line int) {
	if s, ok := e.(*sparse); ok {
		if d, ok := s.find.(*directory); ok {
			d.memory = &o.image.memory
		}
	}
	if size > 0 {
		o.image.spans = append(o.image.spans, span{extent: e, start: o.image.size, len: size, access: access, line: line})
		o.image.size += size
	}
}

// addExtents opens the extents that the descriptor lists. self is the file with
// the descriptor in it, if it is an extent too.
func (o *opener) addExtents(self *part) error {
	all, err := o.image.desc.Extents()
	if err != nil {
		return disk.Corrupt(name, o.image.home.off, "%v", err)
	}
	if track := o.image.desc.Text("changeTrackPath"); track != "" && o.image.write {
		return disk.Unsupported(name, "changes are tracked in %q, which is not kept here; remove the line changeTrackPath to write to the disk, and make the next backup a full one", track)
	}
	if len(all) == 0 && self != nil {
		all = []descriptor.Extent{{Access: descriptor.ReadWrite, Type: "SPARSE", Sectors: -1}}
	}
	if len(all) == 0 {
		return disk.Corrupt(name, o.image.home.off, "the descriptor lists no extents")
	}
	for i, line := range all {
		if err := o.addExtent(i, line, self, len(all) == 1); err != nil {
			return err
		}
	}
	o.shareFiles()
	return nil
}

// shareFiles notes which files hold more than one extent.
func (o *opener) shareFiles() {
	extents := map[*part]int{}
	for i := range o.image.spans {
		extents[partOf(o.image.spans[i].extent)]++
	}
	for _, w := range o.image.writers() {
		w.shared = extents[w.s.part] > 1
	}
}

func (o *opener) addExtent(i int, line descriptor.Extent, self *part, only bool) error {
	size := line.Sectors * sector
	if line.Type == "ZERO" {
		o.add(zeros{}, size, line.Access, i)
		return nil
	}
	if line.Access == descriptor.NoAccess {
		o.add(barred{line.File}, size, line.Access, i)
		return nil
	}
	write := o.image.write && line.Access == descriptor.ReadWrite
	if self != nil && line.Type == "SPARSE" && (only || sameFile(line.File, o.source.Name)) {
		s, err := openExtent(self, hosted, size, write)
		if err != nil {
			return err
		}
		o.add(s, s.size, line.Access, i)
		return nil
	}
	return o.addFile(i, line, write)
}

// sameFile tells whether a reference and a name end in the same name of a file.
func sameFile(ref, name string) bool {
	return strings.EqualFold(base(ref), base(name))
}

// base is what follows the last slash or backslash.
func base(path string) string { return path[strings.LastIndexAny(path, `/\`)+1:] }

// addFile opens an extent that is a file of its own.
func (o *opener) addFile(i int, line descriptor.Extent, write bool) error {
	k := hosted
	switch line.Type {
	case "FLAT", "VMFS", "VMFSRDM", "VMFSRAW":
		return o.addFlat(i, line)
	case "SPARSE":
	case "VMFSSPARSE":
		k = cowd
	case "SESPARSE":
		k = se
	default:
		return disk.Unsupported(name, "extent %d is of the kind %q, which is not known", i+1, line.Type)
	}
	p, err := o.part(line.File)
	if err != nil {
		return err
	}
	s, err := openExtent(p, k, line.Sectors*sector, write)
	if err != nil {
		return fmt.Errorf("extent %q: %w", line.File, err)
	}
	o.add(s, s.size, line.Access, i)
	return nil
}

func (o *opener) addFlat(i int, line descriptor.Extent) error {
	p, err := o.part(line.File)
	if device := deviceOf(line); device != "" {
		if err == nil {
			err = p.holds((line.Offset + line.Sectors) * sector)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", disk.Unsupported(name, "extent %d is %s, which cannot be reached here; image the device itself, or name an image of it in the descriptor", i+1, device), err)
		}
	}
	if err != nil {
		return err
	}
	o.add(&flat{part: p, from: line.Offset * sector, size: line.Sectors * sector}, line.Sectors*sector, line.Access, i)
	return nil
}

// holds tells whether a file is so long; one that only stands for a device is
// not.
func (p *part) holds(n int64) error {
	size, err := p.file.Size()
	if err == nil && size < n {
		err = fmt.Errorf("the file %shas %d bytes; %d are needed", p.label(), size, n)
	}
	return err
}

// deviceOf says what an extent is that is no file; "" if it is one. Virtual Disk
// Format 5.0, "The Extent Descriptions".
func deviceOf(line descriptor.Extent) string {
	switch ref := strings.ToLower(line.File); {
	case strings.HasPrefix(line.Type, "VMFSR"):
		return "a device that ESXi maps"
	case strings.HasPrefix(ref, `\\.\`), strings.HasPrefix(ref, "/dev/"), strings.HasPrefix(ref, "/vmfs/devices/"):
		return "a device of the computer that the disk was made on"
	}
	return ""
}

// part opens a further file, once.
func (o *opener) part(ref string) (*part, error) {
	if i := slices.IndexFunc(o.image.parts, func(p *part) bool { return p.ref == ref }); i > 0 {
		return o.image.parts[i], nil
	}
	f, err := o.source.OpenSibling(ref)
	if err != nil {
		return nil, fmt.Errorf("extent %q: %w", ref, err)
	}
	p := &part{ref: ref, file: f}
	o.image.parts = append(o.image.parts, p)
	return p, nil
}
