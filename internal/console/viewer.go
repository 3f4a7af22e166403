package console

import (
	"bytes"
	"io"
	"sync"
)

// lost is shown where output was dropped for a viewer that was too slow.
const lost = "\r\n[panal: output was lost here, this viewer is too slow]\r\n"

// Viewer is one viewer of a serial line.
type Viewer struct {
	hub *Hub

	mu      sync.Mutex // guards what follows
	waiting bytes.Buffer
	dropped bool
	over    bool
	changed *sync.Cond
}

func newViewer(h *Hub) *Viewer {
	v := &Viewer{hub: h}
	v.changed = sync.NewCond(&v.mu)
	return v
}

// Read gives what the guest printed, and waits for it; io.EOF comes after the
// last of it when the line has ended or the viewer was closed.
func (v *Viewer) Read(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for v.waiting.Len() == 0 {
		if v.over {
			return 0, io.EOF
		}
		v.changed.Wait()
	}
	v.dropped = false
	return v.waiting.Read(p)
}

// Write types into the guest. When the line has ended it is io.ErrClosedPipe.
func (v *Viewer) Write(p []byte) (int, error) { return v.hub.typed(p) }

// Close takes the viewer off the line and ends its Read.
func (v *Viewer) Close() error {
	v.hub.detach(v)
	v.end()
	return nil
}

// deliver hands output to the viewer without ever waiting for it.
func (v *Viewer) deliver(printed []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.waiting.Len()+len(printed) > backlog {
		if !v.dropped {
			v.waiting.WriteString(lost)
			v.dropped = true
		}
		return
	}
	v.waiting.Write(printed)
	v.changed.Broadcast()
}

func (v *Viewer) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
	v.changed.Broadcast()
}
