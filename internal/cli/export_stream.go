package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// isStream tells whether a destination is read by another program while it is
// written: standard output, a named pipe, a character device such as a tape.
func isStream(destination string) bool {
	if destination == "-" {
		return true
	}
	info, err := os.Stat(destination)
	return err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeCharDevice) != 0
}

// exportStream writes an archive to a stream.
func (a *app) exportStream(ctx context.Context, request api.ExportRequest, destination string) error {
	switch {
	case request.Replace:
		return usageError{"a stream replaces nothing: leave --force out"}
	case destination == "-" && a.json:
		return usageError{"--json and - both want standard output"}
	case destination == "-" && isTerminal(a.out):
		return usageError{"an archive is not for a terminal: let another program read it, or name a file"}
	}
	if _, err := a.connect(ctx); err != nil {
		return failed("export", destination, err)
	}
	out, err := a.openStream(ctx, destination)
	if err != nil {
		return failed("export", destination, err)
	}
	task, err := a.passOn(ctx, request, out)
	if closed := out.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return failed("export", "", err)
	}
	a.warn("export", task.Warnings)
	if a.json {
		return a.printJSON(task)
	}
	a.note("%s: exported", strings.Join(request.Machines, ", "))
	return nil
}

// openStream opens what an archive is written to. A named pipe opens when
// somebody reads it.
func (a *app) openStream(ctx context.Context, destination string) (io.WriteCloser, error) {
	if destination == "-" {
		return unclosed{a.out}, nil
	}
	type opened struct {
		file *os.File
		err  error
	}
	result := make(chan opened, 1)
	go func() {
		file, err := os.OpenFile(destination, os.O_WRONLY, 0)
		result <- opened{file, err}
	}()
	select {
	case r := <-result:
		return r.file, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// unclosed is standard output, which stays open.
type unclosed struct{ io.Writer }

// Close does nothing.
func (unclosed) Close() error { return nil }

// passOn lets the archive through while it follows the task that writes it.
func (a *app) passOn(ctx context.Context, request api.ExportRequest, out io.Writer) (api.Task, error) {
	archive, err := a.client.ExportStream(context.WithoutCancel(ctx), request)
	if err != nil {
		return api.Task{}, err
	}
	defer archive.Close() //nolint:errcheck // what is wrong with it, the task says
	task, err := a.client.Task(context.WithoutCancel(ctx), archive.Task)
	if err != nil {
		return task, err
	}
	copied, followed := make(chan error, 1), make(chan ended, 1)
	go func() { copied <- passPieces(out, archive) }()
	go func() {
		task, err := a.followShown(ctx, task)
		followed <- ended{task, err}
	}()
	return a.bothEnds(ctx, copied, followed, task)
}

// ended is how a task ended.
type ended struct {
	task api.Task
	err  error
}

// bothEnds waits for the archive and for its task, in whatever order they end.
func (a *app) bothEnds(ctx context.Context, copied <-chan error, followed <-chan ended, task api.Task) (api.Task, error) {
	var failed error
	select {
	case failed = <-copied:
		if _, ours := errors.AsType[*unwritten](failed); failed != nil && !ours {
			if _, err := a.client.Task(context.WithoutCancel(ctx), task.ID); err != nil {
				return task, fmt.Errorf("the archive was cut off: %w", err)
			}
		}
	case end := <-followed:
		if end.err != nil {
			return end.task, end.err
		}
		select {
		case failed = <-copied:
		case <-ctx.Done():
			failed = ctx.Err()
		}
		return end.task, failed
	}
	end := <-followed
	if _, ours := errors.AsType[*unwritten](failed); ours || end.err == nil {
		return end.task, failed // when it could not be written, that is why the task was cancelled
	}
	return end.task, end.err
}

// unwritten is an error of whom the archive was for.
type unwritten struct{ err error }

// Error says that it could not be written.
func (u *unwritten) Error() string { return u.err.Error() }

// passPieces copies an archive, and gives it up when it cannot be written. It
// writes whole pieces only: GNU tar, told to read from a named pipe, takes a read that
// ends within a block for a damaged archive.
func passPieces(out io.Writer, archive *client.Archive) error {
	piece := make([]byte, 1<<20)
	for {
		n, err := fillUp(piece, archive)
		if _, failed := out.Write(piece[:n]); failed != nil {
			_ = archive.Close()
			return &unwritten{fmt.Errorf("pass it on: %w", failed)}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fillUp is io.ReadFull that gives the reader's own error, so that the end of
// what is whole differs from that of what was cut off.
func fillUp(p []byte, r io.Reader) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = r.Read(p[n:])
		n += more
	}
	return n, err
}
