package console

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Watcher tells when files grow (inotify). One serves every serial line of a
// daemon: the system lets a user have only a hundred or so
// (fs.inotify.max_user_instances), but many thousands of watched files.
type Watcher struct {
	events *os.File

	mu      sync.Mutex // guards watched
	watched map[int32]map[chan struct{}]bool
	done    chan struct{}
}

// NewWatcher makes a watcher.
func NewWatcher() (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch files (fs.inotify.max_user_instances may be too low): %w", err)
	}
	w := &Watcher{
		events:  os.NewFile(uintptr(fd), "inotify"),
		watched: map[int32]map[chan struct{}]bool{}, done: make(chan struct{}),
	}
	go w.listen()
	return w, nil
}

// Close ends the watcher. What is watched is no longer told of.
func (w *Watcher) Close() error {
	err := w.events.Close()
	<-w.done
	return err
}

// Watch sends on grown after a file was written to, once for any number of
// writes that nobody has received yet. The file must be there. After stop
// nothing is sent any more.
func (w *Watcher) Watch(path string) (grown <-chan struct{}, stop func(), err error) {
	wake := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	id, err := w.add(path)
	if err != nil {
		return nil, nil, fmt.Errorf("watch %s (fs.inotify.max_user_watches may be too low): %w", path, err)
	}
	if w.watched[id] == nil {
		w.watched[id] = map[chan struct{}]bool{}
	}
	w.watched[id][wake] = true
	return wake, func() { w.forget(id, wake) }, nil
}

// add gives a file's number; it is the same when the file is watched already.
func (w *Watcher) add(path string) (id int32, err error) {
	control, err := w.events.SyscallConn()
	if err != nil {
		return 0, err
	}
	var number int
	failed := control.Control(func(fd uintptr) {
		number, err = unix.InotifyAddWatch(int(fd), path, unix.IN_MODIFY)
	})
	if failed != nil {
		return 0, failed
	}
	return int32(number), err
}

func (w *Watcher) forget(id int32, wake chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watched[id], wake)
	if len(w.watched[id]) > 0 {
		return
	}
	delete(w.watched, id)
	if control, err := w.events.SyscallConn(); err == nil {
		_ = control.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(id)) })
	}
}

// listen passes on what the kernel tells, until the watcher is closed.
func (w *Watcher) listen() {
	defer close(w.done)
	buffer := make([]byte, 16<<10)
	for {
		n, err := w.events.Read(buffer)
		if err != nil {
			return
		}
		w.tell(buffer[:n])
	}
}

// tell wakes those whom a series of struct inotify_event is for.
func (w *Watcher) tell(events []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(events) >= unix.SizeofInotifyEvent {
		id := int32(binary.NativeEndian.Uint32(events[0:]))
		mask := binary.NativeEndian.Uint32(events[4:])
		name := binary.NativeEndian.Uint32(events[12:])
		events = events[unix.SizeofInotifyEvent+name:]
		if mask&unix.IN_Q_OVERFLOW != 0 { // events were lost: it may be anyone's
			for id := range w.watched {
				w.wake(id)
			}
			continue
		}
		w.wake(id)
	}
}

// wake needs w.mu held.
func (w *Watcher) wake(id int32) {
	for wake := range w.watched[id] {
		select {
		case wake <- struct{}{}:
		default: // it has yet to look
		}
	}
}
