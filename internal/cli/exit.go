package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
)

// The exit codes.
const (
	ExitDone     = 0 // done
	ExitFailed   = 1 // refused, failed, cancelled, or not in time
	ExitUsage    = 2 // the command line is wrong
	ExitNotFound = 3 // there is no such machine, task or file
	ExitConflict = 4 // it exists already, is busy, has changed, or is in the wrong state
)

// usageError is an error in how a command was called.
type usageError struct{ message string }

// Error says what is wrong with the command line.
func (e usageError) Error() string { return e.message }

// actionError is an error with what was attempted.
type actionError struct {
	verb, on string
	err      error
}

// Error is one line. The daemon's own errors often begin with what was
// attempted: it is not said twice.
func (e actionError) Error() string {
	text := e.err.Error()
	if strings.HasPrefix(text, e.verb+" ") || strings.HasPrefix(text, e.verb+": ") {
		return text
	}
	return strings.TrimSpace(e.verb+" "+e.on) + ": " + text
}

// Unwrap is the error without the action.
func (e actionError) Unwrap() error { return e.err }

// failed says what was attempted when an error came; nil stays nil.
func failed(verb, on string, err error) error {
	if err == nil {
		return nil
	}
	return actionError{verb, on, err}
}

// several are the errors of a command that works on several things. Each has
// been told already.
type severalError struct{ errs []error }

// Error is all of them, for a log.
func (e severalError) Error() string { return errors.Join(e.errs...).Error() }

// report writes an error and returns the exit code for it.
func (a *app) report(command *cobra.Command, err error) int {
	if several, ok := errors.AsType[severalError](err); ok {
		return codeOfSeveral(several.errs)
	}
	_, isUsage := errors.AsType[usageError](err)
	if !isUsage && a.parsed {
		fmt.Fprintln(a.err, "panal: "+oneLine(err))
		return codeOf(err)
	}
	err = plainNumber(err)
	name := strings.TrimSpace(strings.TrimPrefix(command.CommandPath(), "panal"))
	if name != "" {
		err = failed(name, "", err)
	}
	fmt.Fprintf(a.err, "panal: %s\nSee %q.\n", oneLine(err), command.CommandPath()+" --help")
	return ExitUsage
}

// plainNumber says of a flag's number what is wrong with it without the words of the function that reads it.
func plainNumber(err error) error {
	invalid, isValue := errors.AsType[*pflag.InvalidValueError](err)
	number, isNumber := errors.AsType[*strconv.NumError](err)
	if !isValue || !isNumber {
		return err
	}
	why := "it is not a whole number"
	if errors.Is(number, strconv.ErrRange) {
		why = "it is too large or too small"
	}
	return usageError{fmt.Sprintf("--%s: %q: %s", invalid.GetFlag().Name, invalid.GetValue(), why)}
}

// oneLine is an error's text without line ends, which a file's name or QEMU's
// words can hold, and without anything else that a terminal would obey.
func oneLine(err error) string {
	return printable(strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), " "))
}

// codeOf is the exit code of an error.
func codeOf(err error) int {
	if _, ok := errors.AsType[usageError](err); ok {
		return ExitUsage
	}
	if _, ok := errors.AsType[imageError](err); ok {
		return codeOfDisk(err)
	}
	switch client.KindOf(err) {
	case api.KindNotFound:
		return ExitNotFound
	case api.KindExists, api.KindBusy, api.KindWrongState, api.KindConflict, api.KindAmbiguous, api.KindEdited:
		return ExitConflict
	}
	return ExitFailed
}

// codeOfDisk is the exit code of an error of work on images.
func codeOfDisk(err error) int {
	if _, ok := errors.AsType[troubled](err); ok {
		if code := codeOfDisk(errors.Unwrap(err)); code == ExitNotFound || code == ExitConflict {
			return code
		}
		return ExitUsage
	}
	if _, ok := errors.AsType[*disk.UsageError](err); ok {
		return ExitUsage
	}
	if _, ok := errors.AsType[*hostfs.Busy](err); ok || errors.Is(err, fs.ErrExist) {
		return ExitConflict
	}
	if errors.Is(err, fs.ErrNotExist) {
		return ExitNotFound
	}
	return ExitFailed
}

// codeOfSeveral is the exit code they share, or that of failure.
func codeOfSeveral(errs []error) int {
	code := codeOf(errs[0])
	for _, err := range errs[1:] {
		if codeOf(err) != code {
			return ExitFailed
		}
	}
	return code
}

// interrupted is the error of a command that ^C ended.
func interrupted(err error) bool {
	return errors.Is(err, context.Canceled)
}
