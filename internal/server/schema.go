package server

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/panalvm/panal/api"
)

// registry knows the schemas that huma cannot find by looking at a Go type.
// They are given here because package api imports nothing but Go's own library.
func registry() huma.Registry {
	r := huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer)
	r.RegisterTypeAlias(reflect.TypeFor[failure](), reflect.TypeFor[api.Problem]())
	r.RegisterTypeAlias(reflect.TypeFor[api.Size](), reflect.TypeFor[sizeSchema]())
	r.RegisterTypeAlias(reflect.TypeFor[api.Kind](), reflect.TypeFor[kindSchema]())
	r.RegisterTypeAlias(reflect.TypeFor[api.EventType](), reflect.TypeFor[eventTypeSchema]())
	r.RegisterTypeAlias(reflect.TypeFor[api.State](), reflect.TypeFor[stateSchema]())
	return r
}

// sizePattern is what api.ParseSize takes; whether the number is in range and
// whole is left to it.
const sizePattern = `^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)\s*[KMGTkmgt]?\s*[Ii]?[Bb]?\s*$`

type sizeSchema int64

// Schema says that a size is a number or a string.
func (sizeSchema) Schema(huma.Registry) *huma.Schema {
	least := 0.0
	return &huma.Schema{AnyOf: []*huma.Schema{
		{Type: huma.TypeInteger, Format: "int64", Minimum: &least, Description: "bytes"},
		{Type: huma.TypeString, Pattern: sizePattern, Examples: []any{"512M", "1.5G", "20GiB"}, Description: "a number with a binary unit"},
	}}
}

type kindSchema string

// Schema lists the kinds of problems.
func (kindSchema) Schema(huma.Registry) *huma.Schema {
	s := enum(api.KindInvalid, api.KindNotFound, api.KindAmbiguous, api.KindExists, api.KindConflict,
		api.KindWrongState, api.KindBusy, api.KindEdited, api.KindUnreadable, api.KindUnsupported, api.KindMissing,
		api.KindNoSpace, api.KindGone, api.KindRefused, api.KindTooLarge, api.KindCancelled, api.KindLocked, api.KindTimeout, api.KindUnavailable,
		api.KindInternal)
	s.Description = "stable name of what went wrong, for programs; further kinds may be added"
	return s
}

type eventTypeSchema string

// Schema lists the types of events.
func (eventTypeSchema) Schema(huma.Registry) *huma.Schema {
	return enum(api.MachineCreated, api.MachineChanged, api.MachineState, api.MachineDeleted,
		api.TaskCreated, api.TaskProgress, api.TaskEnded, api.HostMadeRoom)
}

type stateSchema string

// Schema lists the states of a machine.
func (stateSchema) Schema(huma.Registry) *huma.Schema {
	return enum(api.StateOff, api.StateStarting, api.StateRunning, api.StatePaused, api.StateStopping,
		api.StateSaving, api.StateSaved)
}

func enum[T ~string](values ...T) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, v := range values {
		s.Enum = append(s.Enum, string(v))
	}
	return s
}
