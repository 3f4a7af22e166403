package disk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/panalvm/panal/disk"
)

// endless is a disk of 2^60 bytes that is told in extents of 4 KiB, all in one
// state: nobody comes to its end. After as many calls as a test allows it cancels.
type endless struct {
	disk.Image
	state  disk.State
	maps   atomic.Int64
	cancel func()
}

const enough = 1000

func (e *endless) Size() int64    { return 1 << 60 }
func (e *endless) Close() error   { return nil }
func (e *endless) Sync() error    { return nil }
func (e *endless) CanWrite() bool { return true }

func (e *endless) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }

func (e *endless) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func (e *endless) ZeroAt(int64, int64) error { return nil }

func (e *endless) SetParent(disk.Image, string, string) error {
	return errors.New("the parent was changed")
}

func (e *endless) Map(off, n int64) (disk.Extent, error) {
	if e.maps.Add(1) == enough {
		e.cancel()
	}
	return disk.Extent{Off: off, Len: min(n, 4096), State: e.state}, nil
}

func (e *endless) Dump(ctx context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		for yield(disk.Field{Name: "field"}, nil) {
			if e.maps.Add(1) == enough {
				e.cancel()
			}
		}
	}
}

type hole struct{ size int64 }

func (h hole) Size() int64                            { return h.size }
func (h hole) Close() error                           { return nil }
func (h hole) ReadAt(p []byte, _ int64) (int, error)  { clear(p); return len(p), nil }
func (h hole) Map(off, n int64) (disk.Extent, error)  { return disk.Extent{Off: off, Len: n}, nil }
func (h hole) BlockSize() int                         { return 64 << 10 }
func (h hole) Encode(_, block []byte) ([]byte, error) { return block, nil }
func (h hole) Append(int64, []byte) error             { return nil }
func (h hole) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (h hole) Sync() error                            { return nil }
func (h hole) CanWrite() bool                         { return true }

var _ io.ReaderAt = hole{}

func drain[T any](all iter.Seq2[T, error]) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestCancelled goes through maps without end, and cancels in the midst.
func TestCancelled(t *testing.T) {
	works := map[string]func(ctx context.Context, e *endless) error{
		"extents": func(ctx context.Context, e *endless) error { return drain(disk.Extents(ctx, e, 0, e.Size())) },
		"layers":  func(ctx context.Context, e *endless) error { return drain(disk.Layers(ctx, e)) },
		"dump":    func(ctx context.Context, e *endless) error { return drain(disk.Dump(ctx, e)) },
		"data": func(ctx context.Context, e *endless) error {
			_, err := disk.DataOf(ctx, e, 64<<10)
			return err
		},
		"copy": func(ctx context.Context, e *endless) error {
			return disk.Copy(ctx, hole{e.Size()}, e, disk.CopyOptions{})
		},
		"fill": func(ctx context.Context, e *endless) error {
			return disk.Fill(ctx, hole{e.Size()}, e, disk.CopyOptions{})
		},
		"compare": func(ctx context.Context, e *endless) error {
			_, err := disk.Compare(ctx, e, hole{e.Size()}, disk.CopyOptions{})
			return err
		},
		"commit": func(ctx context.Context, e *endless) error {
			return disk.Commit(ctx, e, hole{e.Size()}, disk.CopyOptions{})
		},
		"rebase": func(ctx context.Context, e *endless) error {
			return disk.Rebase(ctx, e, hole{e.Size()}, "", "", disk.CopyOptions{})
		},
	}
	for name, work := range works {
		for _, state := range []disk.State{disk.Unallocated, disk.Zeroed, disk.Data} {
			t.Run(fmt.Sprintf("%s of %s", name, state), func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				e := &endless{state: state, cancel: cancel}
				if err := work(ctx, e); !errors.Is(err, context.Canceled) {
					t.Errorf("it ended with %v", err)
				}
				if n := e.maps.Load(); n < enough || n > enough+10 {
					t.Errorf("it was cancelled at the %dth call, and there were %d", enough, n)
				}
			})
		}
	}
}
