package runner

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/testenv"
)

// serveAgent answers as a guest's agent does at a port that takes one connection at a time, as QEMU's does: a second one waits
// in the queue, and nobody reads what it says until the first is closed.
func serveAgent(t *testing.T, dir Dir) (sessions func() int) {
	t.Helper()
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", dir.Agent())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var mu sync.Mutex // guards served
	served := 0
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			served++
			mu.Unlock()
			answer(conn)
		}
	}()
	return func() int { mu.Lock(); defer mu.Unlock(); return served }
}

func answer(conn net.Conn) {
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		line := lines.Text()
		var id int64
		if _, after, found := strings.Cut(line, `"id":`); found {
			_, _ = fmt.Sscanf(after, "%d", &id)
			fmt.Fprintf(conn, "\xff{\"return\": %d}\n", id)
			continue
		}
		fmt.Fprint(conn, "{\"return\": {}}\n")
	}
}

// TestAgentTakesOneAtATime: many who call at once all get their answers, one after another, and who does not want to wait so
// long is told so.
func TestAgentTakesOneAtATime(t *testing.T) {
	dir := Dir(testenv.SocketDir(t))
	sessions := serveAgent(t, dir)
	s := &Session{machine: Machine{Dir: dir}, agentTurn: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	first, err := s.dialAgent(ctx)
	if err != nil {
		t.Fatal(err)
	}
	impatient, hurry := context.WithCancelCause(ctx)
	hurry(errors.New("not that long"))
	if _, err := s.dialAgent(impatient); err == nil || !strings.Contains(err.Error(), "not that long") {
		t.Errorf("while another has it: %v", err)
	}
	const callers = 8
	done := make(chan error, callers)
	for range callers {
		go func() {
			agent, err := s.dialAgent(ctx)
			if err == nil {
				err = errors.Join(agent.Ping(ctx), agent.Close())
			}
			done <- err
		}()
	}
	if err := errors.Join(first.Ping(ctx), first.Close()); err != nil {
		t.Fatal(err)
	}
	_ = first.Close() // and again, which must not let two in
	for range callers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := sessions(); got != callers+1 {
		t.Errorf("the agent had %d sessions, want %d", got, callers+1)
	}
}
