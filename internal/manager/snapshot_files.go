package manager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/snapshot"
)

// The files of a snapshot's folder.
const (
	heldSpecFile = "spec.json"
	heldMemory   = "memory.zst"
	branchedMark = "branched" // while a snapshot is taken of a running machine: its drives may write the new images
)

// heldFolder is a snapshot's folder, relative to the machine's.
func heldFolder(id string) string { return filepath.Join(folder.Snapshots, id) }

// heldSpec is the spec of a machine as it was in a snapshot, its drives' files
// being those that hold their content.
func heldSpec(dir folder.Folder, s api.Snapshot) (api.Spec, error) {
	spec, err := readHeldSpec(dir.Path(heldFolder(s.ID), heldSpecFile))
	if err != nil {
		return spec, err
	}
	for i := range spec.Drives {
		// The folder may come from anywhere, and the daemon would run it: only what the record says is run.
		spec.Drives[i].KeyCommand = ""
		if drive := &spec.Drives[i]; machine.InSnapshots(*drive) {
			drive.File = s.Images[drive.Name]
		}
	}
	return spec, nil
}

// wholeTree checks the snapshots of a folder that comes from outside: that they are a
// tree, and that what they hold is there, within the folder.
func wholeTree(dir folder.Folder, doc folder.Document) error {
	tree := snapshot.Tree{Snapshots: doc.Snapshots, Current: doc.Snapshot}
	if err := tree.Check(); err != nil {
		return err
	}
	for _, s := range tree.Snapshots {
		for drive, file := range s.Images {
			if filepath.Dir(file) != folder.Disks {
				return fmt.Errorf("%s: the image %q of drive %s is not in the folder's %s", s.Name, file, drive, folder.Disks)
			}
			if _, err := media.OwnLayers(string(dir), file); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
		}
		spec, err := heldSpec(dir, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		if wrong := append(machine.Validate(spec), ownFiles(spec)...); len(wrong) > 0 {
			return fmt.Errorf("%s: its spec is not valid: %s: %s", s.Name, wrong[0].Field, wrong[0].Message)
		}
		if err := recognised(spec); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

// withSources are snapshots of a folder that comes from outside, with what they stand
// on outside of it: their specs say that, whatever else does.
func withSources(dir folder.Folder, list []api.Snapshot) ([]api.Snapshot, error) {
	list = slices.Clone(list)
	for i := range list {
		spec, err := heldSpec(dir, list[i])
		if err != nil {
			return nil, err
		}
		list[i].Sources = snapshot.Sources(spec)
	}
	return list, nil
}

// makeHeld makes a snapshot's folder with what is the machine's now but its
// disks: spec, the firmware's variables, the TPM's state. It is durable then.
func makeHeld(dir folder.Folder, id string, spec api.Spec) error {
	path := dir.Path(heldFolder(id))
	if err := os.MkdirAll(dir.Path(folder.Snapshots), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	if err := writeHeldSpec(filepath.Join(path, heldSpecFile), spec); err != nil {
		return err
	}
	return syncPath(dir.Path(folder.Snapshots))
}

// readHeldSpec reads the spec of a snapshot as it was written.
func readHeldSpec(path string) (spec api.Spec, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return spec, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&spec); err != nil {
		return spec, fmt.Errorf("%s does not hold a spec: %w", path, err)
	}
	return spec, nil
}

// writeHeldSpec writes the spec of a snapshot into a new file, durably.
func writeHeldSpec(path string, spec api.Spec) error {
	text, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return err
	}
	return writeDurably(path, append(text, '\n'))
}

// keepFirmware copies the firmware's variables and the TPM's state.
func keepFirmware(ctx context.Context, from, to string) error {
	for _, part := range []string{folder.NVRAM, folder.TPM} {
		if err := copyTree(ctx, filepath.Join(from, part), filepath.Join(to, part)); err != nil {
			return err
		}
	}
	return syncPath(to)
}

// copyTree copies a directory of small files, durably. One that is not there is
// copied as an empty one.
func copyTree(ctx context.Context, from, to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil && !isNotExist(err) {
		return err
	}
	for _, entry := range entries {
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		switch {
		case entry.IsDir():
			err = copyTree(ctx, source, target)
		case entry.Type().IsRegular():
			err = copyDurably(source, target)
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return syncPath(to)
}

// copyDurably copies a file, sharing its blocks where the file system can.
func copyDurably(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if unix.IoctlFileClone(int(target.Fd()), int(source.Fd())) != nil {
		_, err = io.Copy(target, source)
	}
	return errors.Join(err, target.Sync(), target.Close())
}

// linkDurably gives a file that is never changed again a second name; where the
// file system has no such thing, a copy takes its place.
func linkDurably(from, to string) error {
	if err := os.Link(from, to); err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrExist) {
			return err
		}
		if err := copyDurably(from, to); err != nil {
			return err
		}
	}
	return syncPath(filepath.Dir(to))
}

func writeDurably(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// upperName is the name of a new image above a drive's, relative to the machine's
// folder.
func upperName(drive, id string) string {
	return filepath.Join(folder.Disks, drive+"-"+id+".qcow2")
}

// makeUpper makes an empty image above what holds a drive's content.
func makeUpper(dir folder.Folder, drive api.Drive, file string) error {
	if drive.File == "" {
		return media.CreateOverlay(dir.Path(file), media.RefOf(drive), nil)
	}
	return media.CreateLayer(string(dir), file, drive.File)
}

// clearLeftovers removes what a record says is needed no more, and then forgets
// it.
func (m *Manager) clearLeftovers(ctx context.Context, uuid string) error {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil || len(object.Value.Leftovers) == 0 {
		return err
	}
	dir, gone := m.folderOf(object), object.Value.Leftovers
	for _, name := range gone {
		if !filepath.IsLocal(name) {
			continue
		}
		if err := os.RemoveAll(dir.Path(name)); err != nil {
			m.log.Warn("a file that is needed no more could not be removed; it is tried again", "file", dir.Path(name), "error", err)
			return err
		}
	}
	_, err = m.inv.Modify(ctx, uuid, func(record *inventory.Record) error {
		record.Leftovers = slices.DeleteFunc(slices.Clone(record.Leftovers), func(name string) bool { return slices.Contains(gone, name) })
		if len(record.Leftovers) == 0 {
			record.Leftovers = nil
		}
		return nil
	})
	return err
}
