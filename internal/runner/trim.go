package runner

import (
	"context"

	"github.com/panalvm/panal/internal/guest"
)

// Trim has the guest's agent discard what the guest's file systems do not use, on all its disks, and tells what came
// of each. It takes as long as the guest does, and no longer than ctx, which needs a deadline.
func (s *Session) Trim(ctx context.Context) ([]guest.Trimmed, error) {
	agent, err := s.ReachAgent(ctx)
	if err != nil {
		return nil, err
	}
	defer agent.Close()
	return agent.FSTrim(ctx)
}
