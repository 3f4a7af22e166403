package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/qemu"
	"github.com/panalvm/panal/internal/qmp"
)

// Commit moves what the image at top holds, and those between, down into the image at
// base, which takes their place; the image above, if there is one, names it as what it
// stands on. The guest runs on. The images that are in the chain no more are
// closed and worth nothing. Report is called with bytes that are done and those there are.
//
// When top is what the drive writes, base is what it writes from then on, and pivoted,
// which may be nil, is called for the caller to put that down: the guest stands still
// from before base takes over until it has returned. So whatever dies meanwhile, the chain that is on
// record holds what the guest wrote. It may be called again for a pivot that has happened.
//
// When ctx is cancelled QEMU's job is, and when it ends otherwise QEMU goes on. The chain
// holds the same then as before, and Commit may be called again, also by another
// daemon: it joins the job, or begins it once more. One that was done already is no error.
func (s *Session) Commit(ctx context.Context, drive, top, base string,
	pivoted func(context.Context) error, report func(done, total int64),
) error {
	return failed(JobCommit, drive, s.commit(ctx, commitment{drive, top, base, pivoted}, report))
}

// commitment is what a commit is about.
type commitment struct {
	drive, top, base string
	pivoted          func(context.Context) error
}

func (s *Session) commit(ctx context.Context, c commitment, report func(done, total int64)) error {
	chain, err := s.chain(ctx, c.drive)
	if err != nil {
		return err
	}
	id := jobID(JobCommit, c.drive, c.top, c.base)
	done := !slices.Contains(chain, qemu.NodeName(c.drive, c.top)) && slices.Contains(chain, qemu.NodeName(c.drive, c.base))
	begin := func() error { return s.beginCommit(ctx, id, c) }
	if done {
		begin = func() error { return errDoneBefore }
	}
	j, stop, err := s.openJob(ctx, id, begin, report)
	after := context.WithoutCancel(ctx)
	if errors.Is(err, errDoneBefore) {
		return s.settleCommit(after, nil, c)
	}
	if err != nil {
		return err
	}
	defer stop()
	j.flush = func(ctx context.Context) error { return s.flushNode(ctx, qemu.NodeName(c.drive, c.base)) }
	info, err := j.await(ctx, qmp.JobReady)
	if err == nil && info.Status == qmp.JobReady {
		info, err = j.pivot(ctx)
	}
	if err != nil {
		return err
	}
	if info.Error != "" {
		return errors.Join(j.dismiss(after, info), s.letGo(after))
	}
	// From here on there is no way back.
	return s.settleCommit(after, j, c)
}

// errDoneBefore is a commit that an earlier call has done.
var errDoneBefore = errors.New("done already")

func notInChain(file string) error {
	return problem.New(api.KindNotFound, "", "the running machine's drive does not stand on the image %s", file)
}

func (s *Session) beginCommit(ctx context.Context, id string, c commitment) error {
	s.blocks.Lock()
	defer s.blocks.Unlock()
	chain, err := s.chain(ctx, c.drive)
	if err != nil {
		return err
	}
	top, err := inChain(chain, c.drive, c.top)
	if err != nil {
		return err
	}
	base, err := inChain(chain, c.drive, c.base)
	if err != nil {
		return err
	}
	arguments := map[string]any{
		"job-id": id, "device": chain[0], "base-node": base, "top-node": top,
		"auto-dismiss": false, "speed": s.speed,
	}
	if chain[0] != top {
		arguments["backing-file"] = relative(c.top, c.base) // to be written into the image above
		arguments["auto-finalize"] = false
	}
	// Not to be cut off: a job that has begun after all is then waited for, and cancelled.
	return s.monitor.Execute(context.WithoutCancel(ctx), "block-commit", arguments, nil)
}

// pivot lets base take over from what the drive writes, while the guest stands
// still. It is short, and once begun it is not to be cut off: the guest would go on in an image that is not on record.
func (j *job) pivot(ctx context.Context) (*qmp.JobInfo, error) {
	if ctx.Err() != nil {
		return j.cancel(ctx)
	}
	ctx = context.WithoutCancel(ctx)
	if err := j.hold(ctx); err != nil {
		return nil, err
	}
	if err := j.monitor.JobComplete(ctx, j.id); err != nil {
		_, ended := j.end(ctx)
		return nil, errors.Join(err, ended, j.letGo(ctx))
	}
	return j.await(ctx)
}

// settleCommit has the caller put down what a commit has come to, and clears up.
func (s *Session) settleCommit(ctx context.Context, j *job, c commitment) error {
	chain, err := s.chain(ctx, c.drive)
	if err != nil {
		return err
	}
	if chain[0] == qemu.NodeName(c.drive, c.base) && c.pivoted != nil {
		// What cannot be put down must not be written on: the guest stands still until it is.
		if err := c.pivoted(ctx); err != nil {
			return fmt.Errorf("the guest stands still, because what it writes now could not be put down: %w", err)
		}
	}
	if j != nil {
		if err := s.monitor.JobDismiss(ctx, j.id); err != nil {
			return err
		}
	}
	err = s.letGo(ctx)
	s.blocks.Lock()
	defer s.blocks.Unlock()
	s.dropUnused(ctx)
	return err
}

// hold lets the guest stand still, and marks that it does so for the daemon's sake.
func (s *Session) hold(ctx context.Context) error {
	running, _, err := s.Running(ctx)
	if err != nil || !running {
		return err
	}
	if err := os.WriteFile(s.machine.Dir.held(), nil, 0o600); err != nil {
		return err
	}
	return s.monitor.Stop(ctx)
}

// letGo lets a guest go on that stands still for the daemon's sake.
func (s *Session) letGo(ctx context.Context) error {
	if _, err := os.Lstat(s.machine.Dir.held()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := s.monitor.Cont(ctx); err != nil {
		return err
	}
	return os.Remove(s.machine.Dir.held())
}

// letGoLeft lets a guest go on that a daemon that is gone has made stand still,
// unless a commit or a mirror is about to pivot, or has done so and nobody has put that down: Commit
// does it when it is called again, and EndMirror.
func (s *Session) letGoLeft(ctx context.Context) {
	jobs, err := s.Jobs(ctx)
	if err != nil || slices.ContainsFunc(jobs, func(j Job) bool { return j.Kind != JobPull && j.Failure == "" }) {
		return
	}
	if err := errors.Join(s.monitor.AwaitFinalized(ctx), s.letGo(ctx)); err != nil {
		s.machine.Log.Error("a guest that stands still could not be let go on", "machine", s.machine.Name, "error", err)
	}
}
