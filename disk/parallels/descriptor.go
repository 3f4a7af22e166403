package parallels

import (
	"cmp"
	"math"
	"strings"

	"github.com/panalvm/panal/disk"
)

// GUIDs with a meaning, QEMU docs/interop/prl-xml "Snapshots element".
const (
	guidTop    = "5fbaabe3-6958-40ff-92a7-860e329aab41" // the current state, unless TopGUID says another
	guidNone   = "00000000-0000-0000-0000-000000000000" // the parent of the first shot, the engine of no encryption
	guidBackup = "704718e1-2314-44c8-9087-d78ed36b0f4e"
)

// Kinds of files.
const (
	typeCompressed = "Compressed" // expanding; nothing is compressed
	typePlain      = "Plain"
)

// maxImages is how many files a bundle may have.
const maxImages = 4096

// descriptor is a DiskDescriptor.xml.
type descriptor struct {
	root      *element
	uid, name string
	size      int64 // bytes
	geometry  disk.Geometry
	physical  int64 // sector, bytes
	logical   int64
	storages  []storage
	shots     []shot
	top       string // GUID of the current shot
}

// storage is a range of the disk.
type storage struct {
	at         *element
	start, end int64 // bytes
	block      int64 // cluster, bytes
	files      []file
}

// file is what a storage holds of a shot.
type file struct {
	guid  string
	plain bool
	path  string
}

// shot is a state of the disk; its parent is "" for the first.
type shot struct{ guid, parent string }

// parseDescriptor takes from the elements what we need and checks it.
func parseDescriptor(root *element) (*descriptor, error) {
	d := &descriptor{root: root}
	steps := []func() error{d.parseParameters, d.parseStorages, d.checkStorages, d.parseShots, d.chooseTop, d.checkFiles}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *descriptor) parseParameters() error {
	p := d.root.child("Disk_Parameters")
	if p == nil {
		return disk.Corrupt(name, d.root.off, "the descriptor has no Disk_Parameters")
	}
	var failed error
	get := func(read func(string) (int64, error), label string) int64 {
		n, err := read(label)
		if failed == nil {
			failed = err
		}
		return n
	}
	sectors := get(p.number, "Disk_size")
	d.geometry.Cylinders = int(min(get(p.optional, "Cylinders"), math.MaxInt32))
	d.geometry.Heads = int(min(get(p.optional, "Heads"), math.MaxInt32))
	d.geometry.Sectors = int(min(get(p.optional, "Sectors"), math.MaxInt32))
	d.physical, d.logical = get(p.optional, "PhysicalSectorSize"), get(p.optional, "LogicSectorSize")
	padding := get(p.optional, "Padding")
	if failed != nil {
		return failed
	}
	if sectors > math.MaxInt64/sector {
		return disk.Corrupt(name, p.off, "the disk has %d sectors, more than can be addressed", sectors)
	}
	d.size, d.name, d.uid = sectors*sector, p.string("Name"), guid(p.string("UID"))
	if padding != 0 {
		return disk.Unsupported(name, "the bundle has padding (%d), of which nothing is published", padding)
	}
	if e := p.child("Encryption"); e != nil {
		if engine := guid(e.string("Engine")); engine != "" && engine != guidNone || e.string("Data") != "" {
			return disk.Unsupported(name, "the disk is encrypted; decrypt it with the program that made it")
		}
	}
	return nil
}

func (d *descriptor) parseStorages() error {
	total := 0
	for _, e := range d.root.child("StorageData").all("Storage") {
		s := storage{at: e}
		start, err := e.number("Start")
		if err != nil {
			return err
		}
		end, err := e.number("End")
		if err != nil {
			return err
		}
		block, err := e.optional("Blocksize")
		if err != nil {
			return err
		}
		if end > math.MaxInt64/sector || start > end || block > maxCluster/sector {
			return disk.Corrupt(name, e.off, "a storage from sector %d to %d with blocks of %d sectors", start, end, block)
		}
		s.start, s.end, s.block = start*sector, end*sector, block*sector
		for _, image := range e.all("Image") {
			s.files = append(s.files, file{guid: guid(image.string("GUID")), plain: image.string("Type") == typePlain, path: image.string("File")})
			if kind := image.string("Type"); kind != typePlain && kind != typeCompressed {
				return disk.Unsupported(name, "a file of type %.40q; %s and %s are known", kind, typePlain, typeCompressed)
			}
		}
		if total += len(s.files); total > maxImages {
			return disk.Corrupt(name, e.off, "the bundle has more than %d files", maxImages)
		}
		d.storages = append(d.storages, s)
	}
	return nil
}

