package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/hostdisk"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/task"
)

// lookAtDrives looks at the images of the drives that are new, those that are
// not among known: it fixes their formats, sizes and kinds. It returns the
// firmware that the first disk seems to boot with, if it can tell.
func lookAtDrives(spec *api.Spec, known []api.Drive) (api.FirmwareType, error) {
	var firmware api.FirmwareType
	spec.Drives = slices.Clone(spec.Drives)
	for i := range spec.Drives {
		drive := &spec.Drives[i]
		if old := driveNamed(known, drive.Name); old != nil && old.Source == drive.Source {
			drive.File, drive.Format, drive.Snapshot, drive.Size = old.File, old.Format, old.Snapshot, old.Size
			drive.Under = old.Under
			if drive.Encrypted && !old.Encrypted {
				return "", problem.New(api.KindUnsupported, "`panal medium copy --encrypt` makes an encrypted copy, to be attached in its place",
					"drive %s: an image that is there is not encrypted in its place", drive.Name)
			}
			drive.Encrypted = old.Encrypted
			continue
		}
		drive.File, drive.Under = "", nil // the daemon's to say
		if drive.Source == "" {
			continue
		}
		guess, err := lookAt(drive)
		if err != nil {
			return "", err
		}
		if firmware == "" && drive.Kind == api.Disk {
			firmware = guess.Firmware
		}
	}
	return firmware, nil
}

func lookAt(drive *api.Drive) (media.Guess, error) {
	if machine.IsRemote(drive.Source) {
		return media.Guess{}, lookAtRemote(drive)
	}
	if !filepath.IsAbs(drive.Source) {
		return media.Guess{}, problem.New(api.KindInvalid, "", "image %s: the path must be absolute", drive.Source)
	}
	drive.Source = filepath.Clean(drive.Source)
	if drive.Mode == api.Attach || drive.WriteMode == api.Shareable {
		// Who else writes it is told by its name, of which it must have one only.
		if real, err := filepath.EvalSymlinks(drive.Source); err == nil {
			drive.Source = real
		}
	}
	chain, guess, err := media.Look(media.RefOf(*drive))
	if err != nil {
		return guess, err
	}
	if err := hostDiskFree(chain[0]); err != nil {
		return guess, err
	}
	drive.Format, drive.Size = chain[0].Format, chain[0].Size
	if err := encryptable(drive, chain); err != nil {
		return guess, err
	}
	if drive.Kind == "" {
		drive.Kind = guess.Kind
	}
	if drive.Mode == "" && drive.Kind == api.Optical {
		drive.Mode = api.ReadOnly
	}
	if drive.Mode == api.Own && drive.Snapshot == "" {
		return guess, ownable(*drive, chain)
	}
	return guess, attachable(*drive, chain)
}

// encryptable settles whether a drive is encrypted.
func encryptable(drive *api.Drive, chain media.Chain) error {
	switch made := drive.Mode == "" || drive.Mode == api.Overlay; {
	case chain.Encrypted() && (!chain.Plain() || drive.Snapshot != ""):
		return problem.New(api.KindUnsupported, "make one plain image of it with `panal medium copy`",
			"image %s is encrypted, and QEMU cannot open it by itself, as it has to for that", drive.Source)
	case chain.Encrypted():
		drive.Encrypted = true
	case drive.Encrypted && (!made || drive.Kind != api.Disk):
		return problem.New(api.KindUnsupported, "`panal medium copy --encrypt` makes an encrypted copy",
			"image %s is not encrypted, and used where it lies", drive.Source)
	}
	return nil
}

// hostDiskFree refuses a disk or partition that the host uses itself.
func hostDiskFree(image media.Image) error {
	if !image.Device {
		return nil
	}
	use, err := hostdisk.Use(image.Path)
	if err != nil {
		return err
	}
	if use != "" {
		return problem.New(api.KindBusy, "unmount it, or take it out of what uses it", "the host uses disk %s: %s", image.Path, use)
	}
	return nil
}

// ownable tells whether a machine can have an image as its own: it is one file,
// and can be written where it is put.
func ownable(drive api.Drive, chain media.Chain) error {
	switch {
	case !chain.Movable():
		return problem.New(api.KindUnsupported, "use it as an overlay, or make one file of it with `panal disk convert`",
			"image %s is not one file, complete in itself, and cannot be moved in", drive.Source)
	case chain.Plain():
		return nil
	}
	return media.Writable(media.RefOf(drive))
}

func driveNamed(drives []api.Drive, name string) *api.Drive {
	i := slices.IndexFunc(drives, func(d api.Drive) bool { return name != "" && d.Name == name })
	if i < 0 {
		return nil
	}
	return &drives[i]
}

// movedImage is the arguments of the undo step "move-back".
type movedImage struct {
	UUID   string `json:"uuid"`
	Folder string `json:"folder"` // the machine's final one
	From   string `json:"from"`
	File   string `json:"file"` // relative to the machine's folder
}

// makeDrives makes the images of the drives that have none yet, and writes
// their names into the spec. It returns the sources that were copied into the
// machine and are to be removed once that is committed.
func (m *Manager) makeDrives(ctx context.Context, r *task.Run, dir folder.Folder, record *inventory.Record) (leftovers []string, err error) {
	spec := &record.Spec
	for i := range spec.Drives {
		drive := &spec.Drives[i]
		if hasImage(*drive) {
			continue
		}
		copied, err := m.makeDrive(ctx, r, dir, record, drive)
		if err != nil {
			return nil, fmt.Errorf("drive %s: %w", drive.Name, err)
		}
		if copied != "" {
			leftovers = append(leftovers, copied)
		}
		if err := fault.At(ctx, "create.drive-made"); err != nil {
			return nil, err
		}
	}
	return leftovers, nil
}

