package runner

import (
	"context"
	"errors"
	"os"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/qemu"
	"github.com/panalvm/panal/internal/qmp"
)

// Mirror copies what a drive holds into another image, which is there already, empty, of the disk's size
// and standing on nothing, while the guest writes, and lets the drive go over to it.
// The drive stands on one image. Report is called with bytes that are done and those there are.
//
// From before the drive goes over until pivoted has returned, for the caller to put that down, the guest
// stands still: whatever dies meanwhile, both images hold what it wrote. When ctx is cancelled before that,
// the drive writes what it wrote; what is in the other image then is worth nothing. What a daemon that is gone has
// left is ended by EndMirror.
func (s *Session) Mirror(ctx context.Context, dials api.Drive, to, format string, pivoted func(context.Context) error, report func(done, total int64)) error {
	return failed(JobMirror, dials.Name, s.mirror(ctx, dials, to, format, pivoted, report))
}

func (s *Session) mirror(ctx context.Context, dials api.Drive, to, format string, pivoted func(context.Context) error, report func(done, total int64)) error {
	id := jobID(JobMirror, dials.Name, to)
	j, stop, err := s.openJob(ctx, id, func() error { return s.beginMirror(ctx, id, dials, to, format) }, report)
	if err != nil {
		return err
	}
	defer stop()
	info, err := j.await(ctx, qmp.JobReady)
	if err == nil && info.Status == qmp.JobReady {
		info, err = j.pivot(ctx)
	}
	after := context.WithoutCancel(ctx)
	if err != nil {
		s.dropLocked(after)
		return err
	}
	if info.Error != "" {
		err := errors.Join(j.dismiss(after, info), s.letGo(after))
		s.dropLocked(after)
		return err
	}
	// From here on there is no way back.
	if err := pivoted(after); err != nil {
		return errors.Join(errors.New("the guest stands still, because where its disk is now could not be put down"), err)
	}
	err = errors.Join(s.monitor.JobDismiss(after, j.id), s.letGo(after))
	s.dropLocked(after)
	return err
}

func (s *Session) dropLocked(ctx context.Context) {
	s.blocks.Lock()
	defer s.blocks.Unlock()
	s.dropUnused(ctx)
}

func (s *Session) beginMirror(ctx context.Context, id string, dials api.Drive, to, format string) error {
	s.blocks.Lock()
	defer s.blocks.Unlock()
	top, err := s.insertedIn(ctx, dials.Name)
	if err != nil {
		return err
	}
	if top.Image.Backing != nil {
		return problem.New(api.KindUnsupported, "move it while the machine is off", "its image stands on another one")
	}
	image, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer image.Close()
	ctx = context.WithoutCancel(ctx)
	node := qemu.NodeName(dials.Name, to)
	if err := s.addOpened(ctx, qemu.FormatNode(node, format, false, ""), image, dials); err != nil {
		return err
	}
	err = s.monitor.Execute(ctx, "blockdev-mirror", map[string]any{
		"job-id": id, "device": top.Name, "target": node, "sync": "full", "auto-dismiss": false, "speed": s.speed,
	}, nil)
	if err != nil {
		s.dropUnused(ctx)
	}
	return err
}

// EndMirror ends a mirror that another daemon has begun. Where the drive has gone over already, pivoted is called
// before the guest goes on; else the drive writes what it wrote. It tells which.
func (s *Session) EndMirror(ctx context.Context, drive, to string, pivoted func(context.Context) error) (over bool, err error) {
	id := jobID(JobMirror, drive, to)
	j := &job{Session: s, id: id}
	events, stop := s.Listen(jobEvents...)
	defer stop()
	j.events = events
	info, err := j.info(ctx)
	if err != nil {
		return false, err
	}
	if info != nil && info.Status != qmp.JobConcluded {
		_ = s.monitor.JobCancel(ctx, id) // one that is about to end does so
		if info, err = j.await(ctx); err != nil {
			return false, err
		}
	}
	if over, err = s.Written(ctx, drive, to); err == nil && over {
		err = pivoted(ctx)
	}
	if err != nil {
		return over, err
	}
	if info != nil {
		err = s.monitor.JobDismiss(ctx, id)
	}
	err = errors.Join(err, s.letGo(ctx))
	s.dropLocked(ctx)
	return over, err
}
