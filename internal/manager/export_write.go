package manager

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/task"
)

// writeFiles writes an export's files, which get their names when all are
// complete.
func (p place) writeFiles(ctx context.Context, r *task.Run, machines []exporter.Machine, o exporter.Options, replace bool) error {
	stage := hostfs.NewStage(hostfs.Everywhere())
	defer stage.Abort()
	create := func(name string) (*outFile, error) {
		file, err := stage.Create(filepath.Join(filepath.Dir(p.path), name))
		if err != nil {
			return nil, err
		}
		return &outFile{file: file}, nil
	}
	if err := p.write(ctx, create, machines, o); err != nil {
		return err
	}
	if err := fault.At(ctx, "export.written"); err != nil {
		return err
	}
	r.Step("making it durable")
	if err := errors.Join(ctx.Err(), stage.Sync()); err != nil {
		return err
	}
	return p.publish(ctx, r, stage, replace)
}

func (p place) write(ctx context.Context, create func(string) (*outFile, error), machines []exporter.Machine, o exporter.Options) error {
	if !p.archive {
		return exporter.ToFolder(ctx, func(name string) (io.WriteCloser, error) { return create(name) }, machines, o)
	}
	file, err := create(filepath.Base(p.path))
	if err != nil {
		return err
	}
	if err := exporter.ToArchive(ctx, file, machines, o); err != nil {
		_ = file.Close() // what is wrong was said
		return err
	}
	return file.Close()
}

// publish gives the files their names, and takes away what they replace.
func (p place) publish(ctx context.Context, r *task.Run, stage *hostfs.Stage, replace bool) error {
	var stale []string
	if replace {
		for _, name := range p.stale() {
			if !isStaged(stage, name) {
				stale = append(stale, name)
			}
		}
	}
	publication, err := exporter.Plan(stage, replace, stale)
	if err != nil {
		return err
	}
	if err := r.Journal(ctx, task.NewUndo("unpublish", publication)); err != nil {
		return err
	}
	if err := fault.At(ctx, "export.journalled"); err != nil {
		return err
	}
	if err := publication.Publish(stage); err != nil {
		return err
	}
	if err := fault.At(ctx, "export.published"); err != nil {
		return err
	}
	return publication.Complete()
}

func isStaged(stage *hostfs.Stage, name string) bool {
	for _, other := range stage.Names() {
		if other == name {
			return true
		}
	}
	return false
}

// outFile writes a new file from its beginning on. Zeros become holes.
type outFile struct {
	file    disk.File
	at      int64
	end     int64
	pending []byte // what comes before at and is not written yet
}

const (
	// leastHole is how many zeros are worth a hole, in bytes.
	leastHole = 64 << 10
	// outPiece is how much is written at once, in bytes: whole pieces, at
	// multiples of it, go past the page cache.
	outPiece = 1 << 20
)

// Write writes on where the last one ended.
func (f *outFile) Write(p []byte) (int, error) {
	if len(p) >= leastHole && f.at >= f.end && allZero(p) {
		if err := f.flush(); err != nil {
			return 0, err
		}
		f.advance(len(p))
		return len(p), nil
	}
	for done := 0; done < len(p); {
		if f.pending == nil {
			f.pending = make([]byte, 0, outPiece)
		}
		n := min(len(p)-done, outPiece-int(f.at%outPiece))
		f.pending = append(f.pending, p[done:done+n]...)
		f.advance(n)
		if done += n; f.at%outPiece == 0 {
			if err := f.flush(); err != nil {
				return done, err
			}
		}
	}
	return len(p), nil
}

func (f *outFile) advance(n int) {
	f.at += int64(n)
	f.end = max(f.end, f.at)
}

// flush writes what is pending.
func (f *outFile) flush() error {
	_, err := f.file.WriteAt(f.pending, f.at-int64(len(f.pending)))
	f.pending = f.pending[:0]
	return err
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// Seek says where the next Write goes.
func (f *outFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.end
	}
	if offset < 0 {
		return 0, os.ErrInvalid
	}
	if offset != f.at {
		if err := f.flush(); err != nil {
			return 0, err
		}
	}
	f.at = offset
	return offset, nil
}

// Close gives the file its length, and closes it.
func (f *outFile) Close() error {
	return errors.Join(f.flush(), f.file.Truncate(f.end), f.file.Close())
}
