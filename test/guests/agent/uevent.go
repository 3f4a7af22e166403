//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// kernelEvents is the stream of the kernel's messages about devices that come and go.
type kernelEvents struct {
	socket int
	buffer []byte
}

// uevent is one message: its keys and values, as ACTION, DEVPATH, SUBSYSTEM, DEVNAME, MODALIAS.
type uevent map[string]string

const (
	netlinkKobjectUevent = 15
	uevents              = 1 // the kernel's own group, not udev's
	receiveBuffer        = 1 << 20
)

func listenKernel() (*kernelEvents, error) {
	socket, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, netlinkKobjectUevent)
	if err != nil {
		return nil, fmt.Errorf("listen to the kernel: %w", err)
	}
	if err := syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, receiveBuffer); err != nil {
		return nil, fmt.Errorf("listen to the kernel: %w", err)
	}
	if err := syscall.Bind(socket, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: uevents}); err != nil {
		return nil, fmt.Errorf("listen to the kernel: %w", err)
	}
	return &kernelEvents{socket: socket, buffer: make([]byte, 16<<10)}, nil
}

// next waits for a message.
func (k *kernelEvents) next() (uevent, error) {
	for {
		n, _, err := syscall.Recvfrom(k.socket, k.buffer, 0)
		switch {
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ENOBUFS):
		case err != nil:
			return nil, fmt.Errorf("listen to the kernel: %w", err)
		default:
			return parseUevent(k.buffer[:n]), nil
		}
	}
}

func parseUevent(message []byte) uevent {
	event := uevent{}
	for field := range bytes.SplitSeq(message, []byte{0}) {
		if key, value, ok := strings.Cut(string(field), "="); ok {
			event[key] = value
		}
	}
	return event
}
