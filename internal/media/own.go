package media

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/problem"
)

// Layer is an image of a machine's own: one that it writes, or that such a one
// stands on. Its format is what its name ends in, so that nobody has to look at
// content that a guest may have written.
type Layer struct {
	File   string // relative to the machine's folder
	Format string
	// Parent is the layer that it stands on, relative to the machine's folder; empty
	// for the lowest.
	Parent string
	// Above tells, of the lowest, that it stands on something outside the machine's
	// folder: on the drive's source.
	Above bool
	// Base is the path by which it names that; empty otherwise. What the machine's spec says counts, where it says it.
	Base string

	Size      api.Size // of the disk
	Allocated int64    // bytes that its own file takes up
}

// LayerFormat is the format of an image of a machine's own.
func LayerFormat(file string) string {
	return strings.TrimPrefix(filepath.Ext(file), ".")
}

// MaxOwnLayers is how many images of a machine's own may stand one on another.
const MaxOwnLayers = disk.DefaultDepth - 16

// OwnLayers are the images of a machine's folder that one of them leads to, itself
// first. Which stands on which is written in the images themselves; only what lies in
// the same directory is followed.
func OwnLayers(folder, file string) ([]Layer, error) {
	var layers []Layer
	for file != "" {
		if len(layers) == MaxOwnLayers || slices.ContainsFunc(layers, func(l Layer) bool { return l.File == file }) {
			return nil, problem.New(api.KindUnreadable, "", "image %s: more than %d images stand one on another, or in a circle", filepath.Join(folder, file), MaxOwnLayers)
		}
		layer, err := LayerOf(folder, file)
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
		file = layer.Parent
	}
	return layers, nil
}

// LayerOf describes one image of a machine's folder.
func LayerOf(folder, file string) (Layer, error) {
	layer := Layer{File: file, Format: LayerFormat(file)}
	path := filepath.Join(folder, file)
	img, links, err := OpenImage(Ref{Path: path, Format: layer.Format}, OpenOptions{Alone: true})
	if err != nil {
		return layer, err
	}
	info := links[0].Info
	layer.Size, layer.Allocated = api.Size(info.Size), info.Allocated
	if info.Parent != nil {
		if layer.Parent, layer.Above = parentLayer(file, info.Parent.Name); layer.Above {
			layer.Base = rooted(filepath.Dir(path), info.Parent.Name)
		}
	}
	return layer, img.Close()
}

// rooted is a path as it is meant in a directory.
func rooted(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// parentLayer is the layer that a parent's name in an image leads to; above
// tells that it is none of the machine's.
func parentLayer(file, name string) (parent string, above bool) {
	if name == "" {
		return "", false
	}
	if name != filepath.Base(name) {
		return "", true
	}
	return filepath.Join(filepath.Dir(file), name), false
}

// CreateLayer makes an empty image above another one of the same directory,
// which it names by that one's name alone, so that a copied folder is whole. Where that one is
// encrypted, so is the image, by the same key.
// Nothing is left of it after an error.
func CreateLayer(folder, file, on string) error {
	below, err := LayerOf(folder, on)
	if err != nil {
		return err
	}
	path := filepath.Join(folder, file)
	img, _, err := OpenImage(Ref{Path: filepath.Join(folder, on), Format: below.Format}, OpenOptions{Alone: true})
	if err != nil {
		return err
	}
	defer img.Close() //nolint:errcheck // it was only looked at
	header, err := disk.EncryptionHeader(img)
	if err != nil {
		return err
	}
	err = create(path, disk.CreateOptions{
		Encryption: header,
		Size:       int64(below.Size+sector-1) / sector * sector, Parent: img, ParentName: filepath.Base(on), ParentFormat: qemuName(below.Format),
	})
	if err != nil {
		return fmt.Errorf("make the differencing image %s: %w", path, err)
	}
	return nil
}

// OpenLayers opens what a guest sees on a drive of a machine's folder, for
// reading: the drive's image, with all of the machine's that it stands on, over what
// the drive was made from. Locked and keys are as in OpenOptions.
func OpenLayers(folder string, drive api.Drive, locked bool, keys disk.Keys) (disk.Image, error) {
	path := ""
	if drive.File != "" {
		path = filepath.Join(folder, drive.File)
	}
	return openStack(StackOf(drive, path), locked, keys)
}

// HoldsData tells whether an image of a machine's folder holds anything itself,
// data or zeros, beside what it stands on.
func HoldsData(folder, file string) (bool, error) {
	img, _, err := OpenImage(Ref{Path: filepath.Join(folder, file), Format: LayerFormat(file)}, OpenOptions{Alone: true})
	if err != nil {
		return false, err
	}
	defer img.Close() //nolint:errcheck // it was only looked at
	for e, err := range disk.Extents(context.Background(), img, 0, img.Size()) {
		if err != nil {
			return false, err
		}
		if e.State != disk.Unallocated {
			return true, nil
		}
	}
	return false, nil
}
