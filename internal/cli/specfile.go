package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/panalvm/panal/api"
)

// maxSpec is the most bytes of a spec's file: the daemon takes no more.
const maxSpec = 1 << 20

// specFile is what a file with a spec holds.
type specFile struct {
	revision int64 // of the machine it was written from, 0 if it does not say
	spec     api.Spec
}

// readSpec reads a spec, or a machine as `panal show --json` prints it. A field
// that does not exist is an error: it would be a typing mistake that nobody
// notices.
func (a *app) readSpec(file string) (specFile, error) {
	data, err := a.readFile(file)
	if err != nil {
		return specFile{}, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return specFile{}, fmt.Errorf("read %s as JSON: %w", file, err)
	}
	if _, isMachine := fields["spec"]; isMachine {
		var machine api.Machine
		err = strictly(data, &machine)
		return specFile{machine.Revision, machine.Spec}, wrapFile(file, err)
	}
	var spec api.Spec
	err = strictly(data, &spec)
	return specFile{spec: spec}, wrapFile(file, err)
}

// readFile reads a file, or standard input for -.
func (a *app) readFile(file string) ([]byte, error) {
	from := a.in
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer opened.Close()
		from = opened
	}
	data, err := io.ReadAll(io.LimitReader(from, maxSpec+1))
	if err == nil && len(data) > maxSpec {
		err = fmt.Errorf("read %s: it has more than %d bytes", file, maxSpec)
	}
	return data, err
}

// strictly decodes JSON that has no other fields than the value.
func strictly(data []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(value)
}

func wrapFile(file string, err error) error {
	if syntax, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("read %s as a spec: %s must not be a %s", file, syntax.Field, syntax.Value)
	}
	if err != nil {
		return fmt.Errorf("read %s as a spec: %w", file, err)
	}
	return nil
}
