package diskfile

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/panalvm/panal/disk"
)

// holey is a disk of 8 TiB without data that is told in extents of 4 KiB: to
// go through its map takes minutes. In the midst it cancels.
type holey struct {
	maps   atomic.Int64
	cancel func()
}

const enough = 5000

func (h *holey) Size() int64  { return 8 << 40 }
func (h *holey) Close() error { return nil }

func (h *holey) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func (h *holey) Map(off, n int64) (disk.Extent, error) {
	if h.maps.Add(1) == enough {
		h.cancel()
	}
	return disk.Extent{Off: off, Len: min(n, 4096)}, nil
}

// TestCancelledAmongHoles ends a conversion that has found nothing to copy yet,
// to a file of every format and to a pipe.
func TestCancelledAmongHoles(t *testing.T) {
	for _, to := range []string{"x.vdi", "x.vmdk", "x.qcow2", "x.vhdx", "x.hds", "x.img", "-"} {
		t.Run(to, func(t *testing.T) {
			dir := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			src := &holey{cancel: cancel}
			m := Make{}
			if to == "-" {
				m.Format = "raw"
			} else {
				to = filepath.Join(dir, to)
			}
			var out bytes.Buffer
			if _, err := (Place{}).Convert(ctx, src, to, m, &out, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
			if n := src.maps.Load(); n < enough || n > enough+10 {
				t.Errorf("it was cancelled at the %dth look at the map, and there were %d", enough, n)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 || out.Len() != 0 {
				t.Errorf("it left %v and %d bytes, %v", entries, out.Len(), err)
			}
		})
	}
}
