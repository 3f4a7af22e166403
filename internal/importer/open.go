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
	"syscall"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/hyperv"
	"github.com/panalvm/panal/internal/appliance/pvs"
	"github.com/panalvm/panal/internal/appliance/vbox"
	"github.com/panalvm/panal/internal/appliance/vmx"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/ovf"
	"github.com/panalvm/panal/ovf/ova"
)

// Source is something to be imported. Close it.
type Source struct {
	Appliance *appliance.Appliance

	allowed []string // directories that disks may lie in besides
	path    string   // of the description or archive, absolute
	base    string   // what the names of its files are relative to: a folder, or an archive
	root    *os.Root
	closers []io.Closer
	members archiveOf                           // of an archive
	remote  bool                                // content may be fetched
	fetched map[string]map[ovf.Algorithm][]byte // digests of what was, by its URL
	// referenced are the files that the description refers to, and itself.
	referenced []string
	passing    bool // it comes through a pipe: see Arrival
	// passphrase decrypts what is encrypted, by the ciphers of the files' IDs.
	passphrase string
	ciphers    map[string]*ovf.Cipher
	described  []byte // digest of the description, if it is an OVF's
	verify     func(context.Context, Trust) (Integrity, error)
	misfits    []misfit
	mismatch   string // see Mismatch
}

// Open looks at what lies at a path and reads its description. Errors are
// problems that name the path.
//
// Disks may also lie in the directories allowed, where the description names
// them by absolute paths.
func Open(path string, choices appliance.Choices, allowed ...string) (*Source, error) {
	return OpenEncrypted(path, "", choices, allowed...)
}

// OpenEncrypted is Open for a package that may be encrypted by a passphrase;
// without one, what is encrypted is refused when it is wanted.
func OpenEncrypted(path, passphrase string, choices appliance.Choices, allowed ...string) (*Source, error) {
	s := &Source{path: path, allowed: allowed, passphrase: passphrase}
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
	help := ""
	switch {
	case errors.Is(err, ovf.ErrPassphrase):
		return wrongPassphrase(path, err)
	case errors.Is(err, fs.ErrNotExist) && !exists(path):
		return problem.New(api.KindUnreadable, "", "import %s: there is no such file or folder", path)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("import %s: %w", path, err)
	case errors.Is(err, fs.ErrPermission):
		help = "let the daemon's user read it"
	case errors.Is(err, ova.ErrCutShort):
		help = "get it again: it is no archive, or not all of one"
	case errors.Is(err, io.ErrUnexpectedEOF):
		help = "get the whole of it"
	}
	return problem.New(api.KindUnreadable, help, "import %s: %s", path, strings.TrimPrefix(err.Error(), filepath.Base(path)+": "))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Path is that of the description or archive, which errors name.
func (s *Source) Path() string { return s.path }

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
	switch {
	case info.IsDir():
		if s.path, err = describedIn(s.path); err != nil {
			return err
		}
	case !info.Mode().IsRegular() && info.Mode()&fs.ModeDevice == 0:
		return errors.New("it is neither a file, a folder nor a device")
	case info.Mode().IsRegular() && info.Size() == 0:
		return errors.New("the file is empty")
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
	case ".vmcx":
		return s.hyperv
	case ".xml":
		return s.document
	}
	switch {
	case isXML(s.path):
		return s.document
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
	if _, err := os.ReadDir(dir); err != nil {
		return "", err // which Glob would take for an empty one
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
			return "", several(dir, found)
		}
	}
	switch found := hyperv.Find(os.DirFS(dir)); len(found) {
	case 0:
		return "", problem.New(api.KindUnreadable, "name the file that describes the machine, or a disk image",
			"import %s: there is no description of a machine in it: no .ovf, .vbox, .vmx, config.pvs, .ova, .xva, and no export of Hyper-V", dir)
	case 1:
		return filepath.Join(dir, filepath.FromSlash(found[0])), nil
	default:
		return "", several(dir, found)
	}
}

// several refuses to choose one of several descriptions.
func several(dir string, found []string) error {
	return problem.New(api.KindAmbiguous, "name one of them", "import %s: there are %d descriptions of machines in it: %s", dir, len(found), baseNames(found))
}

