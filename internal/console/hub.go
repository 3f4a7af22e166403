// Package console shares one serial line of a machine among any number of
// viewers through a [Hub]: what the guest prints goes to every viewer, what a
// viewer types goes to the guest, and one who comes late is shown what was
// printed before.
//
// QEMU appends what the guest prints to a log file, and the hub follows that
// file rather than a connection to QEMU. A file takes whatever is written, at
// once: a daemon that is slow, stopped or not there can hold up no guest and
// makes nothing be lost. Over a socket it would: some three hundred characters
// fill it, and then the guest has to wait, and QEMU logs characters twice.
// What is typed goes through a pipe, which QEMU reads.
package console

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// Scrollback is how much of what was printed a hub can show again.
const Scrollback = 128 << 10

// backlog is how far a viewer may fall behind before it loses output.
const backlog = 256 << 10

// Hub is one serial line.
type Hub struct {
	keys io.WriteCloser // to the guest
	log  *follower      // what the guest prints; the pump's
	out  *slog.Logger

	mu      sync.Mutex // guards what follows; a viewer's own is taken after it
	shown   *ring
	viewers map[*Viewer]bool
	ended   bool

	input   sync.Mutex // held while writing to the line
	closing chan struct{}
	closed  sync.Once
	done    chan struct{}
}

// Open makes a hub of the log of what a guest prints, and of what takes the
// keys that are typed, which the hub takes over. What the log holds already is
// the scrollback to begin with. The watcher must outlive the hub.
func Open(w *Watcher, keys io.WriteCloser, log *Log, out *slog.Logger) (*Hub, error) {
	follower, earlier, err := log.follow(Scrollback)
	if err != nil {
		return nil, fmt.Errorf("open the log of a serial line: %w", err)
	}
	grown, forget, err := w.Watch(log.path)
	if err != nil {
		_ = follower.file.Close()
		return nil, err
	}
	h := &Hub{
		keys: keys, log: follower, out: out,
		shown: newRing(Scrollback), viewers: map[*Viewer]bool{},
		closing: make(chan struct{}), done: make(chan struct{}),
	}
	_, _ = h.shown.Write(earlier)
	go h.pump(grown, forget)
	return h, nil
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

// Close ends the hub and every viewer once they were given all that is in the
// log, and waits until that is done. The machine runs on, if it does.
func (h *Hub) Close() {
	h.closed.Do(func() {
		close(h.closing)
		_ = h.keys.Close()
	})
	<-h.done
}

// pump moves what the guest prints until the hub is closed.
func (h *Hub) pump(grown <-chan struct{}, forget func()) {
	defer close(h.done)
	defer h.log.file.Close()
	defer forget()
	buffer := make([]byte, 32<<10)
	for open := true; open; {
		h.move(buffer) // at first for what came before the watch began
		select {
		case <-grown:
		case <-h.closing:
			h.move(buffer)
			open = false
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

// move gives the viewers what is new in the log, and trims it.
func (h *Hub) move(buffer []byte) {
	if err := h.log.each(buffer, h.spread); err != nil {
		h.out.Warn("the log of a serial line could not be read", "error", err)
	}
	if err := h.log.trim(); err != nil {
		h.out.Warn("the log of a serial line could not be kept within its bound", "error", err)
	}
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
	n, err := h.keys.Write(p)
	if err != nil {
		return n, io.ErrClosedPipe
	}
	return n, nil
}
