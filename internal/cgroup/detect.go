package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Controller is one of the kernel's controllers, by the kernel's name.
type Controller string

// The controllers in use.
const (
	CPU     Controller = "cpu"     // limits and weights of CPU time
	CPUSet  Controller = "cpuset"  // the memory nodes that a process may use
	Memory  Controller = "memory"  // limits of memory and swap
	CPUAcct Controller = "cpuacct" // CPU time used; part of CPU in version 2
)

// wanted is every controller in use.
func wanted() []Controller { return []Controller{CPU, CPUSet, Memory, CPUAcct} }

// Leaf is the name of the group that a service manager of version 2 starts the daemon in, beside which it may make others.
const Leaf = "daemon"

// LackingError is a controller that cannot be used on this host, or something that its version does not have.
type LackingError struct {
	Controller Controller
	Reason     string
}

// Error is the reason, for a person.
func (e *LackingError) Error() string {
	return fmt.Sprintf("this host offers Panal no control group with the controller %s: %s", e.Controller, e.Reason)
}

// IsLacking tells whether an error is a LackingError.
func IsLacking(err error) bool {
	var lacking *LackingError
	return errors.As(err, &lacking)
}

// mount is a mounted hierarchy.
type mount struct {
	version     int
	dir         string // where it is mounted
	root        string // the group that is seen there
	controllers []Controller
}

// parseMounts finds the hierarchies in the text of /proc/self/mountinfo (proc_pid_mountinfo(5)).
func parseMounts(text string) []mount {
	var found []mount
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		fields, types := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(types) < 3 {
			continue
		}
		m := mount{root: unescape(fields[3]), dir: unescape(fields[4])}
		switch types[0] {
		case "cgroup2":
			m.version = 2
		case "cgroup":
			m.version = 1
			for option := range strings.SplitSeq(types[2], ",") {
				if c := Controller(option); slices.Contains(wanted(), c) {
					m.controllers = append(m.controllers, c)
				}
			}
		default:
			continue
		}
		found = append(found, m)
	}
	return found
}

// unescape undoes how the kernel writes spaces and the like in mountinfo.
func unescape(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}

// membership is the group of a process in one hierarchy.
type membership struct {
	controllers []Controller // none for version 2
	path        string
}

// parseMembership reads the text of /proc/PID/cgroup (cgroups(7)).
func parseMembership(text string) []membership {
	var found []membership
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		m := membership{path: parts[2]}
		for name := range strings.SplitSeq(parts[1], ",") {
			if name != "" {
				m.controllers = append(m.controllers, Controller(name))
			}
		}
		found = append(found, m)
	}
	return found
}

// groupOf is the directory of the group that a process with such memberships is in.
func groupOf(m mount, all []membership) string {
	for _, one := range all {
		same := m.version == 2 && len(one.controllers) == 0
		for _, c := range m.controllers {
			same = same || slices.Contains(one.controllers, c)
		}
		if !same {
			continue
		}
		relative, err := filepath.Rel(m.root, one.path)
		if err != nil || relative == ".." || strings.HasPrefix(relative, "../") {
			return m.dir
		}
		return filepath.Join(m.dir, relative)
	}
	return m.dir
}

// controllersIn lists what a file such as cgroup.controllers names.
func controllersIn(file string) []Controller {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var all []Controller
	for name := range strings.FieldsSeq(string(text)) {
		all = append(all, Controller(name))
	}
	return all
}

// mayWrite tells whether the daemon may make groups in a directory.
func mayWrite(dir string) bool { return unix.Access(dir, unix.W_OK) == nil }
