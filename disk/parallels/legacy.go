package parallels

import (
	"slices"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// legacy is what a bundle inherits from its parent: a line of shots, with the
// files that each storage has of them.
type legacy struct {
	line  []string // GUIDs, the youngest first; at least one
	parts []part   // open, of the parent
	files [][]file // of each part, in the order of line
}

// legacyOf is what a parent leaves. ref is how the child's descriptor refers to it.
func legacyOf(parent disk.Image, ref string) (*legacy, error) {
	switch p := parent.(type) {
	case *bundle:
		return p.legacy(ref)
	case layer:
		_, isPlain := p.(*plain)
		g := uuid.NewString()
		return &legacy{
			line:  []string{g},
			parts: []part{{end: p.Size(), own: []level{{p, ref}}}},
			files: [][]file{{{g, isPlain, slashed(ref)}}},
		}, nil
	}
	return nil, disk.Unsupported(name, "the parent must be a Parallels disk as well; convert it to one")
}

// legacy is what a bundle leaves: the shot that is open, and those before.
func (b *bundle) legacy(ref string) (*legacy, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	line, err := b.d.lineage(b.shot)
	if err != nil {
		return nil, err
	}
	l := &legacy{line: line, parts: b.parts}
	for i := range b.d.storages {
		var files []file
		for _, g := range line {
			f := b.d.storages[i].file(g)
			if f == nil {
				return nil, disk.Corrupt(name, b.d.storages[i].at.off, "the storage has no file of shot %s", g)
			}
			files = append(files, file{g, f.plain, rebased(f.path, ref)})
		}
		l.files = append(l.files, files)
	}
	return l, nil
}

// cluster is what the parent's clusters have, 0 if it has none.
func (l *legacy) cluster() int64 {
	for _, p := range l.parts {
		if x, ok := p.top().(*expanding); ok {
			return x.h.cluster()
		}
	}
	return 0
}

// without gives those shots other GUIDs that are called as the child's own are.
func (l *legacy) without(taken map[string]bool) {
	for k, g := range l.line {
		if !taken[g] {
			continue
		}
		fresh := uuid.NewString()
		l.line[k] = fresh
		for i := range l.files {
			l.files[i][k].guid = fresh
		}
	}
}

// shots are those of the line.
func (l *legacy) shots() []shot {
	all := make([]shot, len(l.line))
	for i, g := range l.line {
		all[i].guid = g
		if i+1 < len(l.line) {
			all[i].parent = l.line[i+1]
		}
	}
	return all
}

// storages are those of a disk of the given size: the parent's, of which the last is
// as long as needed.
func (l *legacy) storages(size, block int64) []storage {
	var all []storage
	for i, p := range l.parts {
		if i > 0 && p.start >= size {
			break
		}
		all = append(all, storage{start: p.start, end: min(p.end, size), block: block, files: slices.Clone(l.files[i])})
	}
	all[len(all)-1].end = size
	return all
}
