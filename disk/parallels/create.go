package parallels

import (
	"errors"
	"strings"

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
	switch {
	case t.Parent != nil:
		return wrap(createChild(t))
	case base(t.Name) == descriptorName:
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
	case t.Parent != nil && !bundle:
		return disk.Usage("only a bundle can have a parent; make one by the name of its %s, as in disk.hdd/%s", descriptorName, descriptorName)
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
		return initialisePlain(file, size, lone)
	}
	return initialise(file, headerOf(t), size, nil)
}

// initialise makes an empty expanding image of a file, and opens it.
func initialise(file disk.File, h header, size int64, below layer) (layer, error) {
	if err := sizeFits(size, h.cluster(), h.isNew); err != nil {
		return nil, err
	}
	h.begin(size)
	if _, err := file.WriteAt(h.encode(), 0); err != nil {
		return nil, err
	}
	if err := file.Truncate(h.data()); err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	return openExpanding(file, true, below)
}

// initialisePlain makes a plain image of a file, and opens it.
func initialisePlain(file disk.File, size int64, lone bool) (layer, error) {
	if err := file.Truncate(size); err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	return openPlain(file, true, lone)
}

// headerOf is the header of images of the kind that is wanted.
func headerOf(t *disk.Target) header {
	return header{isNew: t.Text(optionVersion) != layoutOld, inUse: inUseClosed, tracks: uint32(t.Int(optionCluster) / sector)}
}

// begin makes it the header of an empty image of that size.
func (h *header) begin(size int64) {
	h.setSize(size)
	h.dataOff = uint32(roundUp(h.tableEnd(), h.cluster()) / sector)
}
