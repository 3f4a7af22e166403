package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// service is a daemon, Panal's or libvirt's, that tells when it is ready as systemd wants it (sd_notify(3)).
type service struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// serve starts a daemon in its scratch directory and waits until it is ready.
func serve(ctx context.Context, cmd *exec.Cmd, dir string) (*service, error) {
	notify := filepath.Join(dir, "notify")
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer os.Remove(notify)
	defer ready.Close()
	if err := os.Chmod(notify, 0o666); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "service.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+notify)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // a ^C is for us: the daemon has yet to end its machines
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &service{cmd: cmd, log: log.Name(), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = cmd.Wait()
		ready.Close()
	}()
	if err := awaitReady(ctx, ready); err != nil {
		words, _ := os.ReadFile(s.log)
		return nil, errors.Join(fmt.Errorf("start %s: %w: %s", filepath.Base(cmd.Path), err, words), s.stop())
	}
	return s, nil
}

func awaitReady(ctx context.Context, ready *net.UnixConn) error {
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buffer := make([]byte, 4096)
	for {
		n, err := ready.Read(buffer)
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		for line := range strings.SplitSeq(string(buffer[:n]), "\n") {
			if line == "READY=1" {
				return nil
			}
		}
	}
}

// stop ends the daemon and waits until it has ended.
func (s *service) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done:
		return nil
	case <-time.After(time.Minute):
		return errors.Join(fmt.Errorf("%s did not end within a minute and was killed", filepath.Base(s.cmd.Path)), s.cmd.Process.Kill())
	}
}

// resident is the daemon's resident memory in bytes.
func (s *service) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kibibytes int64
	if _, err := fmt.Sscanf(rest, "%d kB", &kibibytes); err != nil {
		return 0, fmt.Errorf("read the resident memory: %w", err)
	}
	return kibibytes << 10, nil
}
