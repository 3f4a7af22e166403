package qmp

import (
	"encoding/json"
	"testing"
)

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}`,
		`{"return": {}, "id": 1}`,
		`{"return": null, "id": 18446744073709551615}`,
		`{"id": 3, "error": {"class": "GenericError", "desc": "no"}}`,
		`{"timestamp": {"seconds": -1, "microseconds": -1}, "event": "STOP"}`,
		`{"timestamp": {"seconds": 9223372036854775807, "microseconds": 9223372036854775807}, "event": "X", "data": [1]}`,
		`{"error": {}}`, `[]`, ``, `{"RETURN": 1, "return": 2, "id": 0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := decode(line)
		if err != nil {
			return
		}
		if !json.Valid(line) {
			t.Fatalf("accepted what is not JSON: %q", line)
		}
		switch {
		case m.Event != "":
			if e := m.event(); e.Data != nil && !json.Valid(e.Data) {
				t.Fatalf("event data is not JSON: %q", e.Data)
			}
		case m.Greeting != nil:
			if _, err := decodeGreeting(line); err != nil {
				t.Fatalf("greeting accepted, then refused: %v", err)
			}
		default:
			if m.ID == nil {
				t.Fatal("reply without id accepted")
			}
			var result any
			if err := m.outcome("fuzz", &result); err != nil && m.Error == nil {
				t.Fatalf("reply's value is not JSON: %v", err)
			}
		}
	})
}
