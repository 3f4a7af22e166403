package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/panalvm/panal/api"
)

// jsonFormat is how bodies are read and written. Names that are not known have
// been refused by their schema before it reads.
var jsonFormat = huma.Format{Marshal: writeJSON, Unmarshal: readJSON}

// writeJSON writes v. That a client has gone is no error: nobody is left to be
// told, and huma would take it for a defect.
func writeJSON(w io.Writer, v any) error {
	if machines, ok := v.(api.MachineList); ok {
		return writeMachineList(w, machines)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, _ = w.Write(text.Bytes())
	return nil
}

func readJSON(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return fmt.Errorf("%s: a %s does not fit here", mismatch.Field, mismatch.Value)
	}
	return err
}

// listChunk is how much of a list is written at once.
const listChunk = 64 << 10

// writeMachineList writes what encoding/json would, in a fraction of the time:
// it is the one answer that grows with the number of machines, and the one that
// clients ask for most.
func writeMachineList(w io.Writer, machines api.MachineList) error {
	text := make([]byte, 0, listChunk+4<<10)
	text = append(text, `{"revision":`...)
	text = strconv.AppendInt(text, machines.Revision, 10)
	text = append(text, `,"machines":[`...)
	for i := range machines.Machines {
		if i > 0 {
			text = append(text, ',')
		}
		var err error
		if text, err = appendSummary(text, &machines.Machines[i]); err != nil {
			return err
		}
		if len(text) < listChunk {
			continue
		}
		if _, err := w.Write(text); err != nil {
			return nil // as in writeJSON
		}
		text = text[:0]
	}
	_, _ = w.Write(append(text, "]}\n"...))
	return nil
}

func appendSummary(text []byte, m *api.Summary) ([]byte, error) {
	text = appendString(append(text, `{"uuid":`...), m.UUID)
	text = appendString(append(text, `,"name":`...), m.Name)
	text = strconv.AppendInt(append(text, `,"revision":`...), m.Revision, 10)
	text = appendString(append(text, `,"state":`...), string(m.State))
	text, err := m.Since.AppendText(append(text, `,"since":"`...))
	if err != nil {
		return nil, fmt.Errorf("write when machine %q entered its state: %w", m.Name, err)
	}
	text = appendString(append(text, `","architecture":`...), string(m.Architecture))
	text = strconv.AppendInt(append(text, `,"cpus":`...), int64(m.CPUs), 10)
	text = strconv.AppendInt(append(text, `,"memory":`...), int64(m.Memory), 10)
	if m.Autostart {
		text = append(text, `,"autostart":true`...)
	}
	if len(m.Labels) > 0 {
		text = appendLabels(append(text, `,"labels":`...), m.Labels)
	}
	if m.Description != "" {
		text = appendString(append(text, `,"description":`...), m.Description)
	}
	return append(text, '}'), nil
}

// appendLabels writes the labels in the order of their names.
func appendLabels(text []byte, labels map[string]string) []byte {
	var few [8]string // most machines have fewer: no allocation for them
	names := few[:0]
	for name := range labels {
		names = append(names, name)
	}
	slices.Sort(names)
	text = append(text, '{')
	for i, name := range names {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(appendString(text, name), ':')
		text = appendString(text, labels[name])
	}
	return append(text, '}')
}

// appendString writes a string as JSON; one with anything to escape goes the
// slow way.
func appendString(text []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			slow, _ := json.Marshal(s) // a string never fails
			return append(text, slow...)
		}
	}
	text = append(text, '"')
	text = append(text, s...)
	return append(text, '"')
}
