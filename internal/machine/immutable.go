package machine

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
)

// free are the fields that can change whatever the machine is doing.
var free = []string{"name", "description", "labels", "autostart", "restart", "snapshots", "os"}

// never are the fields that cannot change once the machine exists.
var never = map[string]string{
	"uuid":         "is the machine's identity and never changes",
	"architecture": "is fixed when the machine is created",
}

// Immutable says which differences between two complete specs a person may
// not bring about in the machine's state: the identity never changes, the
// hardware only while the machine is off but for the number of CPUs, the memory and the
// limits of drives, the images of drives only by operations made for it.
func Immutable(old, updated api.Spec, state api.State) []api.FieldError {
	var errors []api.FieldError
	before, after := reflect.ValueOf(Clone(old)), reflect.ValueOf(Clone(updated))
	for i := range before.NumField() {
		name := jsonName(before.Type().Field(i))
		if reflect.DeepEqual(before.Field(i).Interface(), after.Field(i).Interface()) {
			continue
		}
		inMemory := state == api.StateRunning || state == api.StatePaused
		switch reason, fixed := never[name]; {
		case fixed:
			errors = append(errors, api.FieldError{Field: name, Message: reason})
		case name == "drives" && inMemory:
			errors = append(errors, changedDrives(old.Drives, updated.Drives, state)...)
		case name == "cpu" && (inMemory || state == api.StateSaved):
			errors = append(errors, changedCPU(old, updated, state)...)
		case name == "memory" && inMemory:
			errors = append(errors, changedMemory(old.Memory, updated.Memory, updated.OS, state)...)
		case state != api.StateOff && !slices.Contains(free, name):
			errors = append(errors, api.FieldError{Field: name, Message: whileOff(state)})
		}
	}
	return append(errors, changedImages(old, updated)...)
}

// changedDrives finds changes of drives that a running machine does not take,
// as it does those of limits.
func changedDrives(old, updated []api.Drive, state api.State) []api.FieldError {
	if len(old) != len(updated) {
		return []api.FieldError{{Field: "drives", Message: whileOff(state) + "; `panal attach` and `panal detach` do it now, where the controller allows it"}}
	}
	var errors []api.FieldError
	for i := range old {
		before, after := reflect.ValueOf(withoutLimits(old[i])), reflect.ValueOf(withoutLimits(updated[i]))
		for f := range before.NumField() {
			if reflect.DeepEqual(before.Field(f).Interface(), after.Field(f).Interface()) {
				continue
			}
			name := jsonName(before.Type().Field(f))
			message := whileOff(state)
			if name == "source" {
				message += "; `panal insert` and `panal eject` change optical and floppy media now"
			}
			errors = append(errors, api.FieldError{Field: fmt.Sprintf("drives[%d].%s", i, name), Message: message})
		}
	}
	return errors
}

func whileOff(state api.State) string {
	if state == api.StateSaved {
		return "can only change while the machine is off; it is saved, and `panal stop` throws the saved state away"
	}
	return fmt.Sprintf("can only change while the machine is off; it is %s", state)
}

// changedImages finds drives whose image is already made and would not be the
// one that the spec then speaks of.
func changedImages(old, updated api.Spec) []api.FieldError {
	var errors []api.FieldError
	for i, drive := range updated.Drives {
		var was api.Drive
		if at := slices.IndexFunc(old.Drives, func(d api.Drive) bool { return d.Name == drive.Name }); at >= 0 {
			was = old.Drives[at]
		}
		field := fmt.Sprintf("drives[%d].", i)
		if drive.File != was.File {
			errors = append(errors, api.FieldError{Field: field + "file", Message: "is set by the daemon alone"})
		}
		if was.File == "" {
			continue
		}
		for name, changed := range map[string]bool{
			"kind":     drive.Kind != was.Kind,
			"mode":     drive.Mode != was.Mode,
			"source":   drive.Source != was.Source,
			"format":   drive.Format != was.Format,
			"snapshot": drive.Snapshot != was.Snapshot,
			"size":     drive.Size != was.Size,
		} {
			if changed {
				errors = append(errors, api.FieldError{Field: field + name, Message: "is fixed since the drive's image was made"})
			}
		}
	}
	slices.SortStableFunc(errors, func(a, b api.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return errors
}

// jsonName returns the name that a field has in JSON.
func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}
