package runner

import "context"

// Grow makes the disk in a drive larger while the guest runs, which is told of it
// where its controller can. Size is in bytes and not less than it is.
func (s *Session) Grow(ctx context.Context, drive string, size int64) error {
	top, err := s.insertedIn(ctx, drive)
	if err != nil {
		return err
	}
	return s.monitor.Execute(ctx, "block_resize", map[string]any{"node-name": top.Name, "size": size}, nil)
}
