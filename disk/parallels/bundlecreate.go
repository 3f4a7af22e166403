package parallels

import (
	"errors"
	"path"
	"strconv"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// usualCluster is what all programs make today.
const usualCluster = 1 << 20

// minCluster is the least that we make.
const minCluster = 4 << 10

// sectors writes a number of bytes as descriptors do.
func sectors(n int64) string { return strconv.FormatInt(n/sector, 10) }

// createBundle makes the files of a bundle with one shot, and the descriptor
// last.
func createBundle(t *disk.Target) (*bundle, error) {
	step := t.Int(optionSplit)
	if step == 0 {
		step = max(t.Size, sector)
	}
	if ceilDiv(t.Size, step) > maxParts {
		return nil, disk.Usage("a disk of %d bytes in parts of %d would have more than %d files", t.Size, step, maxParts)
	}
	block := t.Int(optionCluster)
	if t.Variant.Name == variantPlain {
		block = usualCluster
	}
	plan := &descriptor{size: t.Size, shots: []shot{{guid: guidTop}}, top: guidTop}
	for start := int64(0); start < t.Size || start == 0; start += step {
		plan.storages = append(plan.storages, storage{start: start, end: min(t.Size, start+step), block: block})
	}
	b := newBundle(t)
	return b, b.make(t, plan, func(i int, size int64) (level, error) {
		if t.Variant.Name == variantPlain {
			return b.makePlain(i, guidTop, size)
		}
		return b.makeFile(i, guidTop, size, headerOf(t), nil)
	})
}

// newBundle is a bundle of which nothing is there yet.
func newBundle(t *disk.Target) *bundle {
	return &bundle{files: t.FS, name: t.Name, file: t.File, shot: guidTop, write: true}
}

// make makes a bundle of a plan: a file for each storage, which is the current
// shot's, and then the descriptor. After an error the files are closed.
func (b *bundle) make(t *disk.Target, plan *descriptor, newFile func(i int, size int64) (level, error)) error {
	for i := range plan.storages {
		st := &plan.storages[i]
		l, err := newFile(i, st.end-st.start)
		if err != nil {
			return errors.Join(err, b.stack.close())
		}
		_, isPlain := l.layer.(*plain)
		st.files = append([]file{{guidTop, isPlain, l.path}}, st.files...)
		b.parts = append(b.parts, part{start: st.start, end: st.end, own: []level{l}})
	}
	if err := b.describeAs(t, plan); err != nil {
		return errors.Join(err, b.stack.close())
	}
	return nil
}

// describeAs writes the descriptor of a new bundle.
func (b *bundle) describeAs(t *disk.Target, plan *descriptor) error {
	id := t.UUID
	if id == "" {
		id = uuid.NewString()
	}
	plan.uid, plan.name = guid(id), b.stem()
	text := plan.elements().document()
	if len(text) > maxDescriptor {
		return disk.Unsupported(name, "the descriptor would have %d bytes; up to %d are read", len(text), maxDescriptor)
	}
	if _, err := t.File.WriteAt(text, 0); err != nil {
		return err
	}
	if err := t.File.Sync(); err != nil {
		return err
	}
	root, err := parseElements(text)
	if err != nil {
		return err
	}
	b.d, err = parseDescriptor(root)
	return err
}

// makePlain makes a plain file for a storage.
func (b *bundle) makePlain(i int, tag string, size int64) (level, error) {
	return b.makeAny(i, tag, func(f disk.File) (layer, error) { return initialisePlain(f, size, false) })
}

// elements is what a descriptor looks like.
func (d *descriptor) elements() *element {
	parameters := node("Disk_Parameters",
		leaf("Disk_size", ""), leaf("Cylinders", ""),
		count("PhysicalSectorSize", 4096), count("LogicSectorSize", sector),
		count("Heads", 16), count("Sectors", 32), count("Padding", 0),
		node("Encryption", leaf("Engine", braced(guidNone)), leaf("Data", "")),
		leaf("UID", braced(d.uid)), leaf("Name", d.name))
	setSize(parameters, d.size, disk.Geometry{Heads: 16, Sectors: 32})
	storages := node("StorageData")
	for _, s := range d.storages {
		storages.children = append(storages.children, storageElement(s.start, s.end, s.block, s.files))
	}
	shots := node("Snapshots")
	for _, s := range d.shots {
		shots.children = append(shots.children, shotElement(s))
	}
	root := node("Parallels_disk_image", parameters, storages, shots)
	root.attrs = append(root.attrs, version1)
	return root
}

// storageElement is a storage.
func storageElement(start, end, block int64, files []file) *element {
	s := node("Storage", leaf("Start", sectors(start)), leaf("End", sectors(end)), leaf("Blocksize", sectors(max(block, sector))))
	for _, f := range files {
		s.children = append(s.children, imageElement(f))
	}
	return s
}

// setSize writes the size of a disk, and the geometry that goes with it.
func setSize(parameters *element, size int64, g disk.Geometry) {
	parameters.set("Disk_size", sectors(size))
	if track := int64(g.Heads) * int64(g.Sectors); track > 0 {
		parameters.set("Cylinders", strconv.FormatInt(size/sector/track, 10))
	}
}

// createChild makes a bundle that differs from another bundle, or from a lone
// file: its descriptor names the other's files, and its own are above them.
func createChild(t *disk.Target) (*bundle, error) {
	if t.Variant.Name == variantPlain {
		return nil, disk.Unsupported(name, "a plain disk cannot have a parent")
	}
	if t.ParentName == "" {
		return nil, disk.Usage("the parent has no name by which the descriptor could refer to its files")
	}
	from, err := legacyOf(t.Parent, t.ParentName)
	if err != nil {
		return nil, err
	}
	if step := t.Int(optionSplit); step != 0 && len(from.parts) > 1 && step != from.parts[0].end || step != 0 && len(from.parts) == 1 && step < t.Size {
		return nil, disk.Usage("option %s is %d; a bundle is split as its parent is, into %d parts", optionSplit, step, len(from.parts))
	}
	h := headerOf(t)
	if cluster := from.cluster(); cluster != 0 {
		if own := h.cluster(); own != cluster && own != usualCluster {
			return nil, disk.Usage("option %s is %d; the parent's clusters, which the bundle's have to be like, have %d bytes", optionCluster, own, cluster)
		}
		h.tracks = uint32(cluster / sector)
	}
	from.without(map[string]bool{guidTop: true})
	plan := &descriptor{size: t.Size, top: guidTop, storages: from.storages(t.Size, h.cluster())}
	plan.shots = append([]shot{{guid: guidTop, parent: from.line[0]}}, from.shots()...)
	b := newBundle(t)
	b.parent = t.Parent
	return b, b.make(t, plan, func(i int, size int64) (level, error) {
		return b.makeFile(i, uuid.NewString(), size, h, borrowed{from.parts[i].top()})
	})
}

// rebased is a path in a descriptor, as another descriptor writes it: to is
// how that refers to the first descriptor.
func rebased(ref, to string) string {
	s := slashed(ref)
	if drive := len(s) > 1 && s[1] == ':'; drive || path.IsAbs(s) {
		return ref
	}
	return path.Join(path.Dir(slashed(to)), s)
}
