package medium

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
)

// Record is a medium that was added to the registry.
type Record struct {
	UUID        string        `json:"uuid"`
	Path        string        `json:"path"`
	Kind        api.DriveKind `json:"kind,omitempty"`
	Format      string        `json:"format"`
	Description string        `json:"description,omitempty"`
	Created     time.Time     `json:"created"`
	// Carried is the UUID that the image itself carried when it was added, and Size
	// its virtual size: another one later is another image.
	Carried string   `json:"carried,omitempty"`
	Size    api.Size `json:"size,omitempty"`
}

// Machine is a machine and the specs that refer to images: its own first, then
// those that its snapshots hold, by their names.
type Machine struct {
	Folder    string
	State     api.State
	Spec      api.Spec
	Snapshots map[string]api.Spec
}

// Facts are what was found in a file.
type Facts struct {
	Format    string
	Size      api.Size
	Actual    api.Size
	Carried   string // the UUID that stands in the image
	Parent    string // absolute path of what it is a difference to
	Encrypted bool
	Kind      api.DriveKind
	Problem   string // why nothing was found
}

// Paths are the images that records and machines refer to.
func Paths(records []Record, machines []Machine) []string {
	seen := map[string]bool{}
	for _, record := range records {
		seen[record.Path] = true
	}
	for _, m := range machines {
		for _, use := range usesOf(m) {
			seen[use.path] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// use is a drive's use of an image.
type use struct {
	path   string
	own    bool
	kind   api.DriveKind
	format string
	mode   api.WriteMode
	api.MediumUse
}

func usesOf(m Machine) []use {
	all := drivesOf(m, m.Spec, "")
	for _, name := range slices.Sorted(maps.Keys(m.Snapshots)) {
		all = append(all, drivesOf(m, m.Snapshots[name], name)...)
	}
	return all
}

func drivesOf(m Machine, spec api.Spec, held string) []use {
	var all []use
	for _, drive := range spec.Drives {
		about := use{kind: drive.Kind, mode: machine.WriteModeOf(drive), MediumUse: api.MediumUse{
			Machine: m.Spec.UUID, Name: m.Spec.Name, Drive: drive.Name, State: m.State, Held: held,
		}}
		add := func(path, format string, own, base bool) {
			one := about
			one.path, one.format, one.own, one.Base = Location(path), format, own, base
			all = append(all, one)
		}
		if drive.File != "" {
			add(filepath.Join(m.Folder, drive.File), "", true, held != "")
		}
		if drive.Source != "" && drive.Mode != api.Own {
			add(drive.Source, drive.Format, false, machine.Layered(drive) || held != "" || machine.Differs(drive))
		}
		for _, under := range drive.Under {
			add(under.Source, under.Format, false, true)
		}
	}
	return all
}

// Location is where a medium is that a drive's source names: a path as the registry writes it, or the URL of what another
// program serves.
func Location(source string) string {
	if machine.IsRemote(source) {
		return source
	}
	return filepath.Clean(source)
}

// View is the media, by their locations: one for each image that records and
// machines refer to, with what was found in it.
func View(records []Record, machines []Machine, facts map[string]Facts) []api.Medium {
	media := map[string]*api.Medium{}
	at := func(path string) *api.Medium {
		if media[path] == nil {
			media[path] = &api.Medium{Location: path, UUID: Derived(path)}
		}
		return media[path]
	}
	for _, m := range machines {
		for _, u := range usesOf(m) {
			u.note(at(u.path))
		}
	}
	for _, record := range records {
		record.note(at(record.Path))
	}
	for path, medium := range media {
		facts[path].note(medium)
	}
	for _, record := range records {
		changed(at(record.Path), record, facts[record.Path])
	}
	link(media, facts)
	view := make([]api.Medium, 0, len(media))
	for _, path := range slices.Sorted(maps.Keys(media)) {
		view = append(view, *media[path])
	}
	return view
}

// Derived is the UUID of an image that was not added to the registry: always
// the same for the same place.
func Derived(path string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("file://"+path)).String()
}

func (u use) note(m *api.Medium) {
	m.Users = append(m.Users, u.MediumUse)
	m.Kind, m.Format = cmp.Or(m.Kind, u.kind), cmp.Or(m.Format, u.format)
	if u.own {
		m.Owner = u.Name
	}
	if !u.Base && !slices.Contains(m.WriteModes, u.mode) {
		m.WriteModes = append(m.WriteModes, u.mode)
	}
}

func (r Record) note(m *api.Medium) {
	m.UUID, m.Registered, m.Description = r.UUID, true, r.Description
	m.Kind, m.Format = cmp.Or(r.Kind, m.Kind), cmp.Or(r.Format, m.Format)
	m.Created = &r.Created
}

func (f Facts) note(m *api.Medium) {
	m.Size, m.Actual, m.Encrypted, m.Problem = f.Size, f.Actual, f.Encrypted, f.Problem
	m.Format, m.Kind = cmp.Or(f.Format, m.Format), cmp.Or(m.Kind, f.Kind)
}

// changed says of a medium that its file is another one than was added. A file
// that has grown is the same still: guests' disks do.
func changed(m *api.Medium, r Record, f Facts) {
	switch {
	case f.Problem != "":
	case r.Carried != "" && f.Carried != "" && r.Carried != f.Carried:
		m.Problem = "the file holds another image than was added: its UUID was " + r.Carried + " and is " + f.Carried
	case f.Format != "" && r.Format != "" && !strings.EqualFold(f.Format, r.Format):
		m.Problem = "the file holds another image than was added: it was " + r.Format + " and is " + f.Format
	case f.Size < r.Size:
		m.Problem = "the file holds another image than was added: its disk was larger"
	}
}

// link notes who is a difference to whom.
func link(media map[string]*api.Medium, facts map[string]Facts) {
	for _, path := range slices.Sorted(maps.Keys(media)) {
		parent := media[facts[path].Parent]
		if parent == nil || parent == media[path] {
			continue
		}
		media[path].Parent = parent.UUID
		parent.Children = append(parent.Children, media[path].UUID)
	}
}
