package qmp

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is given by every call on a connection that has ended, whoever
	// ended it: QEMU is gone, or Close was called.
	ErrClosed = errors.New("qmp connection closed")

	// ErrProtocol says that the peer sent something that is not QMP or
	// exceeded a limit. The connection has ended: it comes with ErrClosed.
	ErrProtocol = errors.New("qmp protocol violated")

	// ErrNoFiles is given when a file is to be sent over a connection that is
	// not a Unix socket.
	ErrNoFiles = errors.New("connection cannot carry files")
)

// Classes of errors QEMU distinguishes; most are ClassGeneric.
const (
	ClassGeneric         = "GenericError"
	ClassCommandNotFound = "CommandNotFound"
	ClassDeviceNotActive = "DeviceNotActive"
	ClassDeviceNotFound  = "DeviceNotFound"
	ClassKVMMissingCap   = "KVMMissingCap"
)

// Error is QEMU's refusal of a command.
type Error struct {
	// Class is one of the Class constants.
	Class string
	// Desc is QEMU's explanation, for people.
	Desc string
	// Command is the refused command's name.
	Command string
}

// Error returns the command and QEMU's explanation.
func (e *Error) Error() string {
	return fmt.Sprintf("qemu refused %s: %s", e.Command, e.Desc)
}
