package manager

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/snapshot"
)

// strayImages are the images of a machine's folder that stand on others there, and that neither its drives nor its
// snapshots need: those of drives that were detached, which can come back, and what immutable drives write. What they
// stand on has to stay as it is. Known are further images that are no strays, with all that they stand on.
func strayImages(record *inventory.Record, known ...string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(record.Folder, folder.Disks))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	needed, err := survey(folder.Folder(record.Folder), present(record.Folder, slices.Concat(surveyed(record), known)))
	if err != nil {
		return nil, err
	}
	leaving := setOf(slices.Concat(record.Leftovers, record.Lent))
	for _, is := range record.Drawn {
		leaving[is.File] = true // it is not in its place yet
	}
	var strays []string
	for _, entry := range entries {
		file := filepath.Join(folder.Disks, entry.Name())
		if _, is := needed[file]; !is && !leaving[file] && entry.Name()[0] != '.' && entry.Type().IsRegular() && standsOn(record.Folder, needed, file) {
			strays = append(strays, file)
		}
	}
	return strays, nil
}

// strayBases are the images outside of a machine's folder on which images in it stand that neither its drives nor its
// snapshots name, by the paths of these: those of a linked clone's drives that were detached.
func strayBases(record *inventory.Record) map[string]string {
	entries, err := os.ReadDir(filepath.Join(record.Folder, folder.Disks))
	if err != nil {
		return nil // a folder that cannot be read stands on nothing that anybody could know
	}
	named := setOf(surveyed(record))
	bases := map[string]string{}
	for _, entry := range entries {
		file := filepath.Join(folder.Disks, entry.Name())
		if named[file] || filepath.Ext(file) != ".qcow2" || !entry.Type().IsRegular() {
			continue
		}
		if layer, err := media.LayerOf(record.Folder, file); err == nil && layer.Base != "" {
			bases[filepath.Join(record.Folder, file)] = layer.Base
		}
	}
	return bases
}

// standsOn tells whether a file of a machine's folder is an image that stands on one of some others there. What cannot be
// read stands on nothing that anybody could know.
func standsOn(dir string, images snapshot.Images, file string) bool {
	if filepath.Ext(file) != ".qcow2" {
		return false
	}
	layers, err := media.OwnLayers(dir, file)
	return err == nil && slices.ContainsFunc(layers, func(layer media.Layer) bool {
		_, stands := images[layer.File]
		return stands
	})
}

// present are those of some files of a folder that are there.
func present(dir string, files []string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(file string) bool {
		_, err := os.Lstat(filepath.Join(dir, file))
		return isNotExist(err)
	})
}
