package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// panal is a daemon of ours and what speaks to it.
type panal struct {
	*service
	program string
	dir     string
	client  *client.Client
	raw     *http.Client // for what the client does not do
}

// startPanal starts a daemon on a scratch directory, which keeps its state for the next one.
func startPanal(ctx context.Context, b *bench, dir string) (*panal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	p := &panal{program: b.program, dir: dir}
	service, err := serve(ctx, p.command("daemon"), dir)
	if err != nil {
		return nil, err
	}
	p.service = service
	socket := filepath.Join(dir, "run", "panal.sock")
	p.client = client.New(socket, client.Options{})
	p.raw = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	return p, nil
}

// newPanal is startPanal for a daemon that ends with the part.
func newPanal(ctx context.Context, b *bench) (*panal, error) {
	p, err := startPanal(ctx, b, b.fresh("panal"))
	if err == nil {
		b.onClose(p.close)
	}
	return p, err
}

// command is one of the command line.
func (p *panal) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.program, args...)
	cmd.Env = append(os.Environ(), "PANAL_DATA="+filepath.Join(p.dir, "data"), "PANAL_RUNTIME="+filepath.Join(p.dir, "run"), "PANAL_SOCKET=")
	return cmd
}

// close ends what still runs, which would outlive the daemon, and the daemon.
func (p *panal) close() error {
	ctx := context.Background()
	list, err := p.client.ListMachines(ctx, client.ListFilter{})
	errs := []error{err}
	for _, machine := range list.Machines {
		if machine.State != api.StateOff {
			errs = append(errs, p.powerOff(ctx, machine.UUID))
		}
	}
	p.client.Close()
	p.raw.CloseIdleConnections()
	return errors.Join(append(errs, p.stop())...)
}

// readList reads the list of machines without decoding it: what of a list is the daemon's work.
func (p *panal) readList(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://panal"+api.ListMachines.Path, nil)
	if err != nil {
		return err
	}
	response, err := p.raw.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// finish waits for a task that the client was given.
func (p *panal) finish(ctx context.Context, task api.Task, err error) error {
	if err != nil {
		return err
	}
	_, err = p.client.WaitTask(ctx, task, nil)
	return err
}

// powerOff stops a machine, when the time of that does not matter.
func (p *panal) powerOff(ctx context.Context, name string) error {
	task, err := p.client.Stop(ctx, name)
	return p.finish(ctx, task, err)
}

// tinyMachine makes the machine that all contestants start. The kernel prints from its first moment on, so that what is
// measured is the way to the guest and not the guest.
func (p *panal) tinyMachine(ctx context.Context, b *bench) (api.Machine, error) {
	task, err := p.client.Create(ctx, api.CreateRequest{Spec: api.Spec{
		Name: machineName, Architecture: api.X8664, MachineType: "q35",
		CPU: api.CPU{Count: 1}, Memory: api.Memory{Size: machineMemory},
		Adapters: []api.Adapter{}, Display: api.Display{Type: "none", Video: "none"},
		Kernel: &api.Kernel{Image: b.kernel, Initrd: b.initrd, CommandLine: commandLine},
	}})
	if err := p.finish(ctx, task, err); err != nil {
		return api.Machine{}, err
	}
	machine, err := p.client.Get(ctx, machineName)
	return machine, errors.Join(err, os.MkdirAll(filepath.Join(machine.Folder, "log"), 0o755))
}

// The machine that is started, whoever starts it.
const (
	machineName   = "bench"
	machineMemory = 512 << 20
	commandLine   = "console=ttyS0 earlyprintk=ttyS0,115200"
)

// serialLog is where QEMU writes what the guest of a machine prints.
func serialLog(m api.Machine) string {
	return filepath.Join(m.Folder, "log", m.Spec.Serials[0].Name+".log")
}
