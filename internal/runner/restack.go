package runner

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/qemu"
)

// Restack lets an image of a drive's chain stand on other images than it does: on the first of
// below, that on the next, the last on nothing. All are qcow2 images of the machine's folder, those below must read as what the
// image stands on now, and be durable. The guest runs on. The image names the first of them then, in its file too, and what it
// stood on is closed.
//
// Cut off, the image stands on the one or the other. It may be called again, also by another daemon;
// what was done already is no error.
func (s *Session) Restack(ctx context.Context, dials api.Drive, image string, below []string) error {
	s.blocks.Lock()
	defer s.blocks.Unlock()
	defer s.dropUnused(context.WithoutCancel(ctx))
	if err := s.restack(ctx, dials, image, below); err != nil {
		return fmt.Errorf("let %s stand on %s: %w", image, below[0], err)
	}
	return nil
}

func (s *Session) restack(ctx context.Context, dials api.Drive, image string, below []string) error {
	chain, err := s.chain(ctx, dials.Name)
	if err != nil {
		return err
	}
	node, err := inChain(chain, dials.Name, image)
	if err != nil {
		return err
	}
	first := qemu.NodeName(dials.Name, below[0])
	if !slices.Contains(chain, first) {
		if err := s.addStack(ctx, dials, below); err != nil {
			return err
		}
		if err := s.putOn(ctx, dials, node, first); err != nil {
			return err
		}
	}
	// The name that QEMU knows the file by means nothing to others.
	name := relative(s.machine.Folder.Path(folder.Disks, "top"), below[0])
	if err := s.monitor.ChangeBackingFile(ctx, chain[0], node, name); err != nil {
		return err
	}
	return s.flushNode(ctx, node)
}

// addStack gives QEMU images that stand on each other, the lowest first, as far as it has them not yet.
func (s *Session) addStack(ctx context.Context, dials api.Drive, images []string) error {
	nodes, err := s.blockNodes(ctx)
	if err != nil {
		return err
	}
	backing := ""
	for _, path := range slices.Backward(images) {
		node := qemu.NodeName(dials.Name, path)
		if _, there := nodes[node]; !there {
			if err := s.addBelow(ctx, dials, path, backing); err != nil {
				return err
			}
		}
		backing = node
	}
	return nil
}

// addBelow gives QEMU an image that others stand on. It may be told to write into it later, to
// merge it.
func (s *Session) addBelow(ctx context.Context, dials api.Drive, path, backing string) error {
	image, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer image.Close()
	return s.addOpened(ctx, qemu.FormatNode(qemu.NodeName(dials.Name, path), "qcow2", true, backing), image, dials)
}

// putOn lets a node stand on another one. What QEMU is not told of a node when it opens it anew
// becomes what it is by default, so it is told all that it was opened with.
func (s *Session) putOn(ctx context.Context, dials api.Drive, node, backing string) error {
	nodes, err := s.blockNodes(ctx)
	if err != nil {
		return err
	}
	options := qemu.Dial(qemu.FormatNode(node, "qcow2", nodes[node].ReadOnly, backing), dials)
	return s.monitor.BlockdevReopen(ctx, options)
}
