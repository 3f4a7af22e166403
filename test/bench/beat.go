package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// A guest that stands still cannot tell: its clock does, too. So it prints all the time, and how long it stood still is the longest
// time between two writes of what it prints, seen from outside, for Panal and for libvirt alike.

// beatScript runs in the guest before anything else: it fills memory with data that is not the same everywhere, and prints.
const beatScript = `#!/bin/busybox sh
/bin/busybox mknod /dev/null c 1 3
(
b=/bin/busybox
$b mkdir /beat.dev /beat.data
$b mount -t devtmpfs none /beat.dev
$b mount -t tmpfs -o size=90%% none /beat.data
$b dd if=/beat.dev/urandom of=/beat.data/0 bs=1048576 count=16 2>/dev/null
i=1
while [ $i -lt %d ]; do $b cat /beat.data/0 >/beat.data/$i; i=$((i+1)); done
exec >/beat.dev/ttyS0
echo %s
while :; do echo .; done
) &
exec /init
`

const beating = "the guest is beating"

// beatingInitrd makes the tiny guest's initial file system one that beats, with so many MiB of data in its memory.
func (b *bench) beatingInitrd(mib int) (string, error) {
	guest, err := os.ReadFile(b.initrd)
	if err != nil {
		return "", err
	}
	// Linux unpacks one archive after the other.
	var archive bytes.Buffer
	member(&archive, "beat", 0o100755, []byte(fmt.Sprintf(beatScript, max(mib/16, 1), beating)))
	member(&archive, "TRAILER!!!", 0, nil)
	archive.Write(make([]byte, (512-archive.Len()%512)%512))
	archive.Write(guest)
	path := b.fresh("beating")
	return path, os.WriteFile(path, archive.Bytes(), 0o644)
}

// member writes a member of a cpio archive as the kernel takes it ("newc", Documentation/driver-api/early-userspace/buffer-format.rst).
func member(w *bytes.Buffer, name string, mode int, content []byte) {
	align := func() { w.Write(make([]byte, (4-w.Len()%4)%4)) }
	w.WriteString("070701")
	for _, field := range []int{1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0} {
		fmt.Fprintf(w, "%08X", field)
	}
	w.WriteString(name + "\x00")
	align()
	w.Write(content)
	align()
}

// standstill does some work on a guest that beats, and says for how long the guest did not, at most, and how long the work took.
func standstill(ctx context.Context, log string, work func() error) (stood, took time.Duration, err error) {
	serial, err := follow(log)
	if err != nil {
		return 0, 0, err
	}
	defer serial.close()
	began := time.Now()
	done := make(chan error, 1)
	go func() {
		err := work()
		took = time.Since(began)
		done <- err
	}()
	last, after, ended := began, 0, false
	_, err = serial.until(ctx, func() (bool, error) {
		now := time.Now()
		stood, last = max(stood, now.Sub(last)), now
		if !ended {
			select {
			case err := <-done:
				if err != nil {
					return true, err
				}
				ended = true
			default:
			}
		} else {
			after++
		}
		return after == 3, nil // it goes on
	})
	return stood, took, err
}

// untilBeating starts a machine whose guest beats, and waits until it does.
func untilBeating(ctx context.Context, log string, start func() error) error {
	serial, err := watch(log)
	if err != nil {
		return err
	}
	err = start()
	if err == nil {
		_, err = serial.until(ctx, func() (bool, error) {
			printed, err := os.ReadFile(log)
			return strings.Contains(string(printed), beating), err
		})
	}
	return errors.Join(err, serial.close())
}
