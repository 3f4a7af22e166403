package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/qemu"
)

// ErrNoAgent says that the guest's agent did not do as asked: none answers, or it
// refused, or not within the time.
var ErrNoAgent = errors.New("the guest's agent does not stop its file systems")

// Bounds of how long the agent may take.
const (
	agentAnswers = 3 * time.Second  // for a word, before anything is asked of it
	agentThaws   = 10 * time.Second // to let file systems go on
)

// AgentOpen tells whether an agent in the guest has opened its channel. One that has
// need not answer.
func (s *Session) AgentOpen(ctx context.Context) (bool, error) {
	list, err := s.monitor.QueryChardev(ctx)
	for _, device := range list {
		if device.Label == qemu.AgentPort {
			return device.FrontendOpen, nil
		}
	}
	return false, err
}

// Frozen are file systems that a guest's agent has stopped.
type Frozen struct {
	// Count is how many there are; none where the guest has mounted nothing that can be
	// stopped.
	Count   int
	session *Session
	once    sync.Once
}

// Thaw lets the file systems go on, also when its context has ended. It may be called
// more than once. After an error it is tried again until it succeeds.
func (f *Frozen) Thaw(ctx context.Context) (err error) {
	f.once.Do(func() { err = f.session.thaw(context.WithoutCancel(ctx)) })
	return err
}

// Freeze asks the guest's agent to write out and stop its file systems, for no
// longer than within. An agent that does not do it gives ErrNoAgent. File systems are
// never left frozen: what could not be thawed is tried again until it is, also by the
// next daemon.
func (s *Session) Freeze(ctx context.Context, within time.Duration) (*Frozen, error) {
	asking, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	agent, err := s.ReachAgent(asking)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	// The mark is there before anything is frozen: a daemon that comes after this one
	// knows by it that there is something to thaw.
	if err := os.WriteFile(s.machine.Dir.frozen(), nil, 0o600); err != nil {
		return nil, errors.Join(err, agent.Close())
	}
	count, err := agent.FSFreeze(asking)
	_ = agent.Close() // for others: the agent's port takes one connection at a time
	if err != nil {
		// It may have done it nevertheless, or do it later.
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrNoAgent, err), s.thaw(context.WithoutCancel(ctx)))
	}
	frozen := &Frozen{Count: count, session: s}
	if err := fault.At(ctx, "freeze.frozen"); err != nil {
		return nil, errors.Join(err, frozen.Thaw(ctx))
	}
	return frozen, nil
}

// ThawRead lets file systems go on that were frozen in the state that the guest has
// been started from. Call it when the guest runs. It works by itself until it has succeeded.
func (s *Session) ThawRead() {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), agentThaws)
		defer cancel()
		agent, err := s.ReachAgent(ctx)
		if err != nil {
			return // nobody who could have frozen anything
		}
		frozen, err := agent.FSFrozen(ctx)
		_ = agent.Close()
		if err == nil && frozen && os.WriteFile(s.machine.Dir.frozen(), nil, 0o600) == nil {
			s.keepThawing()
		}
	}()
}

// thaw lets the guest's file systems go on. Where that does not succeed it is
// tried until it does.
func (s *Session) thaw(ctx context.Context) error {
	err := s.thawOnce(ctx)
	if err != nil {
		s.machine.Log.Warn("the guest's file systems could not be thawed; it is tried again", "machine", s.machine.Name, "error", err)
		go s.keepThawing()
	}
	return err
}

func (s *Session) thawOnce(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, agentThaws)
	defer cancel()
	agent, err := s.ReachAgent(asking)
	if err != nil {
		return err
	}
	defer agent.Close()
	if _, err := agent.FSThaw(asking); err != nil {
		return err
	}
	return os.Remove(s.machine.Dir.frozen())
}

// keepThawing thaws until it has succeeded or the machine has ended: every few seconds, and at
// once when an agent comes up.
func (s *Session) keepThawing() {
	for {
		if s.thawOnce(context.Background()) == nil {
			return
		}
		select {
		case <-s.done:
			return
		case <-s.agentCame:
		case <-time.After(agentThaws):
		}
	}
}

// thawLeft thaws what a daemon that is gone has left frozen.
func (s *Session) thawLeft() {
	if _, err := os.Lstat(s.machine.Dir.frozen()); err == nil {
		go s.keepThawing()
	}
}
