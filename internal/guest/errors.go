package guest

import (
	"errors"
	"fmt"
)

var (
	// ErrUnresponsive is given when no agent answered in time: none runs in
	// the guest, or it hangs. The next call tries anew.
	ErrUnresponsive = errors.New("guest agent does not answer")

	// ErrClosed is given when the connection to the guest has ended.
	ErrClosed = errors.New("connection to guest agent closed")

	// ErrProtocol is given when the guest sent something that is no answer, or
	// one beyond the limit. The next call tries anew.
	ErrProtocol = errors.New("guest agent's answer is invalid")
)

// Error is the agent's refusal of a command, or its failure at it.
type Error struct {
	// Class is "GenericError", or "CommandNotFound" when this agent lacks the
	// command or was told to refuse it.
	Class string
	// Desc is the agent's explanation, for people.
	Desc string
	// Command is the refused command's name.
	Command string
}

// Error returns the command and the agent's explanation.
func (e *Error) Error() string {
	return fmt.Sprintf("guest agent refused %s: %s", e.Command, e.Desc)
}
