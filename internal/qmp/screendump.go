package qmp

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxScreendump bounds a picture: an uncompressed 8K screen is 133 MiB.
const maxScreendump = 160 << 20

// cleanupTimeout is how long putting a command that cleans up on the wire may
// take when its caller has given up.
const cleanupTimeout = time.Second

// Screendump returns a picture of the guest's first display, as PNG. QEMU must
// be 7.1 or newer and the machine have a display device.
func (c *Client) Screendump(ctx context.Context) ([]byte, error) {
	// A file in memory rather than a pipe: QEMU writes the picture in its main
	// loop, where it must never wait for us.
	picture, err := memoryFile("screendump")
	if err != nil {
		return nil, err
	}
	defer func() { _ = picture.Close() }()
	if err := c.screendumpTo(ctx, picture); err != nil {
		return nil, err
	}
	return readBounded(picture, maxScreendump)
}

// screendumpTo lets QEMU write a picture to a file open for writing only.
func (c *Client) screendumpTo(ctx context.Context, picture *os.File) error {
	// QEMU picks a set's file by its access mode: it wants one for writing only.
	target, err := os.OpenFile(procPath(picture), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("reopen screendump's file for writing: %w", err)
	}
	defer func() { _ = target.Close() }()
	added, err := c.AddFD(ctx, nil, target, "screendump")
	if err != nil {
		return err
	}
	defer c.dropFDSet(ctx, added.Set)
	arguments := map[string]any{"filename": added.Path(), "format": "png"}
	return c.Execute(ctx, "screendump", arguments, nil)
}

// dropFDSet removes an fd set without waiting for the answer, also when ctx
// has ended.
func (c *Client) dropFDSet(ctx context.Context, set int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	// It fails only if the connection does, which drops the set too.
	_, _ = c.send(ctx, "remove-fd", map[string]any{"fdset-id": set}, nil)
}

// memoryFile returns an empty file that exists in memory only.
func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create memory file for %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), "memfd:"+name), nil
}

// procPath returns a name under which this process can open file anew.
func procPath(file *os.File) string {
	return fmt.Sprintf("/proc/self/fd/%d", file.Fd())
}

// readBounded returns the content of file, which must not exceed limit bytes.
func readBounded(file *os.File, limit int64) ([]byte, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 || info.Size() > limit {
		return nil, fmt.Errorf("qemu wrote a picture of %d bytes: want 1 to %d", info.Size(), limit)
	}
	return io.ReadAll(io.NewSectionReader(file, 0, info.Size()))
}
