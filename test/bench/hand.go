package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
)

// byHand is a machine's QEMU command line as a person would type it: the one that Panal gave QEMU, with files and sockets
// named by their paths where Panal passes them open.
type byHand struct {
	path string
	args []string
	log  string // of the serial line
}

var (
	passedSocket = regexp.MustCompile(`\bfd=(\d+),server=on`)
	passedLog    = regexp.MustCompile(`/dev/fdset/\d+`)
)

// readByHand takes the command line from a machine that runs.
func readByHand(m api.Machine, dir string) (*byHand, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", m.Status.PID))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	h := &byHand{path: args[0], log: filepath.Join(dir, "serial.log")}
	for i := 1; i < len(args); i++ {
		switch arg := args[i]; arg {
		case "-add-fd":
			i++
		case "-kernel":
			i++
			h.args = append(h.args, arg, m.Spec.Kernel.Image)
		case "-initrd":
			i++
			h.args = append(h.args, arg, m.Spec.Kernel.Initrd)
		case "-pidfile":
			i++
			h.args = append(h.args, arg, filepath.Join(dir, "pid"))
		default:
			arg = passedSocket.ReplaceAllString(arg, "path="+dir+"/socket$1,server=on")
			h.args = append(h.args, passedLog.ReplaceAllLiteralString(arg, h.log))
		}
	}
	return h, nil
}

// start starts it and takes the time from the call to the first byte on the serial line.
func (h *byHand) start(ctx context.Context) (time.Duration, error) {
	serial, err := watch(h.log)
	if err != nil {
		return 0, err
	}
	defer serial.close()
	cmd := exec.CommandContext(ctx, h.path, h.args...)
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	printed, err := serial.first(ctx)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return printed.Sub(began), err
}
