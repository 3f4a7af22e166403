package nbd

import (
	"net"
	"sync"
)

// output sends replies. Several goroutines queue them; the first that flushes
// writes for all, those that come meanwhile need not wait.
type output struct {
	to      net.Conn
	discard func(*buffer) // takes back what was sent
	failed  func(error)   // is told, once, that nothing can be sent any more

	mu      sync.Mutex
	pending []*buffer
	spare   []*buffer // the array that pending will use next
	writing bool      // somebody writes, and will look at pending again
	broken  bool

	// Of who writes:
	vectors []([]byte)  // an array for sending
	sending net.Buffers // what is left of it
}

// queue adds a reply, which flush will send.
func (o *output) queue(b *buffer) {
	o.mu.Lock()
	o.pending = append(o.pending, b)
	o.mu.Unlock()
}

// flush sees to it that what is queued is sent.
func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writing {
		return
	}
	o.writing = true
	for len(o.pending) > 0 {
		batch, broken := o.pending, o.broken
		o.pending = o.spare[:0]
		o.mu.Unlock()
		var err error
		if !broken {
			err = o.write(batch)
		}
		for _, b := range batch {
			o.discard(b)
		}
		clear(batch)
		if err != nil {
			o.failed(err)
		}
		o.mu.Lock()
		o.spare = batch
		o.broken = o.broken || err != nil
	}
	o.writing = false
}

// write sends a batch, in one system call if the connection allows.
func (o *output) write(batch []*buffer) error {
	if len(batch) == 1 {
		_, err := o.to.Write(batch[0].bytes())
		return err
	}
	o.vectors = o.vectors[:0]
	for _, b := range batch {
		o.vectors = append(o.vectors, b.bytes())
	}
	o.sending = o.vectors
	_, err := o.sending.WriteTo(o.to)
	clear(o.vectors)
	return err
}
