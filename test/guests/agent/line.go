//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// reconnect is how long a virtio port without anybody at its other end is left before the next look: the kernel
// reports such a port readable all the time.
const reconnect = 20 * time.Millisecond

// line is one way to the host.
type line struct {
	file *os.File
	port bool // a virtio serial port, which ends while nobody is connected, and not a terminal
}

// findLines lists the device files of all lines: everything serial that is not the console.
func findLines() []string {
	content, _ := os.ReadFile("/sys/class/tty/console/active")
	console := strings.Fields(string(content))
	var devices []string
	ttys, _ := filepath.Glob("/sys/class/tty/*")
	for _, path := range ttys {
		if name := filepath.Base(path); isSerial(path) && !slices.Contains(console, name) {
			devices = append(devices, "/dev/"+name)
		}
	}
	ports, _ := filepath.Glob("/sys/class/virtio-ports/*")
	for _, path := range ports {
		if name := readTrimmed(filepath.Join(path, "name")); name != "" && name != "org.qemu.guest_agent.0" {
			devices = append(devices, "/dev/"+filepath.Base(path))
		}
	}
	return devices
}

// isSerial tells real serial ports and virtio consoles from terminals of other kinds and from ports that only the
// driver's table knows.
func isSerial(path string) bool {
	name := filepath.Base(path)
	switch {
	case strings.HasPrefix(name, "hvc"), strings.HasPrefix(name, "ttyAMA"):
		return true
	case strings.HasPrefix(name, "ttyS"):
		return readTrimmed(filepath.Join(path, "type")) != "0"
	}
	return false
}

func openLine(device string) (*line, error) {
	file, err := os.OpenFile(device, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	l := &line{file: file, port: strings.HasPrefix(device, "/dev/vport")}
	if l.port {
		return l, nil
	}
	if err := makeRaw(file); err != nil {
		file.Close()
		return nil, fmt.Errorf("set up %s: %w", device, err)
	}
	return l, nil
}

// makeRaw stops the terminal from echoing and translating, as cfmakeraw(3).
func makeRaw(file *os.File) error {
	var t syscall.Termios
	if err := ioctl(file, syscall.TCGETS, unsafe.Pointer(&t)); err != nil {
		return err
	}
	t.Iflag &^= syscall.IGNBRK | syscall.BRKINT | syscall.PARMRK | syscall.ISTRIP | syscall.INLCR | syscall.IGNCR |
		syscall.ICRNL | syscall.IXON
	t.Oflag &^= syscall.OPOST
	t.Lflag &^= syscall.ECHO | syscall.ECHONL | syscall.ICANON | syscall.ISIG | syscall.IEXTEN
	t.Cflag = t.Cflag&^(syscall.CSIZE|syscall.PARENB) | syscall.CS8 | syscall.CLOCAL
	t.Cc[syscall.VMIN], t.Cc[syscall.VTIME] = 1, 0
	return ioctl(file, syscall.TCSETS, unsafe.Pointer(&t))
}

func ioctl(file *os.File, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

func (l *line) close() { l.file.Close() }

// serve answers requests until the device is gone.
func (l *line) serve() {
	defer l.close()
	for {
		err := l.converse()
		if !l.port || errors.Is(err, syscall.ENODEV) {
			log.Printf("%s: %v", l.file.Name(), err)
			return
		}
		if _, err := os.Stat(l.file.Name()); err != nil {
			return
		}
		time.Sleep(reconnect)
	}
}

// converse answers requests until the other end closes.
func (l *line) converse() error {
	requests := bufio.NewReader(l.file)
	for {
		request, err := requests.ReadString('\n')
		if err != nil {
			return err
		}
		if request = strings.TrimSpace(request); request == "" {
			continue
		}
		if err := l.answer(request); err != nil {
			return err
		}
	}
}

// answer carries out one request: each line of the result after a space, then the line that ends the answer.
func (l *line) answer(request string) error {
	result, after, err := execute(request)
	var reply strings.Builder
	for text := range strings.Lines(result) {
		reply.WriteString(" " + strings.TrimRight(text, "\r\n") + "\n")
	}
	if err != nil {
		fmt.Fprintf(&reply, "error %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
	} else {
		reply.WriteString("ok\n")
	}
	if _, err := io.WriteString(l.file, reply.String()); err != nil {
		return err
	}
	if after != nil {
		l.drain()
		after()
	}
	return nil
}

// drain waits until the answer has left the machine, as tcdrain(3).
func (l *line) drain() {
	const tcsbrk = 0x5409
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, l.file.Fd(), tcsbrk, 1); errno != 0 && !l.port {
		log.Printf("%s: %v", l.file.Name(), errno)
	}
}

func readTrimmed(path string) string {
	content, _ := os.ReadFile(path)
	return strings.TrimSpace(string(content))
}
