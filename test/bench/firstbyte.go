package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a guest may take to say something.
const patience = 5 * time.Minute

// printing waits for what a guest prints. QEMU writes it to a log file before it offers it to anybody else, for Panal, for
// libvirt and by hand alike; the kernel tells of the write (inotify), so that nobody has to look again and again.
type printing struct {
	path   string
	notify *os.File
}

// watch empties a log file, or makes it, and begins to watch it.
func watch(path string) (*printing, error) {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := log.Close(); err != nil {
		return nil, err
	}
	return follow(path)
}

// follow begins to watch a log file as it is.
func follow(path string) (*printing, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	p := &printing{path: path, notify: os.NewFile(uintptr(fd), "inotify")}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", path, err), p.close())
	}
	return p, nil
}

// first waits until something was printed, and returns when that was noticed.
func (p *printing) first(ctx context.Context) (time.Time, error) {
	return p.until(ctx, func() (bool, error) {
		info, err := os.Stat(p.path)
		return err == nil && info.Size() > 0, err
	})
}

// until waits until what was printed is what the caller waits for.
func (p *printing) until(ctx context.Context, reached func() (bool, error)) (time.Time, error) {
	stop := context.AfterFunc(ctx, func() { _ = p.notify.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := p.notify.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return time.Time{}, err
	}
	buffer := make([]byte, 4096)
	for {
		_, err := p.notify.Read(buffer)
		now := time.Now()
		if err != nil {
			return now, fmt.Errorf("wait for the guest's serial output: %w", errors.Join(ctx.Err(), err))
		}
		if done, err := reached(); done || err != nil {
			return now, err
		}
	}
}

func (p *printing) close() error { return p.notify.Close() }
