package runner

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/panalvm/panal/internal/console"
	"github.com/panalvm/panal/internal/process"
)

// makeLine makes what QEMU opens for a serial line (qemu.Invocation.Lines).
func makeLine(base string, user *process.Identity) error {
	if err := syscall.Mkfifo(base+".in", 0o600); err != nil {
		return fmt.Errorf("make the pipe %s.in: %w", base, err)
	}
	if err := own(base+".in", user); err != nil {
		return err
	}
	return os.Symlink(os.DevNull, base+".out")
}

// openKeys opens the pipe that a serial line takes input from. QEMU's user can
// replace the file by another, into which the daemon must not write.
func openKeys(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Mode().Type() != os.ModeNamedPipe {
		err = fmt.Errorf("%s is not a pipe", path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// openLines opens the machine's serial lines for viewers.
func (s *Session) openLines() error {
	m := s.machine
	for _, serial := range m.Serials {
		keys, err := openKeys(m.Dir.Serial(serial.Name))
		if err != nil {
			return fmt.Errorf("connect to serial line %s: %w", serial.Name, err)
		}
		hub, err := console.Open(m.Watcher, keys, console.OpenLog(m.LogPath(serial.Name), serial.Bound), m.Log)
		if err != nil {
			return errors.Join(fmt.Errorf("connect to serial line %s: %w", serial.Name, err), keys.Close())
		}
		s.hubs[serial.Name] = hub
	}
	return nil
}

func (s *Session) closeLines() {
	for _, hub := range s.hubs {
		hub.Close()
	}
}
