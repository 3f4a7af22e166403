package exporter

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/disk/hostfs"
)

// Publication is how the files of an export get their names: all, or none. It is
// written down before the first step, so that whoever comes after a crash can
// take the steps back.
//
//	what had the name before ──► a hidden name      Publish
//	the new file             ──► its name, the descriptor last
//	what had the name before     is removed         Complete
//
// While everything that was there before still is, Undo goes back; once some of
// it is gone, it goes forward.
type Publication struct {
	Files []Published `json:"files"`
	// Made is the folder that was made for them; empty if it was there.
	Made string `json:"made,omitempty"`
}

// Published is a file that gets a name, or loses it.
type Published struct {
	Path string   `json:"path"`
	New  Identity `json:"new,omitzero"`  // zero: there is no new one, and the old one only goes
	Was  Identity `json:"was,omitzero"`  // what had the name before
	Old  string   `json:"old,omitempty"` // its hidden name; empty when there was nothing
}

// Identity tells a file from others that were or will be at the same path.
type Identity struct {
	Device uint64    `json:"device"`
	Inode  uint64    `json:"inode"`
	Size   int64     `json:"size"`
	Time   time.Time `json:"time"`
}

func identityOf(info fs.FileInfo) Identity {
	id := Identity{Size: info.Size(), Time: info.ModTime().UTC()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		id.Device, id.Inode = stat.Dev, stat.Ino
	}
	return id
}

// is tells whether a path leads to the file.
func (id Identity) is(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || id == (Identity{}) {
		return false
	}
	have := identityOf(info)
	return have.Device == id.Device && have.Inode == id.Inode && have.Size == id.Size && have.Time.Equal(id.Time)
}

// Plan looks at what is in the way of the files of a stage, which are whole and
// synced, and at files that are to go besides. Without replace, something in the
// way is fs.ErrExist.
func Plan(stage *hostfs.Stage, replace bool, stale []string) (*Publication, error) {
	infos, err := stage.Infos()
	if err != nil {
		return nil, err
	}
	p := &Publication{}
	for i, name := range stage.Names() {
		file := Published{Path: name, New: identityOf(infos[i])}
		if err := file.look(replace); err != nil {
			return nil, err
		}
		p.Files = append(p.Files, file)
		if dir := filepath.Dir(name); p.Made == "" && isMissing(dir) {
			p.Made = dir
		}
	}
	for _, name := range stale {
		file := Published{Path: name}
		if err := file.look(true); err != nil {
			return nil, err
		}
		if file.Old != "" {
			p.Files = append(p.Files, file)
		}
	}
	return p, nil
}

func isMissing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// look finds out what has the name.
func (f *Published) look(replace bool) error {
	info, err := os.Lstat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !replace:
		return &fs.PathError{Op: "create", Path: f.Path, Err: fs.ErrExist}
	case info.IsDir():
		return &fs.PathError{Op: "replace", Path: f.Path, Err: errors.New("it is a folder")}
	case info.Mode()&fs.ModeType&^fs.ModeSymlink != 0:
		return &fs.PathError{Op: "replace", Path: f.Path, Err: errors.New("it is a device, a pipe or a socket, and no file")}
	}
	f.Was = identityOf(info)
	f.Old = filepath.Join(filepath.Dir(f.Path), fmt.Sprintf(".%.200s.%08x.old", filepath.Base(f.Path), rand.Uint32()))
	return nil
}

// Publish gives the files their names. When it fails, Undo must follow.
func (p *Publication) Publish(stage *hostfs.Stage) error {
	for _, f := range p.Files {
		if f.Old == "" {
			continue
		}
		if err := os.Rename(f.Path, f.Old); err != nil {
			return err
		}
	}
	return stage.Commit(false)
}

// Complete removes what had the names before. Undo is pointless from then on.
func (p *Publication) Complete() error {
	var failed error
	for _, f := range p.Files {
		if f.Old != "" {
			failed = errors.Join(failed, unlessMissing(removeHeld(f.Old)))
		}
	}
	return failed
}

// removeHeld removes a file and does not wait until its space is free, which takes a good part of a second for
// a gigabyte: that comes when the file is closed, or the process ends.
func removeHeld(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err == nil {
		defer func() { go file.Close() }() //nolint:errcheck // nothing was written
	}
	return os.Remove(path)
}

// Undo makes everything as it was, at whatever point Publish was broken off, or
// carries on what Complete began. It can be called again.
func (p *Publication) Undo() error {
	if p.past() {
		return p.Complete()
	}
	var failed error
	for _, f := range p.Files {
		if f.New.is(f.Path) {
			failed = errors.Join(failed, unlessMissing(os.Remove(f.Path)))
		}
		if f.Old != "" && f.Was.is(f.Old) {
			failed = errors.Join(failed, os.Rename(f.Old, f.Path))
		}
	}
	if p.Made != "" {
		_ = os.Remove(p.Made) // unless somebody has put something in it
	}
	return failed
}

// past tells whether something that was there before is gone for good.
func (p *Publication) past() bool {
	for _, f := range p.Files {
		if f.Old != "" && isMissing(f.Old) && !f.Was.is(f.Path) {
			return true
		}
	}
	return false
}

func unlessMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
