package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/panalvm/panal/internal/imageserver"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/qemu"
)

// Dir is a machine's runtime directory, <runtime>/m/<machine>: what exists only
// while it runs.
type Dir string

// Monitor is the path of QEMU's monitor socket.
func (d Dir) Monitor() string { return d.path(qemu.MonitorSocket) }

// Serial is the path of the pipe that a serial line takes input from.
func (d Dir) Serial(name string) string { return d.path(qemu.SerialPipe(name)) }

// Agent is the path of the guest agent's socket.
func (d Dir) Agent() string { return d.path(qemu.AgentSocket) }

// Display is the path of the display's socket.
func (d Dir) Display() string { return d.path(qemu.DisplaySocket) }

// PIDFile is the path of QEMU's pid file.
func (d Dir) PIDFile() string { return d.path(qemu.PIDFile) }

// TPM is the path of the TPM emulator's control socket.
func (d Dir) TPM() string { return d.path("tpm") }

// TPMPIDFile is the path of the TPM emulator's pid file.
func (d Dir) TPMPIDFile() string { return d.path("tpm.pid") }

// frozen is the mark that the guest's file systems may be frozen.
func (d Dir) frozen() string { return d.path("frozen") }

// held is the mark that the guest stands still for the daemon's sake.
func (d Dir) held() string { return d.path("held") }

// fleece is the path of the socket that QEMU shows fleeces on.
func (d Dir) fleece() string { return d.path("fleece") }

// Images is the directory of the machine's image server. It is the daemon's
// alone, and so not in this one, which QEMU's user may change.
func (d Dir) Images() imageserver.Dir {
	return imageserver.Dir(filepath.Join(filepath.Dir(filepath.Dir(string(d))), "i", filepath.Base(string(d))))
}

func (d Dir) path(name string) string { return filepath.Join(string(d), name) }

// make makes an empty directory that only the daemon and QEMU's user enter.
func (d Dir) make(user *process.Identity) error {
	if err := os.RemoveAll(string(d)); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(string(d)), 0o711); err != nil {
		return err
	}
	if err := os.Mkdir(string(d), 0o700); err != nil {
		return err
	}
	return own(string(d), user)
}

// Remove removes the directory; one that is not there is no error.
func (d Dir) Remove() error { return os.RemoveAll(string(d)) }

// own gives a file to the user that QEMU runs as.
func own(path string, user *process.Identity) error {
	if user == nil {
		return nil
	}
	return os.Chown(path, int(user.UID), int(user.GID))
}

// readPID reads a pid file.
func readPID(path string) (int, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, process.ErrGone
	}
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("%s holds no process number", path)
	}
	return pid, nil
}
