package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/libvirt"
	"github.com/panalvm/panal/internal/appliance/pvs"
	"github.com/panalvm/panal/internal/appliance/vbox"
	"github.com/panalvm/panal/internal/appliance/vmx"
	"github.com/panalvm/panal/internal/problem"
)

// Source is something to be imported. Close it.
type Source struct {
	Appliance *appliance.Appliance

	allowed []string // directories that disks may lie in besides
	path    string   // of the description or archive, absolute
	base    string   // what the names of its files are relative to: a folder, or an archive
	root    *os.Root
	closers []io.Closer
	members archiveOf // of an archive
	// unsigned is what is known of its integrity when there is nothing to verify.
	unsigned string
	verify   func(context.Context, Trust) (Integrity, error)
}

// Open looks at what lies at a path and reads its description. Errors are
// problems that name the path.
//
// Disks may also lie in the directories allowed, where the description names
// them by absolute paths.
func Open(path string, choices appliance.Choices, allowed ...string) (*Source, error) {
	s := &Source{path: path, allowed: allowed}
	err := s.open(choices)
	if err != nil {
		_ = s.Close()
		return nil, explain(s.path, err)
	}
	return s, nil
}

// explain makes a problem of an error about a source.
func explain(path string, err error) error {
	var already *api.Problem
	if errors.As(err, &already) || errors.Is(err, context.Canceled) {
		return err
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok && failed.Path == path {
		err = failed.Err
	}
	if errors.Is(err, fs.ErrNotExist) && !exists(path) {
		return problem.New(api.KindUnreadable, "", "import %s: there is no such file or folder", path)
	}
	return problem.New(api.KindUnreadable, "", "import %s: %s", path, err)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Close closes what was opened. Images that were opened from the source are
// the caller's to close.
func (s *Source) Close() error {
	var failed error
	for _, c := range slices.Backward(s.closers) {
		failed = errors.Join(failed, c.Close())
	}
	s.closers = nil
	return failed
}

func (s *Source) open(choices appliance.Choices) error {
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if s.path, err = describedIn(s.path); err != nil {
			return err
		}
	}
	read := s.reader()
	if read == nil {
		return s.bareDisk()
	}
	return read(choices)
}

// reader is what reads a file of this name and content; nil for what is no
// description and no archive of one.
func (s *Source) reader() func(appliance.Choices) error {
	switch strings.ToLower(filepath.Ext(s.path)) {
	case ".ovf":
		return s.envelope
	case ".ova":
		return s.archive
	case ".vbox":
		return s.beside(vbox.Read)
	case ".vmx":
		return s.beside(vmx.Read)
	case ".pvs":
		return s.beside(pvs.Read)
	case ".xva":
		return s.xva
	case ".xml":
		return s.beside(libvirt.Read)
	}
	switch {
	case isArchive(s.path):
		return s.archive
	case isXVA(s.path):
		return s.xva
	}
	return nil
}

// descriptions are the names of descriptions in a folder, the surest first.
var descriptions = []string{"*.ovf", "*.vbox", "*.vmx", "config.pvs", "*.ova", "*.xva"}

// describedIn finds the description in a folder.
func describedIn(dir string) (string, error) {
	if exists(filepath.Join(dir, "DiskDescriptor.xml")) {
		return dir, nil // a disk of Parallels'
	}
	for _, pattern := range descriptions {
		found, err := filepath.Glob(filepath.Join(escape(dir), pattern))
		if err != nil {
			return "", err
		}
		if len(found) == 1 {
			return found[0], nil
		}
		if len(found) > 1 {
			return "", problem.New(api.KindAmbiguous, "name one of them", "import %s: there are %d descriptions of machines in it: %s",
				dir, len(found), baseNames(found))
		}
	}
	return "", problem.New(api.KindUnreadable, "name the file that describes the machine, or a disk image",
		"import %s: there is no description of a machine in it: no .ovf, .vbox, .vmx, config.pvs, .ova or .xva", dir)
}

// escape keeps the characters that patterns give a meaning.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func baseNames(paths []string) string {
	names := make([]string, 0, len(paths))
	for _, p := range paths[:min(len(paths), 5)] {
		names = append(names, filepath.Base(p))
	}
	return strings.Join(names, ", ")
}

// folder opens the folder that the description lies in. Links that lead out of
// it are not followed.
func (s *Source) folder() (fs.FS, error) {
	s.base = filepath.Dir(s.path)
	root, err := os.OpenRoot(s.base)
	if err != nil {
		return nil, err
	}
	s.root = root
	s.closers = append(s.closers, root)
	return root.FS(), nil
}

// beside reads a description whose files lie beside it.
func (s *Source) beside(read func(fs.FS, string) (*appliance.Appliance, error)) func(appliance.Choices) error {
	return func(appliance.Choices) error {
		files, err := s.folder()
		if err != nil {
			return err
		}
		s.Appliance, err = read(files, filepath.Base(s.path))
		return err
	}
}

// bareDisk makes a machine of a disk image alone.
func (s *Source) bareDisk() error {
	s.base = filepath.Dir(s.path)
	name := strings.TrimSuffix(filepath.Base(s.path), filepath.Ext(s.path))
	chain, guess, err := s.look(appliance.Disk{File: filepath.Base(s.path)})
	if err != nil {
		return err
	}
	m := appliance.Machine{ID: name}
	m.Spec.Name = appliance.CleanName(name)
	m.Spec.Firmware.Type = guess.Firmware
	kind := guess.Kind
	if kind != api.Disk {
		return problem.New(api.KindUnsupported, "`panal create --cdrom` makes a machine that starts from it",
			"import %s: it is an %s image and no machine's disk", s.path, kind)
	}
	m.Spec.Drives = []api.Drive{{Name: "disk0", Kind: kind, Mode: api.Own, Size: chain[0].Size}}
	m.Disks = []appliance.Disk{{Drive: "disk0", File: filepath.Base(s.path), Format: chain[0].Format, Size: int64(chain[0].Size)}}
	s.Appliance = &appliance.Appliance{
		Kind: appliance.KindDisk, Name: m.Spec.Name, Machines: []appliance.Machine{m},
		Notes: []appliance.Note{appliance.Notef("hardware", "a disk says nothing of it; the machine has what `panal create` would give it")},
	}
	return nil
}

// errNoMember is for a file that a description names and that is not there.
func errNoMember(name string) error { return fmt.Errorf("%s: %w", name, fs.ErrNotExist) }
