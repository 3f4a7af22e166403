package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/qemu"
	"github.com/panalvm/panal/internal/qmp"
)

// Overlay is an image that a drive is to write into.
type Overlay struct {
	Drive string // the drive's name
	// Path is the image's on the host: a qcow2 image of the drive's size, that holds nothing
	// and names as what it stands on the image that the drive writes now. Nobody else may have
	// it open for writing.
	Path string
	// Dials is the drive whose cache, discard and zero detection the image gets.
	Dials api.Drive
}

// Branch makes drives write into new images, all from one instant on. The images
// that they wrote before are not changed any more, and are read only to QEMU. When it
// fails no drive has changed, and QEMU has none of the new images open.
func (s *Session) Branch(ctx context.Context, overlays []Overlay) error {
	s.blocks.Lock()
	defer s.blocks.Unlock()
	var actions []qmp.Action
	for _, overlay := range overlays {
		action, err := s.branching(ctx, overlay)
		if err != nil {
			s.dropUnused(context.WithoutCancel(ctx))
			return fmt.Errorf("drive %s: %w", overlay.Drive, err)
		}
		actions = append(actions, action)
	}
	if err := s.monitor.Transaction(context.WithoutCancel(ctx), actions); err != nil {
		// Where QEMU has done it after all, the nodes are in use and stay.
		s.dropUnused(context.WithoutCancel(ctx))
		return err
	}
	return nil
}

// branching gives QEMU an overlay and is what makes its drive use it.
func (s *Session) branching(ctx context.Context, overlay Overlay) (action qmp.Action, err error) {
	top, err := s.insertedIn(ctx, overlay.Drive)
	if err != nil {
		return action, err
	}
	node, err := s.addImage(ctx, overlay)
	if err != nil {
		return action, err
	}
	nodes, err := s.blockNodes(ctx)
	if err != nil {
		return action, err
	}
	if is, want := nodes[node].Image.VirtualSize, top.Image.VirtualSize; is != want {
		return action, fmt.Errorf("the image %s has %d bytes, and the disk has %d: %w", overlay.Path, is, want, errWrongSize)
	}
	return qmp.Action{Type: "blockdev-snapshot", Data: map[string]any{"node": top.Name, "overlay": node}}, nil
}

// errWrongSize is an overlay under which the guest's disk would change its size.
var errWrongSize = errors.New("an overlay must have the disk's size")

// Written tells whether a drive writes an image of its own at this path now.
func (s *Session) Written(ctx context.Context, drive, file string) (bool, error) {
	top, err := s.insertedIn(ctx, drive)
	if err != nil {
		return false, err
	}
	return top.Name == qemu.NodeName(drive, file), nil
}

// EndJobs cancels the jobs on images that an earlier daemon has begun and that nobody
// waits for, and returns when they have ended: images that one works on cannot branch. Nothing of what they
// did is lost. One that has concluded stays, for whoever asks for it again.
func (s *Session) EndJobs(ctx context.Context) error {
	list, err := s.monitor.QueryJobs(ctx)
	if err != nil {
		return err
	}
	for _, info := range list {
		kind, _, _ := strings.Cut(info.ID, ".")
		if kind != JobPull && kind != JobCommit || info.Status == qmp.JobConcluded {
			continue
		}
		if err := s.endLeft(ctx, info.ID); err != nil {
			return fmt.Errorf("end %s: %w", info.ID, err)
		}
	}
	return nil
}

func (s *Session) endLeft(ctx context.Context, id string) error {
	kind, _, _ := strings.Cut(id, ".")
	j := &job{Session: s, id: id, vanishes: kind == JobPull}
	events, stop := s.Listen(jobEvents...)
	defer stop()
	j.events = events
	_, err := j.end(ctx)
	return err
}
