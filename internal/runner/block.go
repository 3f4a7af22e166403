package runner

import (
	"context"
	"errors"
	"os"
	"path"
	"regexp"
	"strconv"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/qemu"
	"github.com/panalvm/panal/internal/qmp"
)

// insertedIn is what is in a drive now: its topmost node.
func (s *Session) insertedIn(ctx context.Context, drive string) (*qmp.BlockNode, error) {
	devices, err := s.monitor.QueryBlock(ctx)
	if err != nil {
		return nil, err
	}
	for _, device := range devices {
		if !device.Belongs(drive) {
			continue
		}
		if device.Inserted == nil {
			return nil, problem.New(api.KindWrongState, "", "drive %s is empty", drive)
		}
		return device.Inserted, nil
	}
	return nil, problem.New(api.KindNotFound, "", "the running machine has no drive %s", drive)
}

// blockNodes are QEMU's block nodes by their names.
func (s *Session) blockNodes(ctx context.Context) (map[string]qmp.BlockNode, error) {
	list, err := s.monitor.QueryBlockNodes(ctx)
	if err != nil {
		return nil, err
	}
	nodes := make(map[string]qmp.BlockNode, len(list))
	for _, node := range list {
		nodes[node.Name] = node
	}
	return nodes, nil
}

// addImage gives QEMU a qcow2 image that is there already, standing on nothing, and
// returns its node's name. Nothing uses the node yet.
func (s *Session) addImage(ctx context.Context, overlay Overlay) (node string, err error) {
	image, err := os.OpenFile(overlay.Path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer image.Close()
	node = qemu.NodeName(overlay.Drive, overlay.Path)
	return node, s.addOpened(ctx, qemu.FormatNode(node, "qcow2", false, ""), image, overlay.Dials)
}

// addOpened makes the node of an image that is open, of qemu.FormatNode, and that of its file, used as the drive says.
func (s *Session) addOpened(ctx context.Context, format map[string]any, image *os.File, dials api.Drive) error {
	node, _ := format["node-name"].(string)
	ctx = context.WithoutCancel(ctx) // it is there then, whole, or not at all
	added, err := s.monitor.AddFD(ctx, nil, image, image.Name())
	if err != nil {
		return err
	}
	err = s.monitor.BlockdevAdd(ctx, qemu.Dial(qemu.FileNode(node, added.Path(), false, false), dials))
	if err != nil {
		return errors.Join(err, s.monitor.RemoveFD(ctx, added.Set, -1))
	}
	if err := s.monitor.BlockdevAdd(ctx, qemu.Dial(format, dials)); err != nil {
		s.dropNode(ctx, node)
		return err
	}
	return nil
}

// dropNode removes an image's nodes, and QEMU's descriptors of its file, so that a
// file that was removed gives its space back. It is false while something uses the node.
func (s *Session) dropNode(ctx context.Context, node string) bool {
	nodes, err := s.blockNodes(ctx)
	if err != nil {
		return false
	}
	if _, there := nodes[node]; there && s.monitor.BlockdevDel(ctx, node) != nil {
		return false
	}
	file, there := nodes[qemu.FileNodeName(node)]
	if !there {
		return true
	}
	if s.monitor.BlockdevDel(ctx, file.Name) != nil {
		return false
	}
	if set, ok := fdSet(file.File); ok {
		_ = s.monitor.RemoveFD(ctx, set, -1)
	}
	return true
}

// fdSet is the number of the set that a file name of QEMU's stands for.
func fdSet(filename string) (set int, ok bool) {
	dir, number := path.Split(filename)
	set, err := strconv.Atoi(number)
	return set, err == nil && dir == path.Dir(qmp.FDSetPath(0))+"/"
}

// imageNode matches the names that qemu.NodeName makes.
var imageNode = regexp.MustCompile(`^.*\.[0-9a-f]{16}$`)

// dropUnused removes the nodes of images that no drive stands on any more, and
// those that a change which was cut off has left. Of one that is in use QEMU
// says so. s.blocks is held.
func (s *Session) dropUnused(ctx context.Context) {
	nodes, err := s.blockNodes(ctx)
	if err != nil {
		return
	}
	// One that is gone may have been what kept the next.
	for dropped := true; dropped; {
		dropped = false
		for name := range nodes {
			base, isFile := trimFile(name)
			if _, whole := nodes[base]; isFile && whole || !imageNode.MatchString(base) {
				continue
			}
			if s.dropNode(ctx, base) {
				delete(nodes, base)
				delete(nodes, qemu.FileNodeName(base))
				dropped = true
			}
		}
	}
	s.closeUnused(ctx, nodes)
}

// closeUnused has QEMU close the descriptors that no node is of. It does so only while the
// guest's CPUs run, so that some may be left of an earlier time.
func (s *Session) closeUnused(ctx context.Context, nodes map[string]qmp.BlockNode) {
	used := map[int]bool{}
	for _, node := range nodes {
		if set, ok := fdSet(node.File); ok {
			used[set] = true
		}
	}
	sets, err := s.monitor.QueryFDSets(ctx)
	if err != nil {
		return
	}
	for _, set := range sets {
		if !used[set.Set] && len(set.Files) > 0 && set.Files[0].Opaque != "" { // added by addOpened
			_ = s.monitor.RemoveFD(ctx, set.Set, -1)
		}
	}
}

// trimFile is the image's node of a file's.
func trimFile(name string) (node string, isFile bool) {
	ending := qemu.FileNodeName("")
	if base := len(name) - len(ending); base > 0 && name[base:] == ending {
		return name[:base], true
	}
	return name, false
}

// clearLeft ends what a daemon that is gone has begun and cannot be gone on with.
func (s *Session) clearLeft(ctx context.Context) {
	s.thawLeft()
	s.letGoLeft(ctx)
	s.blocks.Lock()
	defer s.blocks.Unlock()
	if err := s.endFleecesLeft(ctx); err != nil {
		s.machine.Log.Warn("what another daemon was reading could not be ended", "machine", s.machine.Name, "error", err)
	}
	s.dropUnused(ctx)
}
