// Package folder is a machine on disk: a tree of files that is complete in
// itself, so that a copy of it is a machine too.
//
//	<machines>/<name>/
//	  machine.json   the whole spec, readable
//	  disks/         images that the guest writes
//	  snapshots/     for each snapshot a folder: spec, memory, firmware's variables, TPM
//	  saved/         the saved state, when the machine is saved
//	  nvram/         the firmware's variables
//	  tpm/           the TPM's state
//	  environment/   the CD that tells the guest of its properties
//	  log/           QEMU's log and what the serial lines printed
//
// The store is the authority while the daemon runs; machine.json follows it.
// A change is written beside the file first ([Folder.Prepare]), then committed
// to the store with the file's digest, then renamed into place
// ([Folder.Settle]). A daemon that finds a prepared file whose digest the
// store knows finishes the rename; so neither a crash nor a power cut between
// the steps makes the file look edited by hand.
package folder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
)

// The names within a machine's folder.
const (
	SpecFile  = "machine.json"
	Disks     = "disks"
	Saved     = "saved"
	Snapshots = "snapshots"
	NVRAM     = "nvram"
	TPM       = "tpm"
	// Environment has the CD that tells the guest of its properties.
	Environment = "environment"
	Log         = "log"
	// StateKeys has what the memory of a machine with encrypted disks is encrypted to, and StateKeysNew is
	// what it is replaced by.
	StateKeys    = "state.keys"
	StateKeysNew = StateKeys + ".part"
	preparing    = SpecFile + ".new"
)

// maxSpecFile bounds machine.json: a file larger than this is not one.
const maxSpecFile = 4 << 20

// Format is the version of machine.json that this package writes.
const Format = "panal/1"

// Document is the content of machine.json.
type Document struct {
	Format  string    `json:"format"`
	Created time.Time `json:"created"`
	Spec    api.Spec  `json:"spec"`
	// Snapshots are the tree, parents first; Snapshot is the ID of the one that the
	// present state came after. What else they hold is in their folders.
	Snapshots []api.Snapshot `json:"snapshots,omitempty"`
	Snapshot  string         `json:"snapshot,omitempty"`
}

// Folder is the absolute path of a machine's folder.
type Folder string

// Path is the path of something in the folder.
func (f Folder) Path(elements ...string) string {
	return filepath.Join(append([]string{string(f)}, elements...)...)
}

