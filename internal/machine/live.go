package machine

import (
	"fmt"

	"github.com/panalvm/panal/api"
)

// AssignLive is [Assign] for a machine whose guest is in memory: what only
// follows from other values, and cannot change there, stays.
func AssignLive(spec api.Spec, assignments []string) (api.Spec, []api.FieldError) {
	a := &assigner{spec: Clone(spec), set: map[string]bool{"cpu.maximum": true, "memory.maximum": true, "memory.start": true}}
	for _, assignment := range assignments {
		a.assign(assignment)
	}
	a.settle(spec)
	return a.spec, a.errors
}

// changedCPU finds the changes of CPUs that a machine cannot take while its guest
// is in memory, or saved: in memory it takes other numbers of them, up to the maximum. What
// the host gives it, its cap and the like, can always change.
func changedCPU(old, updated api.Spec, state api.State) []api.FieldError {
	var errors []api.FieldError
	before, after := old.CPU, updated.CPU
	for _, field := range []struct {
		name    string
		changed bool
	}{
		{"maximum", before.Maximum != after.Maximum},
		{"sockets", before.Sockets != after.Sockets},
		{"cores", before.Cores != after.Cores},
		{"threads", before.Threads != after.Threads},
		{"model", before.Model != after.Model},
		{"nested", before.Nested != after.Nested},
	} {
		if field.changed {
			errors = append(errors, api.FieldError{Field: "cpu." + field.name, Message: whileOff(state)})
		}
	}
	if before.Count == after.Count {
		return errors
	}
	switch {
	case state == api.StateSaved:
		errors = append(errors, api.FieldError{Field: "cpu.count", Message: whileOff(state)})
	case old.Architecture != api.X8664:
		errors = append(errors, api.FieldError{
			Field: "cpu.count", Message: whileOff(state) + fmt.Sprintf("; QEMU plugs no CPUs into machines of the architecture %s", old.Architecture),
		})
	case after.Count < before.Count && updated.OS == windows:
		errors = append(errors, api.FieldError{
			Field: "cpu.count", Message: whileOff(state) + "; Windows (the machine's os) takes CPUs while it runs, and gives none back",
		})
	case after.Count < before.Count && state != api.StateRunning:
		errors = append(errors, api.FieldError{
			Field: "cpu.count", Message: "can only be lowered while the guest runs, since it has to let go of a CPU; it is " + string(state),
		})
	}
	return errors
}
