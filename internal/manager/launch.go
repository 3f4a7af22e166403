package manager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/environment"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/host"
	"github.com/panalvm/panal/internal/imageserver"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/qemu"
	"github.com/panalvm/panal/internal/runner"
	"github.com/panalvm/panal/ovf"
)

// launchPlan is how a machine was started, as far as its record tells.
type launchPlan struct {
	accelerator string
	machineType string
	display     string
	cpus        int
	warnings    []string
}

// launch starts a machine's QEMU and begins to watch over it.
func (m *Manager) launch(ctx context.Context, object inventory.Object, saved bool, keys map[string][]byte) (*run, launchPlan, error) {
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
	if saved && object.Value.Status.CPUs > 0 {
		spec.CPU.Count = object.Value.Status.CPUs // the saved state is of so many
	}
	plan := launchPlan{accelerator: engine.Accelerator, machineType: resolved.Name, cpus: spec.CPU.Count}
	if err := renewDifferences(dir, spec, saved); err != nil {
		return nil, plan, err
	}
	if err := tellGuest(dir, spec, saved); err != nil {
		return nil, plan, err
	}
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
	program := m.runnerMachine(object)
	if spec.Display.Type == "vnc" {
		plan.display = program.Dir.Display()
	}
	nested, whyNot := host.Nested(engine)
	invocation, err := qemu.Command(qemu.Launch{
		CPUFlags: host.CPUFlags(engine), NestedFlag: nested, NestedWhy: whyNot,
		Spec: spec, Caps: engine.Capabilities, MachineType: resolved.Name, Accelerator: engine.Accelerator,
		RuntimeDir: string(program.Dir), LogDir: dir.Path(folder.Log),
		Images: images, Keys: keys, ImageSocket: program.Dir.Images().Socket(), Firmware: firmware, TPMSocket: program.Dir.TPM(), Incoming: saved,
		Paused: mustWait(spec),
	})
	if err != nil {
		return nil, plan, err
	}
	session, err := runner.Launch(ctx, program, invocation, tpmOf(spec))
	if err != nil {
		return nil, plan, err
	}
	started := m.watchOver(object.Key, session)
	if plan.warnings, err = m.schedule(ctx, started, spec); err != nil {
		return nil, plan, errors.Join(err, m.powerOff(context.WithoutCancel(ctx), started, api.EndFailed))
	}
	plan.warnings = append(plan.warnings, m.lackingFeatures(ctx, started, spec)...)
	m.reweigh(ctx)
	if err := errors.Join(m.beginMemory(ctx, started, spec, saved), m.arrange(ctx, started, spec, invocation.LinksDown, saved)); err != nil {
		return nil, plan, errors.Join(err, m.powerOff(context.WithoutCancel(ctx), started, api.EndFailed))
	}
	return started, plan, nil
}

// mustWait says whether a machine has what QEMU can only be told once it runs, so
// that its guest has to wait: an unplugged cable, a drive with limits.
func mustWait(spec api.Spec) bool {
	return slices.ContainsFunc(spec.Adapters, func(a api.Adapter) bool { return a.Network == "none" }) ||
		slices.ContainsFunc(spec.Drives, func(d api.Drive) bool { return machine.LimitsOf(d).Any() })
}

