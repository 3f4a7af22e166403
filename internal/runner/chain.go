package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/panalvm/panal/internal/qemu"
)

// chain is the names of a drive's image nodes as they stand on each other now, the
// topmost first.
func (s *Session) chain(ctx context.Context, drive string) ([]string, error) {
	top, err := s.insertedIn(ctx, drive)
	if err != nil {
		return nil, err
	}
	nodes, err := s.blockNodes(ctx)
	if err != nil {
		return nil, err
	}
	byFile := map[string]string{} // of this drive's images: several drives may share a file of an image server
	own := qemu.NodeName(drive, "")
	own = own[:strings.LastIndexByte(own, '.')+1]
	for name, node := range nodes {
		if _, isFile := trimFile(name); !isFile && strings.HasPrefix(name, own) {
			byFile[node.File] = name
		}
	}
	var chain []string
	for image := &top.Image; image != nil; image = image.Backing {
		if name, known := byFile[image.Filename]; known && !slices.Contains(chain, name) {
			chain = append(chain, name)
		}
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("drive %s: what stands behind %s is not known", drive, top.Name)
	}
	return chain, nil
}
