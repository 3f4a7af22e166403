package manager

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/problem"
)

// place is where an export goes: files in a directory.
type place struct {
	path    string // of the archive or the descriptor
	stem    string // what the files are called
	archive bool
	folder  bool // it was a folder that was named, which may be new
}

// placeOf understands a destination. In a folder the files are called by name.
func placeOf(destination, name string) (place, error) {
	if !filepath.IsAbs(destination) {
		return place{}, refuseExport("", "the destination %q must be an absolute path", destination)
	}
	info, err := os.Stat(destination)
	isFolder := strings.HasSuffix(destination, "/") || err == nil && info.IsDir()
	p, extension := place{path: filepath.Clean(destination)}, filepath.Ext(destination)
	kind := strings.ToLower(extension)
	known := kind == ".ova" || kind == ".ovf"
	switch {
	case isFolder && known && !strings.HasSuffix(destination, "/"):
		return p, refuseExport("name a file, or end it with / for files in that folder", "%s is a folder", destination)
	case isFolder:
		p.stem, p.folder = appliance.CleanName(name), true
		p.path = filepath.Join(p.path, p.stem+".ovf")
		return p, nil
	case !known:
		return p, refuseExport("an archive is called FILE.ova, a descriptor FILE.ovf, and a folder ends with /", "%s is neither an archive, a descriptor nor a folder", destination)
	}
	p.stem, p.archive = strings.TrimSuffix(filepath.Base(p.path), extension), kind == ".ova"
	switch {
	case p.stem == "" || strings.Trim(p.stem, ".") == "":
		return p, refuseExport("such as web"+kind, "%s has no name before %s", destination, extension)
	case !p.archive && strings.ContainsFunc(p.stem, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return p, refuseExport("choose another name", "the files of an appliance cannot be called %q", p.stem)
	}
	return p, nil
}

// real is the path with links in its folder followed, as far as it is there.
func (p place) real() string {
	dir, missing := filepath.Dir(p.path), ""
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		missing = filepath.Base(dir)
		if real, err = filepath.EvalSymlinks(filepath.Dir(dir)); err != nil {
			return p.path
		}
	}
	return filepath.Join(real, missing, filepath.Base(p.path))
}

// check refuses a place that is taken, that is missing, or that is ours.
func (m *Manager) checkPlace(ctx context.Context, p place, replace bool) error {
	info, err := os.Lstat(p.path)
	switch {
	case err == nil && info.IsDir():
		return refuseExport("choose another name", "%s is a folder", p.path)
	case err == nil && !replace:
		return problem.New(api.KindExists, "choose another name, or replace it with --force", "export: there is a file %s already", p.path)
	}
	if err := p.checkFolder(); err != nil {
		return err
	}
	return m.notOurs(ctx, p)
}

// checkFolder refuses a folder that is not there, as cp does. Only the one that was named as the
// destination is made, and not what it is in, as mkdir does: a name that was mistyped makes none.
func (p place) checkFolder() error {
	dir, help := filepath.Dir(p.path), "make it first"
	info, err := os.Stat(dir)
	if err != nil && p.folder {
		dir = filepath.Dir(dir)
		info, err = os.Stat(dir)
	} else if err != nil && !p.archive {
		help = "make it first, or name a folder alone, as FOLDER/, which is made"
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuseExport(help, "there is no folder %s", dir)
	case err != nil:
		return refuseExport("choose another place", "%s", err)
	case !info.IsDir():
		return refuseExport("choose another name", "%s is no folder", dir)
	}
	return nil
}

// notOurs refuses what lies among our own files, or what a machine stands on:
// the archive, or a disk of the package.
func (m *Manager) notOurs(ctx context.Context, p place) error {
	objects, _, err := m.inv.All(ctx)
	if err != nil {
		return err
	}
	real := p.real()
	below := func(dir string) bool {
		resolved, err := filepath.EvalSymlinks(dir)
		return err == nil && strings.HasPrefix(real, resolved+"/")
	}
	for _, object := range objects {
		if below(object.Value.Folder) {
			return refuseExport("choose a place elsewhere", "%s is in the folder of the machine %s", p.path, object.Value.Spec.Name)
		}
		for _, drive := range object.Value.Spec.Drives {
			if p.holds(drive.Source) {
				return problem.New(api.KindBusy, "choose another name", "export: the machine %s stands on %s", object.Value.Spec.Name, drive.Source)
			}
		}
	}
	for _, dir := range []string{m.Data, m.Runtime} {
		if below(dir) {
			return refuseExport("choose a place elsewhere", "%s is among the daemon's own files", p.path)
		}
	}
	return nil
}

// holds tells whether a file belongs to what is exported to, or lies in it.
func (p place) holds(source string) bool {
	if source == "" {
		return false
	}
	belongs := strings.HasPrefix(filepath.Base(source), p.stem+"-")
	return slices.Contains([]string{p.path, p.real()}, source) || strings.HasPrefix(source, p.path+"/") ||
		belongs && filepath.Dir(source) == filepath.Dir(p.path)
}

// stale is what an export replaces besides the files that it makes.
func (p place) stale() []string {
	if p.archive {
		return nil
	}
	return exporter.Stale(p.path)
}

// places are where files are being made at the moment.
type places struct {
	mu    sync.Mutex // guards taken
	taken map[string]bool
}

// take reserves a place until release is called. One that is taken is api.KindBusy.
func (s *places) take(p place) (release func(), err error) {
	release, free := s.reserve(p.real())
	if !free {
		return nil, problem.New(api.KindBusy, "wait for it, or choose another name", "export: another export is writing %s", p.path)
	}
	return release, nil
}

// reserve reserves a path, which leads through no links, until release is called. One that is reserved is not free.
func (s *places) reserve(real string) (release func(), free bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[real] {
		return nil, false
	}
	if s.taken == nil {
		s.taken = map[string]bool{}
	}
	s.taken[real] = true
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.taken, real)
	}), true
}
