package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// place is where groups are made for one controller.
type place struct {
	version int
	dir     string
}

// Tree is the daemon's place in the host's hierarchies. It is safe for use by several goroutines: all that it has is in the kernel.
type Tree struct {
	name   string
	places map[Controller]place
	lacks  map[Controller]*LackingError
	mounts []mount
}

// Open finds out what the host has, and makes the daemon's place in it. The name tells this daemon's place from those of
// other daemons of the host; it is a file name. What cannot be had is no error: ask [Tree.Lacks].
func Open(name string) *Tree {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	own, _ := os.ReadFile("/proc/self/cgroup")
	return open(name, parseMounts(string(mounts)), parseMembership(string(own)), os.Geteuid() == 0)
}

func open(name string, mounts []mount, own []membership, root bool) *Tree {
	t := &Tree{name: name, places: map[Controller]place{}, lacks: map[Controller]*LackingError{}, mounts: mounts}
	for _, m := range mounts {
		if m.version == 1 {
			t.openV1(m, groupOf(m, own), root)
		}
	}
	for _, m := range mounts {
		if m.version == 2 {
			t.openV2(m, groupOf(m, own), root)
		}
	}
	for _, c := range wanted() {
		if _, ok := t.places[c]; !ok && t.lacks[c] == nil {
			t.lack(c, "none is mounted on this host")
		}
	}
	t.Close() // it was made to see whether it can be; it is made again when somebody needs it
	return t
}

// prepare makes the daemon's place in one hierarchy.
func (t *Tree) prepare(at place) error {
	if err := makeGroup(at.version, at.dir); err != nil || at.version == 1 {
		return err
	}
	var failed []error
	for c, there := range t.places {
		if there == at && c != CPUAcct {
			failed = append(failed, write(filepath.Join(at.dir, "cgroup.subtree_control"), "+"+string(c)))
		}
	}
	return errors.Join(failed...)
}

func (t *Tree) lack(c Controller, format string, args ...any) {
	t.lacks[c] = &LackingError{Controller: c, Reason: fmt.Sprintf(format, args...)}
}

// use takes a directory as the place for a controller, the first one that is found.
func (t *Tree) use(c Controller, at place) {
	if _, ok := t.places[c]; !ok {
		t.places[c] = at
		delete(t.lacks, c)
	}
}

func (t *Tree) openV1(m mount, own string, root bool) {
	dir := filepath.Join(own, t.name)
	for _, c := range m.controllers {
		if !root {
			t.lack(c, "it is of version 1 here, which only root may use")
			continue
		}
		if err := makeGroup(1, dir); err != nil {
			t.lack(c, "%s", err)
			continue
		}
		t.use(c, place{1, dir})
	}
}

// openV2 looks for the place in the hierarchy of version 2, for what version 1 has not taken.
func (t *Tree) openV2(m mount, own string, root bool) {
	parent, dir := filepath.Dir(own), ""
	switch {
	case filepath.Base(own) == Leaf && mayWrite(parent):
		dir = parent
	case root:
		parent, dir = m.dir, filepath.Join(m.dir, t.name)
	case isDelegatedScope(own):
		if err := moveToLeaf(own); err != nil {
			t.lackV2("the daemon's own group %s was delegated to it, and cannot be divided: %s", own, err)
			return
		}
		parent, dir = own, own
	default:
		t.lackV2("the daemon's own group %s is none that it may divide; as a user service of systemd 254 or newer it is (systemctl --user start panal), and by %s", own, scopeCommand)
		return
	}
	offered := controllersIn(filepath.Join(parent, "cgroup.controllers"))
	for _, c := range wanted() {
		if _, ok := t.places[c]; ok || c == CPUAcct {
			continue
		}
		if !slices.Contains(offered, c) {
			t.lackIfNew(c, fmt.Sprintf("%s has no more than: %s", parent, orNone(offered)))
			continue
		}
		if err := enable(c, parent, dir); err != nil {
			t.lackIfNew(c, err.Error())
			continue
		}
		t.use(c, place{2, dir})
	}
	if at, ok := t.places[CPU]; ok && at.version == 2 {
		t.use(CPUAcct, at)
	}
}

// scopeCommand gives a user's daemon a group of its own where systemd is older.
const scopeCommand = "`systemd-run --user --scope -p Delegate=yes panal daemon`"

// isDelegatedScope tells whether a group is a scope that its service manager has given away (systemd.resource-control(5),
// Delegate=; systemd 251 and newer mark it). A service's group is not to be divided: when the daemon starts again
// beside its machines, systemd could not put it there.
func isDelegatedScope(group string) bool {
	mark := make([]byte, 1)
	n, err := unix.Getxattr(group, "user.delegate", mark)
	return err == nil && n == 1 && mark[0] == '1' && filepath.Ext(group) == ".scope" && mayWrite(group)
}

// moveToLeaf puts the daemon into a group below its own, since none that has processes can pass controllers on.
func moveToLeaf(own string) error {
	leaf := filepath.Join(own, Leaf)
	return errors.Join(makeGroup(2, leaf), write(filepath.Join(leaf, "cgroup.procs"), strconv.Itoa(os.Getpid())))
}