// escape keeps the characters that patterns give a meaning.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func baseNames(paths []string) string {
	const most = 5
	names := make([]string, 0, most+1)
	for _, p := range paths[:min(len(paths), most)] {
		names = append(names, filepath.Base(p))
	}
	if len(paths) > most {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// folder opens the folder that the description lies in. Links that lead out of
// it are not followed.
func (s *Source) folder() (fs.FS, error) {
	if s.root != nil {
		return s.root.FS(), nil
	}
	return s.openFolder(filepath.Dir(s.path))
}

// openFolder opens the folder that the names of a description are relative to.
func (s *Source) openFolder(dir string) (fs.FS, error) {
	s.base = dir
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

// hyperv reads an export of Hyper-V, whose description lies in a folder of its own.
func (s *Source) hyperv(appliance.Choices) error {
	dir := filepath.FromSlash(hyperv.Root(filepath.ToSlash(filepath.Dir(s.path))))
	files, err := s.openFolder(dir)
	if err != nil {
		return err
	}
	name, err := filepath.Rel(dir, s.path)
	if err != nil {
		return err
	}
	s.Appliance, err = hyperv.Read(files, filepath.ToSlash(name))
	return err
}

// noDisks are files that lie beside disks, may have a disk's length, and are none, by what their names end with.
var noDisks = map[string]string{
	".vmrs": "what Hyper-V saves a machine's state in", ".vsv": "what Hyper-V saves a machine's state in",
	".vmem": "a machine's memory, as VMware keeps it", ".vmss": "a machine's state, as VMware saves it", ".vmsn": "a snapshot's state, as VMware keeps it",
	".vswp": "what VMware moves a machine's memory out to", ".sav": "a machine's state, as VirtualBox saves it",
	".mem": "a machine's memory, as Parallels keeps it", ".nvram": "the variables of a machine's firmware",
}

// bareDisk makes a machine of a disk image alone.
func (s *Source) bareDisk() error {
	s.base = filepath.Dir(s.path)
	name := strings.TrimSuffix(filepath.Base(s.path), filepath.Ext(s.path))
	chain, guess, err := s.look(appliance.Disk{File: filepath.Base(s.path)})
	if err != nil {
		return s.noDisk(err)
	}
	m := appliance.Machine{ID: name}
	m.Spec.Name = appliance.CleanName(name)
	m.Spec.Firmware.Type = guess.Firmware
	kind := guess.Kind
	if kind != api.Disk {
		return problem.New(api.KindUnsupported, "`panal create --cdrom` makes a machine that starts from it",
			"import %s: it is an %s image and no machine's disk", s.path, kind)
	}
	if chain[0].Format == "raw" && guess.Firmware == "" {
		if what := noDisks[strings.ToLower(filepath.Ext(s.path))]; what != "" {
			return problem.New(api.KindUnreadable, "name the description of the machine, its folder, or a disk image", "import %s: it is %s, and no disk", s.path, what)
		}
		m.Notes = append(m.Notes, appliance.Notef("disk disk0",
			"nothing in it says what it is, or that a machine starts from it; its bytes are taken for those of a disk"))
	}
	m.Spec.Drives = []api.Drive{{Name: "disk0", Kind: kind, Mode: api.Own, Size: chain[0].Size}}
	m.Disks = []appliance.Disk{{Drive: "disk0", File: filepath.Base(s.path), Format: chain[0].Format, Size: int64(chain[0].Size)}}
	s.Appliance = &appliance.Appliance{
		Kind: appliance.KindDisk, Name: m.Spec.Name, Machines: []appliance.Machine{m},
	}
	return nil
}

// noDisk is what to say of a file that is no disk: it may be meant to be something else.
func (s *Source) noDisk(err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || p.Kind != api.KindUnreadable {
		return err
	}
	why := strings.TrimPrefix(p.Detail, "image "+s.path+": ")
	return problem.New(p.Kind, "name an .ovf, .ova, .vbox, .vmx, .pvm, .xva, a domain's .xml, the folder of one, or a disk image",
		"import %s: %s", s.path, why)
}

// errNoMember is for a file that a description names and that is not there.
func errNoMember(name string) error { return fmt.Errorf("%s: %w", name, fs.ErrNotExist) }
