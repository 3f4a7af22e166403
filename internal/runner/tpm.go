package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/process"
)

// TPM is an emulated TPM, a swtpm process beside QEMU. It ends when QEMU does,
// because it is told to end with its connection.
type TPM struct {
	Version string // 2.0 or 1.2
}

// start starts the emulator and returns when its socket is there. A nil TPM
// starts nothing.
func (t *TPM) start(ctx context.Context, m Machine) (*process.Process, error) {
	if t == nil {
		return nil, nil
	}
	path, err := exec.LookPath("swtpm")
	if err != nil {
		return nil, problem.New(api.KindMissing, "install the package swtpm", "the machine has a TPM, and swtpm is not installed")
	}
	if err := m.ownTPM(); err != nil {
		return nil, err
	}
	// With --daemon swtpm goes into the background once it listens: the end of
	// the process started here is the sign that it is ready.
	args := []string{
		"socket", "--daemon", "--terminate",
		"--tpmstate", "dir=" + m.Folder.Path(folder.TPM) + ",mode=0600",
		"--ctrl", "type=unixio,path=" + m.Dir.TPM() + ",mode=0600",
		"--pid", "file=" + m.Dir.TPMPIDFile(),
		"--log", "level=1",
	}
	if t.Version != "1.2" {
		args = append(args, "--tpm2")
	}
	log, begin, err := openLog(m.QEMULog())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	starter, err := process.Start(process.Spec{Path: path, Args: args, Log: log, Dir: "/", User: m.User})
	if err != nil {
		return nil, err
	}
	if err := starter.Wait(ctx); err != nil {
		return nil, errors.Join(err, starter.Kill(context.WithoutCancel(ctx)))
	}
	if starter.How() != nil {
		return nil, fmt.Errorf("start the TPM emulator: %w: %s", starter.How(), lastWords(m.QEMULog(), begin))
	}
	return m.find(m.Dir.TPMPIDFile())
}

// ownTPM gives the TPM's state to the user that the emulator runs as.
func (m Machine) ownTPM() error {
	dir := m.Folder.Path(folder.TPM)
	if err := own(dir, m.User); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := own(m.Folder.Path(folder.TPM, entry.Name()), m.User); err != nil {
			return err
		}
	}
	return nil
}

// endStrayTPM ends an emulator whose QEMU is gone.
func (m Machine) endStrayTPM(ctx context.Context) error {
	stray, err := m.find(m.Dir.TPMPIDFile())
	if errors.Is(err, process.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	return stray.Kill(ctx)
}

// lastWords is what a program said last, from the place in the log where its
// run began.
func lastWords(path string, begin int64) string {
	log, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer log.Close()
	const most = 4 << 10
	text := make([]byte, most)
	info, err := log.Stat()
	if err != nil {
		return ""
	}
	n, _ := log.ReadAt(text, max(begin, info.Size()-most))
	lines := strings.Split(strings.TrimSpace(string(text[:n])), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
