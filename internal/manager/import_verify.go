package manager

import (
	"context"
	"errors"
	"syscall"

	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// checking is the step of a task that compares with a manifest.
const checking = "checking the manifest"

// carryVerified is carryAll of what is as manifest and signature say. Of files
// both are done at once, so that what is read for one is still in memory for the
// other; what comes through a pipe was hashed as it came, and so is what is fetched
// from elsewhere.
func (m *Manager) carryVerified(ctx context.Context, r *task.Run, job *importJob) ([]state.Op, error) {
	if job.arrival != nil || job.source.Fetches() {
		ops, err := m.carryAll(ctx, r, job)
		if err != nil {
			return nil, err
		}
		r.Step(checking)
		job.integrity, err = job.source.Verify(ctx, job.trust)
		return ops, err
	}
	carrying, stop := context.WithCancel(ctx)
	defer stop()
	verifying, end := context.WithCancel(ctx)
	defer end()
	verified := make(chan error, 1)
	go func() {
		var err error
		if job.integrity, err = job.source.Verify(verifying, job.trust); err != nil {
			stop()
		}
		verified <- err
	}()
	ops, err := m.carryAll(carrying, r, job)
	switch {
	case err == nil:
		r.Step(checking)
	case ofTheHost(err):
		end()
	}
	if wrong := <-verified; wrong != nil && verifying.Err() == nil {
		return nil, wrong // which is also why a damaged disk could not be read
	}
	return ops, err
}

// ofTheHost tells whether an error came from the operating system, so that
// comparing with a manifest will not explain it.
func ofTheHost(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number)
}
