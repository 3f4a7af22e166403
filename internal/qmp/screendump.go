package qmp

import (
	"context"
	"errors"
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
	if err := c.acquire(ctx, c.drawing); err != nil {
		return nil, explain("screendump", err)
	}
	defer func() { <-c.drawing }()
	if c.canvas == nil {
		made, err := c.newCanvas(ctx)
		if err != nil {
			return nil, err
		}
		c.canvas = made
	}
	picture, err := c.draw(ctx, c.canvas)
	var refused *Error
	if err != nil && !errors.As(err, &refused) {
		// QEMU may still be going to draw on it.
		c.dropFDSet(ctx, c.canvas.set.Set)
		c.canvas.close()
		c.canvas = nil
	}
	return picture, err
}

// canvas is a file in memory that QEMU writes pictures to, as an fd set of its
// own. A pipe would not do: QEMU writes in its main loop, where it must never
// wait for us. A file for each picture would not do either: QEMU closes the
// files of removed sets only while the guest runs.
type canvas struct {
	// file is where pictures are read; target, the same in memory, is open for
	// writing only, because QEMU picks a set's file by its access mode.
	file, target *os.File
	set          FDSetEntry
}

func (c *Client) newCanvas(ctx context.Context) (*canvas, error) {
	fd, err := unix.MemfdCreate("screendump", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create memory file for screendump: %w", err)
	}
	made := &canvas{file: os.NewFile(uintptr(fd), "screendump")}
	made.target, err = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_WRONLY, 0)
	if err == nil {
		made.set, err = c.AddFD(ctx, nil, made.target, "screendump")
	}
	if err != nil {
		made.close()
		return nil, fmt.Errorf("give qemu a file for screendump: %w", err)
	}
	return made, nil
}

func (v *canvas) close() {
	_ = v.file.Close()
	_ = v.target.Close()
}

// draw has QEMU draw one picture.
func (c *Client) draw(ctx context.Context, on *canvas) ([]byte, error) {
	if err := on.clear(); err != nil {
		return nil, err
	}
	arguments := map[string]any{"filename": on.set.Path(), "format": "png"}
	if err := c.Execute(ctx, "screendump", arguments, nil); err != nil {
		return nil, err
	}
	picture, err := on.read()
	return picture, errors.Join(err, on.clear())
}

// clear empties the file and rewinds QEMU's position in it, which is target's.
func (v *canvas) clear() error {
	if err := v.target.Truncate(0); err != nil {
		return err
	}
	_, err := v.target.Seek(0, io.SeekStart)
	return err
}

func (v *canvas) read() ([]byte, error) {
	info, err := v.file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 || info.Size() > maxScreendump {
		return nil, fmt.Errorf("qemu wrote a picture of %d bytes: want 1 to %d", info.Size(), maxScreendump)
	}
	return io.ReadAll(io.NewSectionReader(v.file, 0, info.Size()))
}

// dropFDSet removes an fd set without waiting for the answer, also when ctx
// has ended.
func (c *Client) dropFDSet(ctx context.Context, set int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	// It fails only if the connection does, and that drops the set too.
	_, _ = c.send(ctx, "remove-fd", map[string]any{"fdset-id": set}, nil)
}
