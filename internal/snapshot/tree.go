package snapshot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/panalvm/panal/api"
)

// Bounds of a tree.
const (
	// MaxSnapshots bounds a machine's tree: its record is kept whole in the store.
	MaxSnapshots   = 1000
	maxName        = 63
	maxDescription = 16 << 10
)

// Tree is a machine's snapshots, and which of them its present state came after;
// empty for none.
type Tree struct {
	Snapshots []api.Snapshot
	Current   string
}

// Of is a machine's tree.
func Of(m api.Machine) Tree { return Tree{m.Snapshots, m.Snapshot} }

// Get is the snapshot with an ID.
func (t Tree) Get(id string) (api.Snapshot, bool) {
	i := slices.IndexFunc(t.Snapshots, func(s api.Snapshot) bool { return s.ID == id })
	if i < 0 {
		return api.Snapshot{}, false
	}
	return t.Snapshots[i], true
}

// Find is the snapshots that a user's reference may mean: the one of that name or
// ID, or all whose ID begins so.
func (t Tree) Find(ref string) []api.Snapshot {
	var begin []api.Snapshot
	for _, s := range t.Snapshots {
		if s.Name == ref || s.ID == ref {
			return []api.Snapshot{s}
		}
		if ref != "" && strings.HasPrefix(s.ID, ref) {
			begin = append(begin, s)
		}
	}
	return begin
}

// Children are the snapshots that came right after one; of "" the roots.
func (t Tree) Children(id string) []api.Snapshot {
	var children []api.Snapshot
	for _, s := range t.Snapshots {
		if s.Parent == id {
			children = append(children, s)
		}
	}
	return children
}

// Below are the IDs of a snapshot and of all that came after it.
func (t Tree) Below(id string) []string {
	ids := []string{id}
	for i := 0; i < len(ids); i++ {
		for _, child := range t.Children(ids[i]) {
			if !slices.Contains(ids, child.ID) {
				ids = append(ids, child.ID)
			}
		}
	}
	return ids
}

// Add is the tree with a further snapshot, which the present state now comes
// after.
func (t Tree) Add(s api.Snapshot) Tree {
	s.Parent = t.Current
	return Tree{append(slices.Clone(t.Snapshots), s), s.ID}
}

// Remove is the tree without some snapshots. What came after one of them then comes after
// the nearest that is left above it; the present state too.
func (t Tree) Remove(ids ...string) Tree {
	left := func(id string) string {
		for range len(t.Snapshots) + 1 {
			if !slices.Contains(ids, id) {
				return id
			}
			s, _ := t.Get(id)
			id = s.Parent
		}
		return ""
	}
	after := Tree{Current: left(t.Current)}
	for _, s := range t.Snapshots {
		if !slices.Contains(ids, s.ID) {
			s.Parent = left(s.Parent)
			after.Snapshots = append(after.Snapshots, s)
		}
	}
	return after
}

// Replace is the tree with an image taking another's place in all snapshots.
func (t Tree) Replace(old, by string) Tree {
	after := Tree{slices.Clone(t.Snapshots), t.Current}
	for i, s := range after.Snapshots {
		images := map[string]string{}
		for drive, image := range s.Images {
			if image == old {
				image = by
			}
			images[drive] = image
		}
		if len(images) > 0 {
			after.Snapshots[i].Images = images
		}
	}
	return after
}

// Images are the images that snapshots hold.
func (t Tree) Images() map[string]bool {
	held := map[string]bool{}
	for _, s := range t.Snapshots {
		for _, image := range s.Images {
			held[image] = true
		}
	}
	return held
}

// Ordered is the tree with parents before their children, and otherwise the
// oldest first.
func (t Tree) Ordered() []api.Snapshot {
	ordered := make([]api.Snapshot, 0, len(t.Snapshots))
	var walk func(id string)
	walk = func(id string) {
		children := t.Children(id)
		slices.SortStableFunc(children, func(a, b api.Snapshot) int { return a.Taken.Compare(b.Taken) })
		for _, child := range children {
			ordered = append(ordered, child)
			walk(child.ID)
		}
	}
	walk("")
	return ordered
}

// Check says what is wrong with a tree that comes from outside: nil, or an error
// that says what.
func (t Tree) Check() error {
	if len(t.Snapshots) > MaxSnapshots {
		return fmt.Errorf("it has %d snapshots; %d are possible", len(t.Snapshots), MaxSnapshots)
	}
	ids, names := map[string]bool{"": true}, map[string]bool{}
	for _, s := range t.Snapshots {
		switch {
		case !isID(s.ID):
			return fmt.Errorf("%q is no ID of a snapshot", s.ID)
		case ids[s.ID]:
			return fmt.Errorf("two snapshots have the ID %s", s.ID)
		case names[s.Name]:
			return fmt.Errorf("two snapshots have the name %q", s.Name)
		case !ids[s.Parent]:
			return fmt.Errorf("the snapshot %q comes after %q, which is not before it", s.Name, s.Parent)
		}
		if err := CheckName(s.Name); err != nil {
			return err
		}
		ids[s.ID], names[s.Name] = true, true
	}
	if !ids[t.Current] {
		return fmt.Errorf("the present state comes after %q, and there is no such snapshot", t.Current)
	}
	return nil
}

// isID tells whether a text can be an ID: it is a folder's name as well.
func isID(id string) bool {
	return len(id) == 8 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// CheckName says what is wrong with a snapshot's name.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a snapshot needs a name")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("the name %q holds what cannot be printed", name)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("the name %q begins or ends with space", name)
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Errorf("the name has %d characters; %d are possible", utf8.RuneCountInString(name), maxName)
	case name == "." || name == "..":
		return fmt.Errorf("%q is no name", name)
	}
	return nil
}

// CheckDescription says what is wrong with a snapshot's description.
func CheckDescription(text string) error {
	switch {
	case len(text) > maxDescription:
		return fmt.Errorf("the description has %d bytes; %d are possible", len(text), maxDescription)
	case !utf8.ValidString(text):
		return fmt.Errorf("the description is no text in UTF-8")
	}
	return nil
}

// Free is a name that no snapshot has: the one wanted, or that with a number.
// Where none is wanted, it is snapshot1, snapshot2 and so on.
func (t Tree) Free(wanted string) string {
	taken := map[string]bool{}
	for _, s := range t.Snapshots {
		taken[s.Name] = true
	}
	if wanted != "" && !taken[wanted] {
		return wanted
	}
	pattern, n := "snapshot%d", 1
	if wanted != "" {
		runes := []rune(wanted)
		pattern, n = strings.ReplaceAll(string(runes[:min(len(runes), maxName-6)]), "%", "%%")+" (%d)", 2
	}
	for taken[fmt.Sprintf(pattern, n)] {
		n++
	}
	return fmt.Sprintf(pattern, n)
}

// Oldest orders snapshots by the time they were taken.
func Oldest(a, b api.Snapshot) int {
	return cmp.Or(a.Taken.Compare(b.Taken), strings.Compare(a.ID, b.ID))
}
