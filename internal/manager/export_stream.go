package manager

import (
	"context"
	"io"
	"sync"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/service"
	"github.com/panalvm/panal/internal/task"
)

// ExportStream begins to write machines as an archive to whoever reads it.
func (m *Manager) ExportStream(ctx context.Context, request api.ExportRequest) (service.Archive, error) {
	options, err := exportOptions(request)
	if err != nil {
		return nil, err
	}
	if request.Destination != "" || request.Replace {
		return nil, refuseExport("", "what is read from the answer goes to no file")
	}
	objects, err := m.exported(ctx, request.Machines)
	if err != nil {
		return nil, err
	}
	options.Name = appliance.CleanName(nameOf(request, objects))
	reading, writing := io.Pipe()
	a := &outgoingArchive{PipeReader: reading, manager: m, broken: make(chan struct{})}
	begun, err := m.beginExport(ctx, request, "export", func(ctx context.Context, r *task.Run, machines []exporter.Machine) error {
		options.Progress = reporter(r)
		tellInstead(r, machines, options.Dialect)
		stop := context.AfterFunc(ctx, func() { _ = writing.CloseWithError(context.Cause(ctx)) })
		defer stop()
		return exporter.ToPipe(ctx, writing, machines, options)
	}, func() {})
	if err != nil {
		return nil, err
	}
	a.task = begun
	m.group.Go(func() { a.follow(m, writing) })
	return a, nil
}

// outgoingArchive is an archive that a task writes and a client reads.
type outgoingArchive struct {
	*io.PipeReader
	manager *Manager
	task    api.Task
	broken  chan struct{}
	over    sync.Once
}

// follow ends the archive as its task ends: what was read is whole when the
// machines were given back as well.
func (a *outgoingArchive) follow(m *Manager, writing *io.PipeWriter) {
	ctx := context.WithoutCancel(m.base)
	err := m.tasks.Wait(ctx, a.task.ID)
	var ended api.Task
	if err == nil {
		ended, err = m.tasks.Get(ctx, a.task.ID)
	}
	if err == nil && ended.Error != nil {
		err = ended.Error
	}
	if err == nil {
		_ = writing.Close()
		return
	}
	close(a.broken)
	_ = writing.CloseWithError(err)
}

// Task is the task that writes it, as it was when it began.
func (a *outgoingArchive) Task() api.Task { return a.task }

// Broken is closed when no more comes of it.
func (a *outgoingArchive) Broken() <-chan struct{} { return a.broken }

// Close gives up what was not read: the task is cancelled.
func (a *outgoingArchive) Close() error {
	a.over.Do(func() {
		_ = a.PipeReader.Close()
		// One that has ended needs no cancelling.
		_, _ = a.manager.tasks.Cancel(context.WithoutCancel(a.manager.base), a.task.ID)
	})
	return nil
}