// Make makes an empty folder, private to its owner. An existing one is an
// error that is fs.ErrExist.
func (f Folder) Make() error {
	if err := os.MkdirAll(filepath.Dir(string(f)), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(string(f), 0o711); err != nil {
		return err
	}
	for _, name := range parts {
		if err := os.Mkdir(f.Path(name), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// Prepare writes a document beside machine.json and returns its digest.
func (f Folder) Prepare(doc Document) (digest string, err error) {
	doc.Format = Format
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(doc); err != nil {
		return "", fmt.Errorf("encode %s: %w", f.Path(SpecFile), err)
	}
	if err := writeSynced(f.Path(preparing), text.Bytes()); err != nil {
		return "", err
	}
	return digestOf(text.Bytes()), nil
}

// Settle puts the prepared document in place, if it is the one with this
// digest; another one, left by a change that was never committed, is removed.
func (f Folder) Settle(digest string) error {
	prepared, err := os.ReadFile(f.Path(preparing))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if digestOf(prepared) != digest {
		return os.Remove(f.Path(preparing))
	}
	if err := os.Rename(f.Path(preparing), f.Path(SpecFile)); err != nil {
		return err
	}
	return syncDir(string(f))
}

// Read reads machine.json, strictly: unknown fields are errors, because a
// misspelt one would otherwise be ignored in silence.
func (f Folder) Read() (doc Document, digest string, err error) {
	file, err := os.Open(f.Path(SpecFile))
	if err != nil {
		return doc, "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSpecFile+1))
	if err != nil {
		return doc, "", err
	}
	if len(text) > maxSpecFile {
		return doc, "", fmt.Errorf("%s is larger than %d bytes: it is no machine.json", file.Name(), maxSpecFile)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		return doc, digestOf(text), fmt.Errorf("%s does not hold a machine: %w", file.Name(), describe(err, text))
	}
	if doc.Format != Format {
		return doc, digestOf(text), fmt.Errorf("%s has the format %q; this version reads %q", file.Name(), doc.Format, Format)
	}
	return doc, digestOf(text), nil
}

// MoveTo moves the folder to another place of the same file system, where
// nothing may be yet: fs.ErrExist.
func (f Folder) MoveTo(to Folder) error {
	if err := unix.Renameat2(unix.AT_FDCWD, string(f), unix.AT_FDCWD, string(to), unix.RENAME_NOREPLACE); err != nil {
		return &os.LinkError{Op: "rename", Old: string(f), New: string(to), Err: err}
	}
	return syncDir(filepath.Dir(string(to)))
}

// Rename renames a file in one of the folder's directories, so that it has its
// new name for good when it returns.
func (f Folder) Rename(dir, from, to string) error {
	if err := os.Rename(f.Path(dir, from), f.Path(dir, to)); err != nil {
		return err
	}
	return syncDir(f.Path(dir))
}

// parts are the directories of a machine's folder.
var parts = []string{Disks, Snapshots, Saved, NVRAM, TPM, Environment, Log}

// files are the files of a machine's folder that lie beside its directories.
var files = []string{SpecFile, preparing, StateKeys, StateKeysNew}

// Foreign lists what is in the folder and not the machine's.
func (f Folder) Foreign() ([]string, error) {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var foreign []string
	for _, entry := range entries {
		if name := entry.Name(); !slices.Contains(files, name) && !slices.Contains(parts, name) {
			foreign = append(foreign, name)
		}
	}
	return foreign, err
}

// Remove removes what is the machine's, and then the folder, unless something
// else is in it: that stays. A folder that is gone already is no error.
func (f Folder) Remove() error {
	for _, name := range slices.Concat(files, parts) {
		if err := os.RemoveAll(f.Path(name)); err != nil {
			return err
		}
	}
	err := os.Remove(string(f))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(string(f)))
}

// Check makes sure that the folder's directories are there, and that neither
// they nor the files named, relative to the folder, lead out of it by links: a
// folder can come from anywhere, and what its guest writes must stay in it.
func (f Folder) Check(files ...string) error {
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range parts {
		info, err := root.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// Archives and version control lose empty directories.
			err = root.Mkdir(name, 0o700)
		case err == nil && !info.IsDir():
			err = errors.New("is no directory")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path(name), err)
		}
	}
	links, err := linksIn(root)
	if err != nil {
		return err
	}
	for _, name := range append(links, files...) {
		// Root refuses to follow a link that leads out.
		if _, err := root.Stat(name); err != nil {
			return fmt.Errorf("%s: %w", f.Path(name), cause(err))
		}
	}
	return nil
}

// linksIn lists the symbolic links in the folder's directories.
func linksIn(root *os.Root) ([]string, error) {
	var links []string
	for _, part := range parts {
		err := fs.WalkDir(root.FS(), part, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type()&fs.ModeSymlink != 0 {
				links = append(links, path)
			}
			if path != part && errors.Is(err, fs.ErrNotExist) {
				return nil // what a task has left over is removed while the next one begins
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return links, nil
}

func cause(err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// describe adds the line to an error of the JSON decoder.
func describe(err error, text []byte) error {
	offset := int64(-1)
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &typed):
		offset = typed.Offset
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		offset = int64(len(text))
	}
	if offset < 0 || offset > int64(len(text)) {
		return err
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:offset], []byte("\n")), err)
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// writeSynced writes a file so that it is on stable storage when it returns.
func writeSynced(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = file.Write(text); err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(path)
	}
	return err
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
