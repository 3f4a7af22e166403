package vdi_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// opening counts the files that are opened.
type opening struct {
	*memfs.FS
	count atomic.Int64
}

func (o *opening) Open(name string, write bool) (disk.File, error) {
	o.count.Add(1)
	return o.FS.Open(name, write)
}

// A directory of differencing images: looking for a parent among n of them must
// not try all orders that n images can have.
func TestTheSearchForAParentIsBounded(t *testing.T) {
	for name, own := range map[string]func(i int) byte{
		"none is the parent": func(i int) byte { return byte(1 + i) },
		"each could be":      func(int) byte { return 200 },
	} {
		t.Run(name, func(t *testing.T) {
			fs := &opening{FS: memfs.New()}
			for i := range 30 {
				b := built{version: 0x10001, kind: 4, block: 4096, size: 4096, blocks: []uint32{0xffffffff}, id: own(i), parent: 200}
				fs.Put(fmt.Sprintf("%02d.vdi", i), b.bytes())
			}
			_, err := disk.Open("00.vdi", disk.Options{FS: fs, Formats: formats})
			if !errors.Is(err, disk.ErrNoParent) && !errors.Is(err, disk.ErrDepth) && !errors.Is(err, disk.ErrCycle) {
				t.Errorf("error %v", err)
			}
			if n := fs.count.Load(); n > 20_000 {
				t.Errorf("%d files were opened", n)
			}
		})
	}
}