// checkStorages sees to it that they cover the disk, in order.
func (d *descriptor) checkStorages() error {
	if len(d.storages) == 0 {
		return disk.Corrupt(name, d.root.off, "the descriptor has no Storage")
	}
	at := int64(0)
	for i, s := range d.storages {
		switch {
		case s.start > at:
			return disk.Corrupt(name, s.at.off, "no storage has the sectors from %d to %d", at/sector, s.start/sector)
		case s.start < at:
			return disk.Corrupt(name, s.at.off, "storage %d begins at sector %d, which belongs to the one before", i, s.start/sector)
		}
		at = s.end
	}
	if at != d.size {
		return disk.Corrupt(name, d.root.off, "the storages end at sector %d, the disk at %d", at/sector, d.size/sector)
	}
	return nil
}

func (d *descriptor) parseShots() error {
	e := d.root.child("Snapshots")
	seen := map[string]bool{}
	for _, s := range e.all("Shot") {
		one := shot{guid: guid(s.string("GUID")), parent: guid(s.string("ParentGUID"))}
		if one.guid == "" || seen[one.guid] {
			return disk.Corrupt(name, s.off, "a shot has the GUID %.60q, which is none or another's", s.string("GUID"))
		}
		if one.parent == guidNone {
			one.parent = ""
		}
		seen[one.guid] = true
		d.shots = append(d.shots, one)
	}
	if len(d.shots) == 0 { // no tree: one file a storage
		if len(d.storages[0].files) != 1 {
			return disk.Corrupt(name, d.root.off, "the descriptor has several files a storage and no Snapshots that order them")
		}
		d.shots = []shot{{guid: cmp.Or(d.storages[0].files[0].guid, guidTop)}}
	}
	for _, s := range d.shots {
		if _, err := d.lineage(s.guid); err != nil {
			return err
		}
	}
	return nil
}

// shot finds a shot.
func (d *descriptor) shot(guid string) *shot {
	for i := range d.shots {
		if d.shots[i].guid == guid {
			return &d.shots[i]
		}
	}
	return nil
}

// lineage is the GUIDs from a shot to the first.
func (d *descriptor) lineage(guid string) ([]string, error) {
	var all []string
	for at := guid; at != ""; {
		s := d.shot(at)
		if s == nil {
			return nil, disk.Corrupt(name, d.root.off, "shot %s, an ancestor of %s, is missing", at, guid)
		}
		all = append(all, at)
		if len(all) > min(len(d.shots), disk.DefaultDepth) {
			if len(d.shots) > disk.DefaultDepth {
				return nil, disk.ErrDepth
			}
			return nil, disk.ErrCycle
		}
		at = s.parent
	}
	return all, nil
}

// chooseTop finds the shot that is the current state.
func (d *descriptor) chooseTop() error {
	if top := guid(d.root.child("Snapshots").string("TopGUID")); top != "" {
		if d.shot(top) == nil {
			return disk.Corrupt(name, d.root.off, "the current shot %s is missing", top)
		}
		d.top = top
		return nil
	}
	if d.shot(guidTop) != nil {
		d.top = guidTop
		return nil
	}
	leaves := d.leaves()
	if len(leaves) != 1 {
		return disk.Corrupt(name, d.root.off, "nothing says which of %d shots is the current state", len(d.shots))
	}
	d.top = leaves[0]
	return nil
}

// leaves are the shots that are no parents.
func (d *descriptor) leaves() []string {
	parents := map[string]bool{}
	for _, s := range d.shots {
		parents[s.parent] = true
	}
	var all []string
	for _, s := range d.shots {
		if !parents[s.guid] {
			all = append(all, s.guid)
		}
	}
	return all
}

// checkFiles sees to it that each storage has one file for each shot of the
// current state, and no plain file above another.
func (d *descriptor) checkFiles() error {
	for i := range d.storages {
		s := &d.storages[i]
		if len(d.shots) == 1 && len(s.files) == 1 && s.files[0].guid == "" {
			s.files[0].guid = d.shots[0].guid
		}
		seen := map[string]bool{}
		for _, f := range s.files {
			if f.path == "" || seen[f.guid] {
				return disk.Corrupt(name, s.at.off, "storage %d has a file without a path, or two of the GUID %.60q", i, f.guid)
			}
			seen[f.guid] = true
			if sh := d.shot(f.guid); f.plain && sh != nil && sh.parent != "" {
				return disk.Corrupt(name, s.at.off, "shot %s has a parent, and its file is plain, which cannot show the parent", f.guid)
			}
		}
	}
	return nil
}

// file finds what a storage has of a shot.
func (s *storage) file(guid string) *file {
	for i := range s.files {
		if s.files[i].guid == guid {
			return &s.files[i]
		}
	}
	return nil
}

// guid writes a GUID in one way: lower case, without braces.
func guid(s string) string {
	return strings.ToLower(strings.Trim(strings.TrimSpace(s), "{}"))
}
