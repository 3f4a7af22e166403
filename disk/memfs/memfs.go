// Package memfs keeps images in memory, and can lose power: [FS.Crash] gives
// what a power cut at this moment may leave on a real disk. Of what was
// written to a file and not synced, any sectors may have arrived and any not,
// in any order; what was synced is there.
//
//	fs := memfs.New()
//	img, err := disk.Create("a.vdi", disk.CreateOptions{FS: fs, …})
//	…
//	after := fs.Crash(rng)          // as often as wanted; fs goes on
//	img, err = disk.Open("a.vdi", disk.Options{FS: after, …})
//
// Files are sparse: only pages that were written take memory.
package memfs

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/panalvm/panal/disk"
)

// FS is a tree of files in memory. Names are slash-separated paths; a file's
// directory needs no making.
type FS struct {
	// OnOp, when set, is called before each change of a file and each Sync,
	// with its kind ("write", "truncate", "punch", "sync", "rename") and the file's name. It may call Crash.
	// It is set before the FS is used.
	OnOp func(kind, name string)

	mu    sync.Mutex // guards files
	files map[string]*node
}

// New is an empty file system.
func New() *FS { return &FS{files: map[string]*node{}} }

// Put makes a file with a content, durable, in place of one of that name.
func (m *FS) Put(name string, content []byte) {
	n := newNode()
	n.current.writeAt(content, 0)
	n.durable.writeAt(content, 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[clean(name)] = n
}

// Bytes is the whole content of a file, nil if there is none.
func (m *FS) Bytes(name string) []byte {
	n := m.node(name)
	if n == nil {
		return nil
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	p := make([]byte, n.current.size)
	n.current.readAt(p, 0)
	return p
}

// Names lists the files, sorted.
func (m *FS) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.files))
}

// Open opens a file.
func (m *FS) Open(name string, write bool) (disk.File, error) {
	n := m.node(name)
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &File{fs: m, name: clean(name), node: n, write: write}, nil
}

// Create makes a file.
func (m *FS) Create(name string) (disk.File, error) {
	name = clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	n := newNode()
	m.files[name] = n
	return &File{fs: m, name: name, node: n, write: true}, nil
}

// Remove deletes a file; those who have it open keep it.
func (m *FS) Remove(name string) error {
	name = clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.files, name)
	return nil
}

// Rename puts a file in another's place. OnOp is told of it as "rename".
func (m *FS) Rename(from, to string) error {
	if hook := m.OnOp; hook != nil {
		hook("rename", clean(from))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.files[clean(from)]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(m.files, clean(from))
	m.files[clean(to)] = n
	return nil
}

// Resolve follows references within the file system; ".." cannot leave it.
func (m *FS) Resolve(from, ref string) (string, error) {
	ref = strings.ReplaceAll(ref, `\`, "/")
	if len(ref) > 1 && ref[1] == ':' {
		ref = "/" + ref[2:]
	}
	if path.IsAbs(ref) {
		return clean(ref), nil
	}
	joined := path.Join(path.Dir(clean(from)), ref)
	if joined == ".." || strings.HasPrefix(joined, "../") {
		return "", &fs.PathError{Op: "open", Path: ref, Err: disk.ErrOutside}
	}
	return joined, nil
}

// Siblings lists the files of the same directory.
func (m *FS) Siblings(name string) ([]string, error) {
	all := m.Names()
	return slices.DeleteFunc(all, func(other string) bool {
		return other == clean(name) || path.Dir(other) != path.Dir(clean(name))
	}), nil
}

// Crash is the file system as a power cut may leave it. m is not changed.
func (m *FS) Crash(rng *rand.Rand) *FS {
	after := New()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.files)) {
		after.files[name] = m.files[name].crash(rng)
	}
	return after
}

func (m *FS) node(name string) *node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.files[clean(name)]
}

func clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}