// makeDrive makes one drive's image. A source that was copied rather than
// moved is returned.
func (m *Manager) makeDrive(ctx context.Context, r *task.Run, dir folder.Folder, record *inventory.Record, drive *api.Drive) (copied string, err error) {
	r.Step("making " + drive.Name)
	if drive.Mode == api.Own && drive.Source != "" {
		return m.moveIn(ctx, r, dir, record, drive)
	}
	return "", m.makeImage(record.Spec.UUID, dir, drive)
}

// makeImage makes an empty image, or a differencing one over the drive's
// source.
func (m *Manager) makeImage(uuid string, dir folder.Folder, drive *api.Drive) error {
	header, err := m.headerFor(uuid, *drive)
	if err != nil {
		return err
	}
	drive.File = filepath.Join(folder.Disks, drive.Name+".qcow2")
	if drive.Source == "" {
		drive.Format = "qcow2"
		return media.CreateEmpty(dir.Path(drive.File), drive.Size, header)
	}
	return media.CreateOverlay(dir.Path(drive.File), media.RefOf(*drive), header)
}

// moveIn moves an image into the machine's folder.
func (m *Manager) moveIn(ctx context.Context, r *task.Run, dir folder.Folder, record *inventory.Record, drive *api.Drive) (copied string, err error) {
	chain, err := media.Open(media.RefOf(*drive))
	if err == nil {
		err = ownable(*drive, chain)
	}
	if err != nil {
		return "", err
	}
	drive.File = filepath.Join(folder.Disks, drive.Name+"."+drive.Format)
	step := movedImage{record.Spec.UUID, record.Folder, drive.Source, drive.File}
	if err := r.Journal(ctx, task.NewUndo("move-back", step)); err != nil {
		return "", err
	}
	if err := fault.At(ctx, "create.move-journalled"); err != nil {
		return "", err
	}
	wasCopied, err := media.Move(ctx, drive.Source, dir.Path(drive.File), func(done, total int64) {
		r.Report(api.Progress{Step: "copying " + drive.Source, Done: done, Total: total, Unit: "bytes"})
	})
	if wasCopied {
		copied = drive.Source
	}
	return copied, err
}

// moveBack undoes moveIn, wherever the machine's folder has come to. A source
// that is still there was copied: its copy goes with the folder.
func (m *Manager) moveBack(step movedImage) error {
	if _, err := os.Lstat(step.From); err == nil {
		return nil
	}
	for _, dir := range []folder.Folder{staging(step.UUID, step.Folder), folder.Folder(step.Folder)} {
		err := os.Rename(dir.Path(step.File), step.From)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (m *Manager) removeLeftovers(paths []string) {
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			m.log.Warn("a file that is needed no more could not be removed", "file", path, "error", err)
		}
	}
}

// makeNewDrives makes the images of drives that a change of the spec adds.
// They are small and quick to make, so this is no task; what was made is
// removed again when one cannot be; otherwise it is returned, for the caller to
// remove if the change fails.
func (m *Manager) makeNewDrives(record *inventory.Record) (files []string, err error) {
	dir := folder.Folder(record.Folder)
	defer func() {
		if err != nil {
			m.removeLeftovers(files)
		}
	}()
	for i := range record.Spec.Drives {
		drive := &record.Spec.Drives[i]
		if hasImage(*drive) {
			continue
		}
		if drive.Mode == api.Own && drive.Source != "" {
			return files, problem.New(api.KindUnsupported, "attach it as an overlay, or create a machine with it",
				"drive %s: an image is moved in only when its machine is created", drive.Name)
		}
		path := dir.Path(folder.Disks, drive.Name+".qcow2")
		if _, err := os.Lstat(path); err == nil {
			return files, problem.New(api.KindExists, "name the drive differently, or move the file away", "drive %s: there is a file %s already", drive.Name, path)
		}
		files = append(files, path)
		if err := m.makeImage(record.Spec.UUID, dir, drive); err != nil {
			return files, fmt.Errorf("drive %s: %w", drive.Name, err)
		}
	}
	return files, nil
}

// hasImage reports whether there is nothing to be made for a drive: it has its
// image, or needs none.
func hasImage(drive api.Drive) bool {
	return drive.File != "" || drive.Mode == api.ReadOnly || drive.Mode == api.Attach || drive.Source == "" && drive.Kind != api.Disk
}

// contained checks that nothing of a machine leads out of its folder.
func contained(dir folder.Folder, spec api.Spec) error {
	var files []string
	for _, drive := range spec.Drives {
		if drive.File != "" {
			files = append(files, drive.File)
		}
	}
	if err := dir.Check(files...); err != nil {
		return problem.New(api.KindUnreadable, "a machine's files must be in its folder, not links that lead out of it", "%s", err)
	}
	return nil
}

// ownFiles checks the files that a spec from a folder names as its own: they
// must be in the folder.
func ownFiles(spec api.Spec) []api.FieldError {
	var wrong []api.FieldError
	for i, drive := range spec.Drives {
		inside, err := filepath.Rel(folder.Disks, drive.File)
		if drive.File != "" && (err != nil || !filepath.IsLocal(inside)) {
			wrong = append(wrong, api.FieldError{
				Field:   fmt.Sprintf("drives[%d].file", i),
				Message: fmt.Sprintf("%q is not in the machine's folder %s", drive.File, folder.Disks),
			})
		}
	}
	return wrong
}
