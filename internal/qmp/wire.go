package qmp

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// maxLine bounds one message from QEMU. The longest honest ones (a schema, a
// block graph) stay below 1 MiB.
const maxLine = 64 << 20

// request is one command as it goes over the wire.
type request struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
	ID        uint64 `json:"id"`
}

// message is anything QEMU sends; which kind, its fields tell.
type message struct {
	Greeting  *greeting       `json:"QMP"`
	Return    json.RawMessage `json:"return"`
	Error     *refusal        `json:"error"`
	ID        *uint64         `json:"id"`
	Event     string          `json:"event"`
	Data      json.RawMessage `json:"data"`
	Timestamp timestamp       `json:"timestamp"`
}

type greeting struct {
	Version versionInfo `json:"version"`
}

// versionInfo is VersionInfo of QEMU's schema.
type versionInfo struct {
	QEMU struct {
		Major int `json:"major"`
		Minor int `json:"minor"`
		Micro int `json:"micro"`
	} `json:"qemu"`
	Package string `json:"package"`
}

type refusal struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

type timestamp struct {
	Seconds      int64 `json:"seconds"`
	Microseconds int64 `json:"microseconds"`
}

// Version is QEMU's version, as greeting and query-version give it.
type Version struct {
	Major, Minor, Micro int
	// Package is the distributor's own version, often empty.
	Package string
}

// String returns the version as "7.2.22".
func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro)
}

// AtLeast tells whether v is major.minor or newer.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

func (v versionInfo) version() Version {
	return Version{Major: v.QEMU.Major, Minor: v.QEMU.Minor, Micro: v.QEMU.Micro, Package: v.Package}
}

// decode parses one line and checks that it is exactly one kind of message.
// The result does not refer to line.
func decode(line []byte) (message, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return message{}, fmt.Errorf("%w: %s: %w", ErrProtocol, abbreviate(line), err)
	}
	kinds := 0
	for _, is := range []bool{m.Greeting != nil, m.Return != nil, m.Error != nil, m.Event != ""} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return message{}, fmt.Errorf("%w: neither greeting, reply nor event: %s", ErrProtocol, abbreviate(line))
	}
	if (m.Return != nil || m.Error != nil) && m.ID == nil {
		// QEMU answers without an id what it could not parse. What we send is
		// always JSON, so the two no longer agree where a message begins, and
		// the command it belongs to would wait for ever.
		return message{}, fmt.Errorf("%w: reply without id: %s", ErrProtocol, abbreviate(line))
	}
	return m, nil
}

// decodeGreeting parses the line that opens a connection.
func decodeGreeting(line []byte) (Version, error) {
	m, err := decode(line)
	if err != nil {
		return Version{}, err
	}
	if m.Greeting == nil {
		return Version{}, fmt.Errorf("%w: no greeting: %s", ErrProtocol, abbreviate(line))
	}
	return m.Greeting.Version.version(), nil
}

// encode returns the line for one command.
func encode(id uint64, command string, arguments any) ([]byte, error) {
	if command == "" {
		return nil, errors.New("qmp: empty command name")
	}
	line, err := json.Marshal(request{Execute: command, Arguments: arguments, ID: id})
	if err != nil {
		return nil, fmt.Errorf("qmp %s: encode arguments: %w", command, err)
	}
	return append(line, '\n'), nil
}

func (m message) event() Event {
	at := time.Unix(m.Timestamp.Seconds, 0).Add(time.Duration(m.Timestamp.Microseconds) * time.Microsecond)
	return Event{Name: m.Event, Time: at, Data: m.Data}
}

// abbreviate quotes the start of what a peer sent, for an error message.
func abbreviate(line []byte) string {
	const most = 80
	if len(line) > most {
		return fmt.Sprintf("%q…", line[:most])
	}
	return fmt.Sprintf("%q", line)
}
