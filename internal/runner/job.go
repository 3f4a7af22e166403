package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/qmp"
)

// Kinds of jobs.
const (
	JobPull   = "pull"
	JobCommit = "commit"
	JobMirror = "mirror"
)

// Job is work on a drive's images that QEMU does while the guest runs, and goes on
// with while no daemon runs.
type Job struct {
	Kind  string // one of the Job constants
	Drive string
	// Done and Total are bytes; both grow.
	Done, Total int64
	// Ended tells that it has ended, well or not, and nobody has heard of it yet.
	Ended bool
	// Failure says why it ended; empty when it was done.
	Failure string
}

// Jobs lists the jobs, also those that an earlier daemon has begun. Who wants to
// go on with one calls the method that began it once more.
func (s *Session) Jobs(ctx context.Context) ([]Job, error) {
	list, err := s.monitor.QueryJobs(ctx)
	if err != nil {
		return nil, err
	}
	var jobs []Job
	for _, info := range list {
		kind, rest, _ := strings.Cut(info.ID, ".")
		drive, _, ok := strings.Cut(rest, ".")
		if !ok || kind != JobPull && kind != JobCommit && kind != JobMirror {
			continue
		}
		jobs = append(jobs, Job{
			Kind: kind, Drive: drive, Done: info.Current, Total: info.Total,
			Ended: info.Status == qmp.JobConcluded, Failure: info.Error,
		})
	}
	return jobs, nil
}

// jobID names a job by what it does, so that the next daemon finds it by that.
func jobID(kind, drive string, what ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(what, "\x00")))
	return kind + "." + drive + "." + hex.EncodeToString(sum[:8])
}

// job is a job of QEMU's that somebody waits for.
type job struct {
	*Session
	id     string
	report func(done, total int64)
	events <-chan qmp.Event
	// vanishes tells that the job dismisses itself when it has ended.
	vanishes bool
	failure  string // what QEMU said of that
	// flush, if there is one, makes durable what a job has written that waits for that before it changes what
	// stands on what: QEMU keeps in memory where it has put data, and writes the change at once. Killed in between
	// it would leave an image that has lost what the change hides.
	flush func(context.Context) error
}

// finalize lets a job that is pending change what stands on what.
func (j *job) finalize(ctx context.Context) error {
	if j.flush != nil {
		if err := j.flush(ctx); err != nil {
			return err
		}
	}
	err := j.monitor.JobFinalize(ctx, j.id)
	if info, failed := j.info(ctx); err != nil && failed == nil && (info == nil || info.Status != qmp.JobPending) {
		return nil // it was cancelled, or somebody else has done it
	}
	return err
}

// progressEvery is how often a job is asked how far it is: QEMU does not tell
// by itself.
const progressEvery = 250 * time.Millisecond

// ending bounds how long QEMU may take to end a job that was cancelled.
const ending = time.Minute

// errStays is a job that QEMU does not end. It is no cancellation, which would be tried again and again.
var errStays = errors.New("QEMU was told to cancel it, and has not")

// openJob finds a job, or begins it. A job of another purpose on the same drive is a
// problem. The caller calls stop in the end.
func (s *Session) openJob(ctx context.Context, id string, begin func() error, report func(done, total int64)) (j *job, stop func(), err error) {
	j = &job{Session: s, id: id, report: report}
	j.events, stop = s.Listen(jobEvents...)
	info, err := j.info(ctx)
	if err == nil && info == nil {
		err = s.alone(ctx, id)
		if err == nil {
			err = begin()
		}
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return j, stop, nil
}

// alone makes sure that no other job works on a drive. One that failed, and nobody
// has asked again for, goes.
func (s *Session) alone(ctx context.Context, id string) error {
	list, err := s.monitor.QueryJobs(ctx)
	if err != nil {
		return err
	}
	drive := strings.Split(id, ".")[1]
	for _, info := range list {
		parts := strings.Split(info.ID, ".")
		if len(parts) != 3 || parts[1] != drive {
			continue
		}
		if info.Status != qmp.JobConcluded || info.Error == "" {
			return problem.New(api.KindBusy, "wait until that has ended, or cancel it", "drive %s: a %s is at work on it", drive, parts[0])
		}
		if err := s.monitor.JobDismiss(ctx, info.ID); err != nil {
			return err
		}
	}
	return nil
}

// info is the job's state, nil when there is no such job.
func (j *job) info(ctx context.Context) (*qmp.JobInfo, error) {
	list, err := j.monitor.QueryJobs(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].ID == j.id {
			return &list[i], nil
		}
	}
	return nil, nil
}

