package manager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/imageserver"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/qemu"
	"github.com/panalvm/panal/internal/runner"
)

// launchPlan is how a machine was started, as far as its record tells.
type launchPlan struct {
	accelerator string
	machineType string
	display     string
}

// launch starts a machine's QEMU and begins to watch over it.
func (m *Manager) launch(ctx context.Context, object inventory.Object, saved bool) (*run, launchPlan, error) {
	spec, dir := object.Value.Spec, m.folderOf(object)
	engine, err := m.Host.Engine(ctx, spec.Architecture)
	if err != nil {
		return nil, launchPlan{}, err
	}
	wanted := object.Value.Status.MachineType
	if wanted == "" {
		wanted = spec.MachineType
	}
	resolved, err := engine.Capabilities.ResolveMachine(wanted)
	if err != nil {
		return nil, launchPlan{}, err
	}
	plan := launchPlan{accelerator: engine.Accelerator, machineType: resolved.Name}
	images, _, err := imagesOf(dir, spec)
	if err != nil {
		return nil, plan, err
	}
	firmware, err := m.Host.Firmware(spec, resolved.Name, dir.Path(folder.NVRAM))
	if err != nil {
		return nil, plan, err
	}
	if err := portsFree(spec); err != nil {
		return nil, plan, err
	}
	machine := m.runnerMachine(object)
	if spec.Display.Type == "vnc" {
		plan.display = machine.Dir.Display()
	}
	invocation, err := qemu.Command(qemu.Launch{
		Spec: spec, Caps: engine.Capabilities, MachineType: resolved.Name, Accelerator: engine.Accelerator,
		RuntimeDir: string(machine.Dir), LogDir: dir.Path(folder.Log),
		Images: images, ImageSocket: machine.Dir.Images().Socket(), Firmware: firmware, TPMSocket: machine.Dir.TPM(), Incoming: saved,
		Paused: hasUnplugged(spec),
	})
	if err != nil {
		return nil, plan, err
	}
	session, err := runner.Launch(ctx, machine, invocation, tpmOf(spec))
	if err != nil {
		return nil, plan, err
	}
	started := m.watchOver(object.Key, session)
	if err := m.unplug(ctx, started, invocation.LinksDown, saved); err != nil {
		return nil, plan, errors.Join(err, m.powerOff(context.WithoutCancel(ctx), started, api.EndFailed))
	}
	return started, plan, nil
}

// hasUnplugged says whether a machine has an adapter whose cable is unplugged.
// QEMU can only be told so once it runs, so its guest has to wait for that.
func hasUnplugged(spec api.Spec) bool {
	return slices.ContainsFunc(spec.Adapters, func(a api.Adapter) bool { return a.Network == "none" })
}

// unplug takes cables out before the guest runs, and lets it run then, unless
// it has a saved state to read first.
func (m *Manager) unplug(ctx context.Context, run *run, adapters []string, saved bool) error {
	if len(adapters) == 0 {
		return nil
	}
	for _, adapter := range adapters {
		if err := run.SetLink(ctx, adapter, false); err != nil {
			return fmt.Errorf("unplug adapter %s: %w", adapter, err)
		}
	}
	if saved {
		return nil
	}
	return run.Resume(ctx)
}

func tpmOf(spec api.Spec) *runner.TPM {
	if spec.TPM == nil {
		return nil
	}
	return &runner.TPM{Version: spec.TPM.Version}
}

// runnerMachine is what the runner needs to know of a machine.
func (m *Manager) runnerMachine(object inventory.Object) runner.Machine {
	spec := object.Value.Spec
	machine := runner.Machine{
		UUID: spec.UUID, Name: spec.Name, Dir: m.runtimeDir(spec.UUID), Folder: m.folderOf(object),
		User: m.User, Watcher: m.watcher, Log: m.log,
		Notify: func(event runner.Event) { m.happened(spec.UUID, event) },
		Images: func() ([]imageserver.Image, error) {
			_, served, err := imagesOf(m.folderOf(object), spec)
			return served, err
		},
	}
	for _, serial := range spec.Serials {
		machine.Serials = append(machine.Serials, runner.Serial{Name: serial.Name, Bound: int64(serial.LogSize)})
	}
	return machine
}

// imagesOf finds the images of every drive, and what stands behind them: those
// that QEMU opens, and those that it is served. A source that cannot be used any more
// stops the start: a guest must not see a disk with holes where its data was.
func imagesOf(dir folder.Folder, spec api.Spec) (map[string]qemu.Chain, []imageserver.Image, error) {
	images := map[string]qemu.Chain{}
	var served []imageserver.Image
	for _, drive := range spec.Drives {
		chain, server, err := chainOf(dir, drive)
		if err != nil {
			return nil, nil, fmt.Errorf("drive %s: %w", drive.Name, err)
		}
		if chain != nil {
			images[drive.Name] = chain
		}
		if server != nil {
			served = append(served, *server)
		}
	}
	return images, served, nil
}

// chainOf finds the images of a drive, nil when it is empty, and the one among
// them that is served, nil when QEMU opens all.
func chainOf(dir folder.Folder, drive api.Drive) (chain qemu.Chain, served *imageserver.Image, err error) {
	ref := media.RefOf(drive)
	switch {
	case drive.Mode == api.Overlay && drive.File != "":
		chain = append(chain, qemu.Image{Path: dir.Path(drive.File), Format: "qcow2"})
	case drive.File != "":
		ref.Path = dir.Path(drive.File)
	case drive.Source == "":
		return nil, nil, nil
	}
	behind, err := media.Open(ref)
	if err != nil {
		return nil, nil, err
	}
	readOnly := len(chain) > 0 || drive.Mode == api.ReadOnly
	if !behind.Plain() {
		ref.Format = behind[0].Format
		return append(chain, qemu.Image{Path: ref.Path, Format: ref.Format, ReadOnly: readOnly, Export: drive.Name}),
			&imageserver.Image{Ref: ref, Export: drive.Name, Write: !readOnly}, nil
	}
	for i, image := range behind {
		chain = append(chain, qemu.Image{Path: image.Path, Format: image.Format, ReadOnly: readOnly || i > 0, Device: image.Device})
	}
	return chain, nil, nil
}

// portsFree checks that the host's ports of all forwards can be listened on,
// because QEMU's own complaint does not say which it was or why.
func portsFree(spec api.Spec) error {
	var errs []error
	for _, adapter := range spec.Adapters {
		for _, forward := range adapter.Forwards {
			if err := portFree(forward); err != nil {
				errs = append(errs, fmt.Errorf("adapter %s: %w", adapter.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func portFree(forward api.Forward) error {
	address := net.JoinHostPort(forward.HostAddress, strconv.Itoa(forward.HostPort))
	var err error
	if forward.Protocol == "udp" {
		var conn net.PacketConn
		if conn, err = net.ListenPacket("udp", address); err == nil {
			err = conn.Close()
		}
	} else {
		var listener net.Listener
		if listener, err = net.Listen("tcp", address); err == nil {
			err = listener.Close()
		}
	}
	if err != nil {
		return problem.New(api.KindExists, "choose another host port, or stop what listens on it",
			"the host's port %s (%s) cannot be listened on: %s", address, forward.Protocol, cause(err))
	}
	return nil
}

func cause(err error) error {
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}