// enable makes a controller available to the groups in dir.
func enable(c Controller, parent, dir string) error {
	for _, at := range slices.Compact([]string{parent, dir}) {
		if err := makeGroup(2, at); err != nil {
			return err
		}
		if err := write(filepath.Join(at, "cgroup.subtree_control"), "+"+string(c)); err != nil {
			return fmt.Errorf("it cannot be passed on by %s: %w", at, err)
		}
	}
	return nil
}

func (t *Tree) lackV2(format string, args ...any) {
	for _, c := range wanted() {
		t.lackIfNew(c, fmt.Sprintf(format, args...))
	}
}

func (t *Tree) lackIfNew(c Controller, reason string) {
	if _, ok := t.places[c]; !ok && t.lacks[c] == nil {
		t.lack(c, "%s", reason)
	}
}

func orNone(all []Controller) string {
	words := make([]string, len(all))
	for i, c := range all {
		words[i] = string(c)
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// Lacks is why a controller cannot be used; nil when it can.
func (t *Tree) Lacks(c Controller) *LackingError { return t.lacks[c] }

// Version is the version of the hierarchy that has the controller, 1 or 2; 0 where it is lacking.
func (t *Tree) Version(c Controller) int { return t.places[c].version }

// dirs are all places, each once.
func (t *Tree) dirs() []place {
	var all []place
	for _, c := range wanted() {
		if at, ok := t.places[c]; ok && !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return all
}

// Hold puts a process, with all its threads, into the group of a name, and finds it there if that was done before, by this
// daemon or an earlier one. It fails where a hierarchy that is there refuses; where there are none at all the group is empty
// and all that is asked of it is a LackingError.
func (t *Tree) Hold(name string, pid int) (*Group, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find the groups of process %d: %w", pid, err)
	}
	memberships := parseMembership(string(text))
	group := &Group{tree: t, dirs: map[Controller]place{}}
	added := map[string]bool{}
	for c, at := range t.places {
		dir, there := t.present(at, name, memberships)
		if !there && !added[dir] {
			if err := errors.Join(t.prepare(at), makeGroup(at.version, dir), write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))); err != nil {
				return nil, fmt.Errorf("put process %d into its group: %w", pid, err)
			}
		}
		added[dir] = true
		group.dirs[c] = place{at.version, dir}
	}
	return group, nil
}

// present is the directory of a group, and whether the process is in it. An earlier daemon may have had another place.
func (t *Tree) present(at place, name string, memberships []membership) (dir string, there bool) {
	for _, m := range t.mounts {
		if m.version != at.version || !strings.HasPrefix(at.dir+"/", m.dir+"/") {
			continue
		}
		is := groupOf(m, memberships)
		for _, candidate := range []string{is, filepath.Dir(is)} { // a thread's part, or the group itself
			if filepath.Base(candidate) == name && (filepath.Base(filepath.Dir(candidate)) == t.name || filepath.Dir(candidate) == at.dir) {
				return candidate, true
			}
		}
	}
	return filepath.Join(at.dir, name), false
}

// Sweep removes the groups that no process is in and that keep does not claim.
func (t *Tree) Sweep(keep func(name string) bool) error {
	var failed []error
	for _, at := range t.dirs() {
		for _, name := range subgroups(at.dir) {
			if name != Leaf && !keep(name) {
				failed = append(failed, removeAll(filepath.Join(at.dir, name)))
			}
		}
	}
	t.Close()
	return errors.Join(failed...)
}

// Remove removes a group whose process has ended; one that is not there is removed already.
func (t *Tree) Remove(name string) error {
	var failed []error
	for _, at := range t.dirs() {
		failed = append(failed, removeAll(filepath.Join(at.dir, name)))
	}
	return errors.Join(failed...)
}

// Close removes the daemon's place where no group is left in it.
func (t *Tree) Close() {
	for _, at := range t.dirs() {
		if filepath.Base(at.dir) == t.name {
			_ = os.Remove(at.dir)
		}
	}
}

// subgroups are the names of the groups in one.
func subgroups(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names
}

// removeAll removes a group and those in it. The kernel removes none that has processes.
func removeAll(dir string) error {
	for _, name := range subgroups(dir) {
		if err := removeAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the control group %s: %w", dir, err)
	}
	return nil
}

// makeGroup makes a group unless it is there. In version 1 a cpuset begins empty, and takes no process then.
func makeGroup(version int, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the control group %s: %w", dir, err)
	}
	if version == 2 {
		return nil
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		file := filepath.Join(dir, name)
		if now, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(now)) != "" {
			continue
		}
		above, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
		if err != nil {
			return err
		}
		if err := write(file, strings.TrimSpace(string(above))); err != nil {
			return err
		}
	}
	return nil
}

// write writes a file of the kernel's in one piece. The file must be there: in a group every file is the kernel's.
// It is written by the system call itself: some of these files can be polled, and the kernel answers EAGAIN when it
// cannot do what was asked, which package os takes for a file that will be ready later, and waits for ever.
func write(file, value string) error {
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: file, Err: err}
	}
	if _, err = unix.Write(fd, []byte(value)); err != nil {
		err = &fs.PathError{Op: "write", Path: file, Err: err}
	}
	return errors.Join(err, unix.Close(fd))
}
