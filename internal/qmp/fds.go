package qmp

import (
	"context"
	"fmt"
	"os"
)

// SendFile gives QEMU a duplicate of file under a name, which commands then
// use as "fd:name" (migrate, netdev_add, …). A file QEMU had under that name is
// closed. Most commands that use a name take the file out of it.
func (c *Client) SendFile(ctx context.Context, name string, file *os.File) error {
	return c.ExecuteWithFile(ctx, "getfd", map[string]any{"fdname": name}, file, nil)
}

// CloseFD closes a file given by SendFile that no command took.
func (c *Client) CloseFD(ctx context.Context, name string) error {
	return c.Execute(ctx, "closefd", map[string]any{"fdname": name}, nil)
}

// FDSetEntry names a file in an fd set of QEMU's.
type FDSetEntry struct {
	// Set is the set's number: the file is opened as /dev/fdset/<Set>.
	Set int `json:"fdset-id"`
	// FD is the file's number within QEMU.
	FD int `json:"fd"`
}

// Path returns the file name under which QEMU opens the set's file.
func (e FDSetEntry) Path() string {
	return FDSetPath(e.Set)
}

// FDSetPath returns the file name under which QEMU opens a file of fd set n:
// one of its files whose access mode is the one wanted.
func FDSetPath(n int) string {
	return fmt.Sprintf("/dev/fdset/%d", n)
}

// AddFD adds a duplicate of file to an fd set: the one numbered *set, which is
// made if it does not exist, or with nil a new one of QEMU's choice. opaque is
// kept with it for query-fdsets, and may be empty.
//
// QEMU closes the files of sets nobody opened when the monitor's last
// connection ends while the guest runs.
func (c *Client) AddFD(ctx context.Context, set *int, file *os.File, opaque string) (FDSetEntry, error) {
	arguments := struct {
		Set    *int   `json:"fdset-id,omitempty"`
		Opaque string `json:"opaque,omitempty"`
	}{set, opaque}
	var added FDSetEntry
	err := c.ExecuteWithFile(ctx, "add-fd", arguments, file, &added)
	return added, err
}

// RemoveFD removes one file from an fd set, or with a negative fd all of them.
// Who opened the set's file keeps it.
func (c *Client) RemoveFD(ctx context.Context, set, fd int) error {
	arguments := map[string]any{"fdset-id": set}
	if fd >= 0 {
		arguments["fd"] = fd
	}
	return c.Execute(ctx, "remove-fd", arguments, nil)
}