// arrange takes cables out and sets limits before the guest runs, and lets it run
// then, unless it has a saved state to read first.
func (m *Manager) arrange(ctx context.Context, run *run, spec api.Spec, down []string, saved bool) error {
	if !mustWait(spec) {
		return nil
	}
	for _, adapter := range down {
		if err := run.SetLink(ctx, adapter, false); err != nil {
			return fmt.Errorf("unplug adapter %s: %w", adapter, err)
		}
	}
	if err := m.limitAll(ctx, run, spec.Drives); err != nil || saved {
		return err
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
	program := runner.Machine{
		UUID: spec.UUID, Name: spec.Name, Dir: m.runtimeDir(spec.UUID), Folder: m.folderOf(object),
		User: m.User, Watcher: m.watcher, Log: m.log,
		Notify: func(event runner.Event) { m.happened(spec.UUID, event) },
		Images: func() ([]imageserver.Image, error) {
			_, served, err := imagesOf(m.folderOf(object), m.wiredSpec(spec.UUID, spec))
			return served, err
		},
	}
	for _, serial := range spec.Serials {
		program.Serials = append(program.Serials, runner.Serial{Name: serial.Name, Bound: int64(serial.LogSize)})
	}
	return program
}

// tellGuest makes the CD that tells the guest of its properties. One that was
// saved has it in its drive, and finds it there as it was.
func tellGuest(dir folder.Folder, spec api.Spec, saved bool) error {
	if saved {
		return nil
	}
	if err := seedGuest(dir, spec); err != nil || spec.Environment == nil {
		return err
	}
	return environment.Write(dir.Path(folder.Environment), spec.Environment, ovf.Platform{Kind: "QEMU", Vendor: "Panal"})
}

// imagesOf finds the images of every drive, and what stands behind them: those
// that QEMU opens, and those that it is served. A source that cannot be used any more
// stops the start: a guest must not see a disk with holes where its data was.
func imagesOf(dir folder.Folder, spec api.Spec) (map[string]qemu.Chain, []imageserver.Image, error) {
	images := map[string]qemu.Chain{}
	var served []imageserver.Image
	for _, drive := range spec.Drives {
		if e := spec.Environment; e != nil && e.Drive == drive.Name {
			drive.File, drive.Format = filepath.Join(folder.Environment, environment.CD), "raw"
		} else if seeded(dir, drive) {
			drive.Source, drive.Format, drive.Snapshot = dir.Path(seedOf(drive)), "raw", ""
		}
		chain, server, err := chainOf(dir, drive)
		if err != nil {
			return nil, nil, fmt.Errorf("drive %s: %w", drive.Name, err)
		}
		if chain != nil {
			images[drive.Name] = owned(chain, dir)
		}
		if server != nil {
			served = append(served, *server)
		}
	}
	return images, served, nil
}

// owned marks the images that are in the machine's folder.
func owned(chain qemu.Chain, dir folder.Folder) qemu.Chain {
	for i := range chain {
		chain[i].Own = filepath.Dir(chain[i].Path) == dir.Path(folder.Disks)
	}
	return chain
}

// chainOf finds the images of a drive, nil when it is empty, and the one among
// them that is served, nil when QEMU opens all.
func chainOf(dir folder.Folder, drive api.Drive) (chain qemu.Chain, served *imageserver.Image, err error) {
	if machine.IsRemote(drive.Source) {
		chain, err = remoteImage(drive)
		return chain, nil, err
	}
	if machine.Differs(drive) {
		chain = append(chain, qemu.Image{Path: dir.Path(differenceOf(drive)), Format: "qcow2", Encrypted: drive.Encrypted})
	}
	stack := media.StackOf(drive, ownImage(dir, drive))
	if len(stack) == 0 {
		return nil, nil, nil
	}
	last := len(stack) - 1
	for _, ref := range stack[:last] {
		layers, err := media.Layers(ref)
		if err != nil {
			return nil, nil, err
		}
		for _, layer := range layers {
			chain = append(chain, qemu.Image{Path: layer.Path, Format: layer.Format, ReadOnly: len(chain) > 0, Encrypted: layer.Encrypted})
		}
	}
	lowermost := stack[last]
	if last == 0 && drive.File != "" {
		// What snapshots were taken of: QEMU opens the images above itself, also where the
		// lowest has to be served.
		layers, err := media.Layers(lowermost)
		if err != nil {
			return nil, nil, err
		}
		for _, layer := range layers[:len(layers)-1] {
			chain = append(chain, qemu.Image{Path: layer.Path, Format: layer.Format, ReadOnly: len(chain) > 0, Encrypted: layer.Encrypted})
		}
		lowermost = media.Ref{Path: layers[len(layers)-1].Path, Format: layers[len(layers)-1].Format}
	}
	below, served, err := lowest(lowermost, drive.Name, len(chain) > 0 || machine.WriteModeOf(drive) == api.WriteNothing)
	if err != nil {
		return nil, nil, err
	}
	chain = append(chain, below...)
	chain[0].ReadOnly = machine.WriteModeOf(drive) == api.WriteNothing
	return chain, served, nil
}

// ownImage is the path of a drive's own image, empty if it has none.
func ownImage(dir folder.Folder, drive api.Drive) string {
	if drive.File == "" {
		return ""
	}
	return dir.Path(drive.File)
}

// lowest finds an image with all that it stands on, which QEMU opens or is
// served.
func lowest(ref media.Ref, export string, readOnly bool) (chain qemu.Chain, served *imageserver.Image, err error) {
	behind, err := media.Open(ref)
	if err != nil {
		return nil, nil, err
	}
	if !behind.Plain() && behind.Encrypted() {
		return nil, nil, problem.New(api.KindUnsupported, "make one plain image of it with `panal medium copy`",
			"image %s is encrypted, and QEMU cannot open it by itself, as it has to for that", ref.Path)
	}
	if !behind.Plain() {
		ref.Format = behind[0].Format
		return qemu.Chain{{Path: ref.Path, Format: ref.Format, ReadOnly: readOnly, Export: export}},
			&imageserver.Image{Ref: ref, Export: export, Write: !readOnly}, nil
	}
	for i, image := range behind {
		if err := hostDiskFree(image); err != nil {
			return nil, nil, err
		}
		chain = append(chain, qemu.Image{Path: image.Path, Format: image.Format, ReadOnly: readOnly || i > 0, Device: image.Device, Encrypted: image.Encrypted})
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
