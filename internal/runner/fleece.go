package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/nbd"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/qemu"
	"github.com/panalvm/panal/internal/qmp"
)

// fleecing begins the names of a fleece's jobs.
const fleecing = "fleece"

// Fleece is what some drives of a running machine held at one instant.
type Fleece struct {
	session *Session
	views   []view
	once    sync.Once
	closed  error
}

// view is a drive in a fleece: an image that takes what the guest is about to
// overwrite, and stands on what the guest writes.
type view struct {
	drive, node, job string
}

// Fleece shows what drives hold at this instant, the same for all, while the guest goes
// on writing: before it overwrites something, that is copied into a nameless file in
// dir, which grows by what the guest writes. Where there is no room for that the guest's
// write fails as on a full disk. Until Close nothing can be changed about the drives' images. A
// fleece ends with the daemon.
func (s *Session) Fleece(ctx context.Context, drives []string, dir string) (*Fleece, error) {
	s.blocks.Lock()
	defer s.blocks.Unlock()
	f := &Fleece{session: s}
	var actions []qmp.Action
	for _, drive := range drives {
		action, err := f.add(ctx, drive, dir)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("drive %s: %w", drive, err), f.end(context.WithoutCancel(ctx)))
		}
		actions = append(actions, action)
	}
	err := s.monitor.Transaction(ctx, actions)
	if err == nil {
		err = f.export(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, f.end(context.WithoutCancel(ctx)))
	}
	return f, nil
}

// add makes a drive's view, and the action that fills it.
func (f *Fleece) add(ctx context.Context, drive, dir string) (action qmp.Action, err error) {
	s := f.session
	top, err := s.insertedIn(ctx, drive)
	if err != nil {
		return action, err
	}
	name := uuid.NewString()
	v := view{drive: drive, node: qemu.NodeName(drive, name), job: fleecing + "." + drive + "." + name[:8]}
	scratch, err := nameless(filepath.Join(dir, ".fleece-"+name), api.Size(top.Image.VirtualSize))
	if err != nil {
		return action, err
	}
	defer scratch.Close()
	if err := s.addOpened(ctx, qemu.FormatNode(v.node, "qcow2", false, top.Name), scratch, api.Drive{}); err != nil {
		return action, err
	}
	f.views = append(f.views, v)
	return qmp.Action{Type: "blockdev-backup", Data: map[string]any{
		"job-id": v.job, "device": top.Name, "target": v.node, "sync": "none",
	}}, nil
}

// nameless makes an empty qcow2 image that is gone when nobody has it open.
func nameless(path string, size api.Size) (*os.File, error) {
	if err := media.CreateEmpty(path, size, nil); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	return file, errors.Join(err, os.Remove(path))
}

// export serves the views.
func (f *Fleece) export(ctx context.Context) error {
	s := f.session
	err := s.monitor.Execute(ctx, "nbd-server-start", map[string]any{
		"addr": map[string]any{"type": "unix", "data": map[string]any{"path": s.machine.Dir.fleece()}},
	}, nil)
	if refused := (*qmp.Error)(nil); errors.As(err, &refused) && strings.Contains(refused.Desc, "already running") {
		err = nil // of another fleece
	}
	for _, v := range f.views {
		if err != nil {
			return err
		}
		err = s.monitor.Execute(ctx, "block-export-add", map[string]any{
			"type": "nbd", "id": v.node, "node-name": v.node, "name": v.node, "writable": false,
		}, nil)
	}
	return err
}

// Image is what a drive held. The caller closes it, before the fleece.
func (f *Fleece) Image(ctx context.Context, drive string) (disk.Image, error) {
	i := slices.IndexFunc(f.views, func(v view) bool { return v.drive == drive })
	if i < 0 {
		return nil, fmt.Errorf("drive %s is not in the fleece", drive)
	}
	return nbd.Dial(ctx, f.session.machine.Dir.fleece(), nbd.ClientOptions{Export: f.views[i].node, Constant: true})
}

// Close ends the fleece; its images cannot be read any more. It may be called twice.
func (f *Fleece) Close() error {
	f.once.Do(func() {
		f.session.blocks.Lock()
		defer f.session.blocks.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), ending)
		defer cancel()
		f.closed = f.end(ctx)
	})
	return f.closed
}

// end takes down what there is of the fleece.
func (f *Fleece) end(ctx context.Context) error {
	var errs []error
	for _, v := range f.views {
		errs = append(errs, f.session.endView(ctx, v.node, v.job))
	}
	f.session.stopServing(ctx)
	f.session.dropUnused(ctx)
	if f.session.hasEnded() {
		return nil // and took everything with it
	}
	return errors.Join(errs...)
}

// endView ends an export and the job that feeds it, where they are there.
func (s *Session) endView(ctx context.Context, node, id string) error {
	exports, err := s.monitor.QueryBlockExports(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(exports, func(e qmp.BlockExport) bool { return e.ID == node }) {
		events, stop := s.Listen("BLOCK_EXPORT_DELETED")
		defer stop()
		err := s.monitor.Execute(ctx, "block-export-del", map[string]any{"id": node, "mode": "hard"}, nil)
		if err != nil {
			return err
		}
		if err := s.awaitEvent(ctx, events, node); err != nil {
			return err
		}
	}
	return s.endJob(ctx, id)
}

// endJob cancels a job that dismisses itself, and waits until it is no more.
func (s *Session) endJob(ctx context.Context, id string) error {
	j := &job{Session: s, id: id}
	var stop func()
	j.events, stop = s.Listen(qmp.EventJobStatusChange)
	defer stop()
	info, err := j.info(ctx)
	if err != nil || info == nil {
		return err
	}
	if err := s.monitor.JobCancel(ctx, id); err != nil {
		return err
	}
	for info != nil && err == nil {
		select {
		case <-j.events:
		case <-s.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		info, err = j.info(ctx)
	}
	return err
}

// awaitEvent waits for the event that tells of id.
func (s *Session) awaitEvent(ctx context.Context, events <-chan qmp.Event, id string) error {
	for {
		select {
		case event, more := <-events:
			var about struct {
				ID string `json:"id"`
			}
			if !more || event.Decode(&about) == nil && about.ID == id {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *Session) hasEnded() bool {
	select {
	case <-s.done:
		return true
	default:
		return s.program.HasEnded()
	}
}

// stopServing ends QEMU's server when nothing is served any more.
func (s *Session) stopServing(ctx context.Context) {
	exports, err := s.monitor.QueryBlockExports(ctx)
	if err != nil || len(exports) > 0 {
		return
	}
	_ = s.monitor.Execute(ctx, "nbd-server-stop", nil, nil) // it does not run when a fleece came to nothing
	_ = os.Remove(s.machine.Dir.fleece())
}

// endFleecesLeft ends the fleeces of a daemon that is gone; s.blocks is held.
func (s *Session) endFleecesLeft(ctx context.Context) error {
	exports, err := s.monitor.QueryBlockExports(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, export := range exports {
		errs = append(errs, s.endView(ctx, export.ID, ""))
	}
	jobs, err := s.monitor.QueryJobs(ctx)
	errs = append(errs, err)
	for _, job := range jobs {
		if strings.HasPrefix(job.ID, fleecing+".") {
			errs = append(errs, s.endJob(ctx, job.ID))
		}
	}
	if len(exports) > 0 {
		s.stopServing(ctx)
	}
	return errors.Join(errs...)
}
