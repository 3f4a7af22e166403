package manager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/qemu"
)

// agree makes a running machine have a drive, and in it a medium, as its spec
// says.
func (m *Manager) agree(ctx context.Context, run *run, record inventory.Record, name string, how howToRewire) error {
	there, node, err := run.Drive(ctx, name)
	if err != nil {
		return err
	}
	wanted := driveNamed(record.Spec.Drives, name)
	switch {
	case wanted == nil && there:
		return m.takeAway(ctx, run, record, name, how)
	case wanted == nil:
		return nil
	case !there:
		return m.bring(ctx, run, record, *wanted)
	case wanted.Kind == api.Disk:
		return nil
	}
	return m.load(ctx, run, record, *wanted, node, how)
}

// takeAway unplugs a drive that the spec does not have. Which device it is
// in, if it is not one itself, only QEMU knows then.
func (m *Manager) takeAway(ctx context.Context, run *run, record inventory.Record, name string, how howToRewire) error {
	device, err := run.DeviceOf(ctx, name)
	if err != nil {
		return err
	}
	if err := run.Unplug(ctx, device, name, how.within); err != nil {
		return err
	}
	return m.serve(ctx, run, record)
}

// bring plugs a drive in.
func (m *Manager) bring(ctx context.Context, run *run, record inventory.Record, drive api.Drive) error {
	plan, err := m.wiring(ctx, run, record, drive, func(launch qemu.Launch, first int) (qemu.Plugging, error) {
		return qemu.Plug(launch, drive.Name, first)
	})
	if err != nil {
		return err
	}
	if err := run.Plug(ctx, plan); err != nil {
		return fmt.Errorf("plug drive %s in: %w", drive.Name, err)
	}
	return m.limit(ctx, run, drive)
}

// load gives a drive the medium that the spec says; node is what it has.
func (m *Manager) load(ctx context.Context, run *run, record inventory.Record, drive api.Drive, node string, how howToRewire) error {
	chain, _, err := chainOf(folder.Folder(record.Folder), drive)
	if err != nil {
		return err
	}
	if len(chain) == 0 {
		if node == "" {
			return nil
		}
		if err := run.Eject(ctx, drive.Name, how.force, how.within); err != nil {
			return err
		}
		return m.serve(ctx, run, record)
	}
	wanted := qemu.NodeName(drive.Name, chain[0].Path)
	if wanted == node {
		return nil
	}
	plan, err := m.wiring(ctx, run, record, drive, func(launch qemu.Launch, first int) (qemu.Plugging, error) {
		return qemu.Medium(launch, drive, first)
	})
	if err != nil {
		return err
	}
	if err := run.Insert(ctx, drive.Name, wanted, plan, how.force, how.within); err != nil {
		return err
	}
	return m.limit(ctx, run, drive)
}

// wiring prepares what comes to a running machine: its images are looked for, and
// served if need be.
func (m *Manager) wiring(ctx context.Context, run *run, record inventory.Record, drive api.Drive,
	plan func(qemu.Launch, int) (qemu.Plugging, error),
) (func(int) (qemu.Plugging, error), error) {
	engine, err := m.Host.Engine(ctx, record.Spec.Architecture)
	if err != nil {
		return nil, err
	}
	dir := folder.Folder(record.Folder)
	if machine.Differs(drive) {
		if err := renewDifference(dir, drive); err != nil {
			return nil, err
		}
	}
	chain, served, err := chainOf(dir, drive)
	if err != nil {
		return nil, err
	}
	if served != nil {
		if err := m.serve(ctx, run, record); err != nil {
			return nil, err
		}
	}
	keys, err := m.unlocked(record.Spec.UUID, dir, []api.Drive{drive})
	if err != nil {
		return nil, err
	}
	if err := m.keepStateKey(record.Spec.UUID, dir, record.Spec.Drives); err != nil {
		return nil, err
	}
	at := m.runtimeDir(record.Spec.UUID)
	launch := qemu.Launch{
		Spec: record.Spec, Caps: engine.Capabilities, RuntimeDir: string(at), LogDir: dir.Path(folder.Log),
		Images: map[string]qemu.Chain{drive.Name: chain}, Keys: keys, ImageSocket: at.Images().Socket(),
	}
	return func(first int) (qemu.Plugging, error) { return plan(launch, first) }, nil
}