// await waits until the job is in one of some states, or has concluded. It reports
// progress. When ctx ends the job is cancelled; nothing of what it did is lost. One that is done by then has concluded.
func (j *job) await(ctx context.Context, states ...string) (*qmp.JobInfo, error) {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		info, err := j.info(ctx)
		switch {
		case ctx.Err() != nil:
			return j.cancel(ctx)
		case err != nil:
			return nil, err
		case info == nil && j.vanishes:
			j.hearAll()
			return &qmp.JobInfo{ID: j.id, Status: qmp.JobNull, Error: j.failure}, nil
		case info == nil:
			return nil, errors.New("QEMU has no such job any more")
		}
		if j.report != nil && info.Total > 0 {
			j.report(info.Current, info.Total)
		}
		if info.Status == qmp.JobPending {
			// Not to be cut off: whether it was done would not be known.
			if err := j.finalize(context.WithoutCancel(ctx)); err != nil {
				return nil, errors.Join(err, j.abandon(ctx))
			}
			continue
		}
		for _, state := range append(states, qmp.JobConcluded) {
			if info.Status == state {
				return info, nil
			}
		}
		select {
		case event := <-j.events:
			j.hear(event)
		case <-ticker.C:
		case <-j.done:
			return nil, errors.New("QEMU has ended meanwhile")
		case <-ctx.Done():
			return j.cancel(ctx)
		}
	}
}

// Events that tell how a job on images has ended.
const (
	eventCompleted = "BLOCK_JOB_COMPLETED"
	eventCancelled = "BLOCK_JOB_CANCELLED"
)

// jobEvents are those that somebody listens for who waits for a job.
var jobEvents = []string{qmp.EventJobStatusChange, eventCompleted, eventCancelled}

// hear notes why the job ended, if an event says so.
func (j *job) hear(event qmp.Event) {
	var about struct {
		Device string `json:"device"`
		Error  string `json:"error"`
	}
	ended := event.Name == eventCompleted || event.Name == eventCancelled
	if !ended || event.Decode(&about) != nil || about.Device != j.id {
		return
	}
	if j.failure = about.Error; event.Name == eventCancelled {
		j.failure = "it was cancelled"
	}
}

// hearAll hears what has come already.
func (j *job) hearAll() {
	for {
		select {
		case event, more := <-j.events:
			if !more {
				return
			}
			j.hear(event)
		default:
			return
		}
	}
}

// cancel ends the job because ctx was cancelled, and is the cancellation, unless the job was done before: then it is as if
// nobody had cancelled it. When ctx has ended for another reason, such as the daemon's end, QEMU goes on with it.
func (j *job) cancel(ctx context.Context) (*qmp.JobInfo, error) {
	cause := context.Cause(ctx)
	if !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return nil, cause
	}
	info, err := j.end(ctx)
	if err == nil && info.Error == "" {
		return info, nil
	}
	return nil, errors.Join(cause, err)
}

// abandon ends a job whose work cannot be made durable: it changes nothing.
func (j *job) abandon(ctx context.Context) error {
	j.flush = nil
	_, err := j.end(ctx)
	return err
}

// end cancels a job, waits until it has ended, and takes it off QEMU's list, unless it was done before it could be cancelled:
// then its error is empty, and it stays for who asks for it. Whether ctx is cancelled is nothing to it.
func (j *job) end(ctx context.Context) (*qmp.JobInfo, error) {
	ctx, stop := context.WithTimeoutCause(context.WithoutCancel(ctx), ending, errStays)
	defer stop()
	refused := j.monitor.JobCancel(ctx, j.id)
	info, err := j.await(ctx)
	if err != nil {
		return nil, errors.Join(refused, err)
	}
	if j.vanishes || info.Error == "" {
		return info, nil
	}
	return info, j.monitor.JobDismiss(ctx, j.id)
}

// dismiss takes a job that has concluded off QEMU's list, and is its error.
func (j *job) dismiss(ctx context.Context, info *qmp.JobInfo) error {
	return errors.Join(outcome(info), j.monitor.JobDismiss(ctx, j.id))
}

// outcome is a job's error.
func outcome(info *qmp.JobInfo) error {
	if info.Error == "" {
		return nil
	}
	kind := api.KindUnreadable
	if strings.Contains(info.Error, "No space left") {
		kind = api.KindNoSpace
	}
	return problem.New(kind, "", "QEMU says: %s", info.Error)
}

// failed names a job and its drive in an error.
func failed(kind, drive string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s images of drive %s: %w", kind, drive, err)
}
