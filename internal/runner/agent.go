package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/panalvm/panal/internal/guest"
)

// Agent is a connection to a guest's agent, which nobody else has meanwhile.
type Agent struct {
	*guest.Client
	release func()
}

// Close ends the connection, and lets the next one have the agent. It may be called more than once.
func (a *Agent) Close() error {
	defer a.release()
	return a.Client.Close()
}

// ReachAgent connects to the guest's agent and hears a word from it, which takes no longer than
// a few seconds, also where there is none. The agent's port takes one connection at a time: who
// comes while another has it waits for that, no longer than ctx. The caller closes the connection soon.
func (s *Session) ReachAgent(ctx context.Context) (*Agent, error) {
	open, err := s.AgentOpen(ctx)
	if err != nil {
		return nil, err
	}
	if !open {
		return nil, errors.New("no agent runs in the guest")
	}
	return s.dialAgent(ctx)
}

// dialAgent waits for its turn and connects.
func (s *Session) dialAgent(ctx context.Context) (*Agent, error) {
	select {
	case s.agentTurn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for others to be done with the guest's agent: %w", context.Cause(ctx))
	}
	release := sync.OnceFunc(func() { <-s.agentTurn })
	pinging, cancel := context.WithTimeout(ctx, agentAnswers)
	defer cancel()
	client, err := guest.Dial(pinging, s.machine.Dir.Agent())
	if err != nil {
		release()
		return nil, err
	}
	agent := &Agent{client, release}
	if err := agent.Ping(pinging); err != nil {
		_ = agent.Close() // what it says is in the ping's error
		return nil, err
	}
	return agent, nil
}
