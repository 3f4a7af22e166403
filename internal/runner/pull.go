package runner

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/qemu"
)

// Pull draws into a drive's topmost image all that it reads from images below it,
// down to the image at base, which it stands on then; with base "", all that there is, and it
// stands on nothing then. The guest runs on. The names in the image follow; the images that it
// does not stand on any more are closed, unchanged. Report is called with bytes that are
// done and those there are.
//
// When ctx is cancelled QEMU's job is, and when it ends otherwise QEMU goes on. What was
// drawn stays, the image stands on what it stood on, and Pull may be called again, also
// by another daemon: then it joins the job, or begins where there is more to do. One that was done
// already is no error.
func (s *Session) Pull(ctx context.Context, drive, base string, report func(done, total int64)) error {
	return failed(JobPull, drive, s.pull(ctx, drive, base, report))
}

func (s *Session) pull(ctx context.Context, drive, base string, report func(done, total int64)) error {
	id := jobID(JobPull, drive, base)
	j, stop, err := s.openJob(ctx, id, func() error { return s.beginPull(ctx, id, drive, base) }, report)
	if err != nil {
		return err
	}
	defer stop()
	// QEMU 7.2 crashes when it is asked for its nodes while such a job waits to be
	// dismissed. So it dismisses itself, and says in an event how it ended.
	j.vanishes = true
	j.flush = func(ctx context.Context) error { return s.flush(ctx, drive) }
	info, err := j.await(ctx)
	if err != nil {
		return err
	}
	if err := outcome(info); err != nil {
		return err
	}
	s.blocks.Lock()
	defer s.blocks.Unlock()
	s.dropUnused(context.WithoutCancel(ctx))
	return nil
}

func (s *Session) beginPull(ctx context.Context, id, drive, base string) error {
	s.blocks.Lock()
	defer s.blocks.Unlock()
	chain, err := s.chain(ctx, drive)
	if err != nil {
		return err
	}
	arguments := map[string]any{"job-id": id, "device": chain[0], "speed": s.speed, "auto-finalize": false}
	if base != "" {
		node, err := inChain(chain, drive, base)
		if err != nil {
			return err
		}
		arguments["base-node"] = node
		// The name that QEMU knows the file by means nothing to others.
		arguments["backing-file"] = relative(s.machine.Folder.Path(folder.Disks, "top"), base)
	}
	// Not to be cut off: a job that has begun after all is then waited for, and cancelled.
	return s.monitor.Execute(context.WithoutCancel(ctx), "block-stream", arguments, nil)
}

// inChain is the node of an image, which must be in the drive's chain.
func inChain(chain []string, drive, file string) (string, error) {
	node := qemu.NodeName(drive, file)
	if !slices.Contains(chain, node) {
		return "", notInChain(file)
	}
	return node, nil
}

// relative is how an image names another one that it stands on.
func relative(image, below string) string {
	if name, err := filepath.Rel(filepath.Dir(image), below); err == nil && filepath.Dir(image) == filepath.Dir(below) {
		return name
	}
	return below
}

// flush has QEMU write out what it keeps in memory of a drive's topmost image.
func (s *Session) flush(ctx context.Context, drive string) error {
	chain, err := s.chain(ctx, drive)
	if err != nil {
		return err
	}
	return s.flushNode(ctx, chain[0])
}

// flushNode has QEMU write out what it keeps in memory of an image.
func (s *Session) flushNode(ctx context.Context, node string) error {
	var said string
	line := fmt.Sprintf("qemu-io %s flush", node)
	if err := s.monitor.Execute(ctx, "human-monitor-command", map[string]any{"command-line": line}, &said); err != nil {
		return err
	}
	if said != "" {
		return fmt.Errorf("flush %s: %s", node, strings.TrimSpace(said))
	}
	return nil
}
