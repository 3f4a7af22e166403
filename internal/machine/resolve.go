package machine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
)

// Reference is what a machine can be named by.
type Reference struct {
	UUID string
	Name string
}

// NotFoundError says that no machine fits.
type NotFoundError struct{ Ref string }

// Error names what was looked for.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no machine has the name or UUID %q, or one that begins with it", e.Ref)
}

// AmbiguousError says that a prefix fits several machines.
type AmbiguousError struct {
	Ref     string
	Matches []Reference // ordered by name
}

// Error names the machines that fit, at most five of them.
func (e *AmbiguousError) Error() string {
	var names []string
	for _, match := range e.Matches[:min(len(e.Matches), 5)] {
		names = append(names, match.Name)
	}
	more := ""
	if len(e.Matches) > len(names) {
		more = fmt.Sprintf(" and %d more", len(e.Matches)-len(names))
	}
	return fmt.Sprintf("%q fits several machines: %s%s; give more of the name", e.Ref, strings.Join(names, ", "), more)
}

// Resolve finds the machine that ref names: by its exact name, else by its
// exact UUID, else by a prefix of either that no other machine shares. UUIDs
// are compared without regard to case. Errors are *NotFoundError and
// *AmbiguousError.
func Resolve(ref string, candidates []Reference) (Reference, error) {
	if ref == "" {
		return Reference{}, &NotFoundError{Ref: ref}
	}
	lower := strings.ToLower(ref)
	rules := []func(Reference) bool{
		func(c Reference) bool { return c.Name == ref },
		func(c Reference) bool { return c.UUID == lower },
		func(c Reference) bool { return strings.HasPrefix(c.Name, ref) || strings.HasPrefix(c.UUID, lower) },
	}
	for _, fits := range rules {
		if found := matching(candidates, fits); len(found) == 1 {
			return found[0], nil
		} else if len(found) > 1 {
			return Reference{}, &AmbiguousError{Ref: ref, Matches: found}
		}
	}
	return Reference{}, &NotFoundError{Ref: ref}
}

func matching(candidates []Reference, fits func(Reference) bool) []Reference {
	var found []Reference
	for _, c := range candidates {
		if fits(c) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b Reference) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// Summarize makes a machine's row in a list.
func Summarize(m api.Machine) api.Summary {
	description, _, _ := strings.Cut(m.Spec.Description, "\n")
	return api.Summary{
		UUID:         m.Spec.UUID,
		Name:         m.Spec.Name,
		Revision:     m.Revision,
		State:        m.Status.State,
		Since:        m.Status.Since,
		Architecture: m.Spec.Architecture,
		CPUs:         m.Spec.CPU.Count,
		Memory:       m.Spec.Memory.Size,
		Autostart:    m.Spec.Autostart.Enabled,
		Labels:       m.Spec.Labels,
		Description:  strings.TrimRight(description, "\r"),
	}
}