// serve has the images of a spec served that is not the record's yet.
func (m *Manager) serve(ctx context.Context, run *run, record inventory.Record) error {
	before, after, err := m.servedNow(ctx, record)
	if err != nil || !before && !after {
		return err
	}
	m.mu.Lock()
	m.wired[record.Spec.UUID] = record.Spec
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.wired, record.Spec.UUID)
		m.mu.Unlock()
	}()
	return run.ServeImages(ctx)
}

// servedNow tells whether images are served of a machine as its record has it, and as
// it is to be.
func (m *Manager) servedNow(ctx context.Context, record inventory.Record) (before, after bool, err error) {
	dir := folder.Folder(record.Folder)
	object, err := m.inv.Get(ctx, record.Spec.UUID)
	if err != nil {
		return false, false, err
	}
	_, old, err := imagesOf(dir, object.Value.Spec)
	if err != nil {
		return false, false, err
	}
	_, updated, err := imagesOf(dir, record.Spec)
	return len(old) > 0, len(updated) > 0, err
}

// wiredSpec is the spec that a machine has, or is about to have. Without a
// record it is the one given.
func (m *Manager) wiredSpec(uuid string, otherwise api.Spec) api.Spec {
	m.mu.Lock()
	spec, wired := m.wired[uuid]
	m.mu.Unlock()
	if wired {
		return spec
	}
	object, err := m.inv.Get(m.base, uuid)
	if err != nil {
		return otherwise
	}
	return object.Value.Spec
}

// limit sets the limits of a drive that has something in it.
func (m *Manager) limit(ctx context.Context, run *run, drive api.Drive) error {
	if drive.Kind == api.FloppyDiskette {
		return nil
	}
	return run.Throttle(ctx, drive.Name, qemu.Throttle(drive.Name, machine.LimitsOf(drive)))
}

// limitAll sets the limits of all drives that have some.
func (m *Manager) limitAll(ctx context.Context, run *run, drives []api.Drive) error {
	for _, drive := range drives {
		if !machine.LimitsOf(drive).Any() {
			continue
		}
		if err := m.limit(ctx, run, drive); err != nil {
			return fmt.Errorf("limit drive %s: %w", drive.Name, err)
		}
	}
	return nil
}

// relimit changes the limits of a running machine's drives from those of one
// spec to those of another. When it fails they are as before.
func (m *Manager) relimit(ctx context.Context, uuid string, before, after api.Spec) error {
	run := m.running(uuid)
	if run == nil {
		return nil
	}
	for _, drive := range after.Drives {
		old := driveNamed(before.Drives, drive.Name)
		if old == nil || machine.LimitsOf(*old) == machine.LimitsOf(drive) {
			continue
		}
		if err := m.limit(ctx, run, drive); err != nil {
			err = fmt.Errorf("limit drive %s: %w", drive.Name, err)
			return errors.Join(err, m.relimit(context.WithoutCancel(ctx), uuid, after, before))
		}
	}
	return nil
}

// notThere checks that the image of a new drive has its name free.
func notThere(dir folder.Folder, drive api.Drive) error {
	name := drive.Name + ".qcow2"
	if drive.Mode == api.Own && drive.Source != "" {
		name = drive.Name + "." + drive.Format
	}
	path := dir.Path(folder.Disks, name)
	if _, err := os.Lstat(path); err != nil || path == drive.Source {
		return nil
	}
	return problem.New(api.KindExists, "name the drive differently, or attach that file with mode own", "there is a file %s already", path)
}

// unwire undoes a change of a drive, whatever of it was done.
func (m *Manager) unwire(ctx context.Context, step rewired) error {
	object, err := m.inv.Get(ctx, step.UUID)
	if err != nil {
		return unlessGone(err)
	}
	if run := m.running(step.UUID); run != nil {
		if err := m.agree(ctx, run, object.Value, step.Drive, howToRewire{within: guestWithin}); err != nil {
			return err // an image that was made stays: QEMU may still have it open
		}
	}
	if step.Made == "" || driveNamed(object.Value.Spec.Drives, step.Drive) != nil {
		return nil
	}
	return removeFile(filepath.Join(object.Value.Folder, step.Made))
}
