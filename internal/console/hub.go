// Package console shares one serial line of a machine among any number of
// viewers. QEMU takes a single client on a serial line's socket, and that is
// the [Hub]: what the guest prints goes to every viewer, what a viewer types
// goes to the guest, and one who comes late is shown what was printed before.
//
// QEMU itself writes what the guest prints to a log file, also while no daemon
// runs; the hub keeps that file within its bound.
package console

import (
	"io"
	"log/slog"
	"net"
	"sync"
)

// Scrollback is how much of what was printed a hub can show again.
const Scrollback = 128 << 10

// backlog is how far a viewer may fall behind before it loses output.
const backlog = 256 << 10

// Hub is one serial line.
type Hub struct {
	line net.Conn
	log  *Log
	out  *slog.Logger

	mu      sync.Mutex // guards what follows; a viewer's own is taken after it
	shown   *ring
	viewers map[*Viewer]bool
	ended   bool

	input sync.Mutex // held while writing to the line
	done  chan struct{}
}

// Open makes a hub of a connection to a serial line, and takes the connection
// over. What the log holds is the scrollback to begin with.
func Open(line net.Conn, log *Log, out *slog.Logger) *Hub {
	h := &Hub{
		line: line, log: log, out: out,
		shown: newRing(Scrollback), viewers: map[*Viewer]bool{}, done: make(chan struct{}),
	}
	if earlier, err := log.Tail(Scrollback); err == nil {
		_, _ = h.shown.Write(earlier)
	}
	go h.pump()
	return h
}

// Attach adds a viewer, who is first shown up to scrollback bytes of what was
// printed before.
func (h *Hub) Attach(scrollback int) *Viewer {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := newViewer(h)
	v.deliver(h.shown.tail(scrollback))
	if h.ended {
		v.end()
	} else {
		h.viewers[v] = true
	}
	return v
}

// Close ends the hub and every viewer, and waits until that is done. The
// machine runs on.
func (h *Hub) Close() {
	_ = h.line.Close()
	<-h.done
}

// pump moves what the guest prints until the line ends.
func (h *Hub) pump() {
	defer close(h.done)
	buffer := make([]byte, 32<<10)
	for {
		n, err := h.line.Read(buffer)
		if n > 0 {
			h.spread(buffer[:n])
			if err := h.log.Grown(n); err != nil {
				h.out.Warn("the log of a serial line could not be kept within its bound", "error", err)
			}
		}
		if err != nil {
			break
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for v := range h.viewers {
		v.end()
	}
	h.viewers = nil
}

func (h *Hub) spread(printed []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, _ = h.shown.Write(printed)
	for v := range h.viewers {
		v.deliver(printed)
	}
}

func (h *Hub) detach(v *Viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.viewers, v)
}

// typed sends to the guest; what one viewer sends at once stays together.
func (h *Hub) typed(p []byte) (int, error) {
	h.input.Lock()
	defer h.input.Unlock()
	n, err := h.line.Write(p)
	if err != nil {
		return n, io.ErrClosedPipe
	}
	return n, nil
}
