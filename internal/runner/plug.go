package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/qemu"
	"github.com/panalvm/panal/internal/qmp"
)

// Drive tells whether the running machine has a drive, and the name of the topmost
// block node in it, empty when nothing is in it.
func (s *Session) Drive(ctx context.Context, drive string) (present bool, node string, err error) {
	devices, err := s.monitor.QueryBlock(ctx)
	if err != nil {
		return false, "", err
	}
	for _, device := range devices {
		if !device.Belongs(drive) {
			continue
		}
		if device.Inserted != nil {
			node = device.Inserted.Name
		}
		return true, node, nil
	}
	return false, "", nil
}

// DeviceOf is the device that is to be taken away with a drive: the USB device that
// it is in, if it is in one, else its own.
func (s *Session) DeviceOf(ctx context.Context, drive string) (string, error) {
	var devices []struct {
		Name string `json:"name"`
	}
	if err := s.monitor.Execute(ctx, "qom-list", map[string]any{"path": "/machine/peripheral"}, &devices); err != nil {
		return "", err
	}
	for _, device := range devices {
		if device.Name == qemu.USBDevice(drive) {
			return device.Name, nil
		}
	}
	return drive, nil
}

// Plan tells how a drive or a medium comes to the machine, given the first number of a
// set of descriptors that is free.
type Plan func(firstSet int) (qemu.Plugging, error)

// Plug carries out a plan. When it fails, nothing of it is left.
func (s *Session) Plug(ctx context.Context, plan Plan) error {
	s.blocks.Lock()
	defer s.blocks.Unlock()
	return s.carryOut(ctx, plan)
}

// carryOut does what Plug says; s.blocks is held.
func (s *Session) carryOut(ctx context.Context, plan Plan) (err error) {
	first, err := s.freeSet(ctx)
	if err != nil {
		return err
	}
	plugging, err := plan(first)
	if err != nil {
		return err
	}
	// Once begun it is done or taken back, whoever does not wait for it any more.
	ctx = context.WithoutCancel(ctx)
	var done []qemu.Step
	defer func() {
		if err != nil {
			s.takeBack(ctx, done)
		}
	}()
	for i, wanted := range plugging.Files {
		if err := s.handOver(ctx, plugging.FirstSet+i, wanted); err != nil {
			return err
		}
	}
	for _, step := range plugging.Steps {
		if err := s.monitor.Execute(ctx, step.Command, step.Arguments, nil); err != nil {
			return err
		}
		done = append(done, step)
	}
	return nil
}

// freeSet is the first of the numbers of sets of descriptors that are all free.
func (s *Session) freeSet(ctx context.Context) (int, error) {
	sets, err := s.monitor.QueryFDSets(ctx)
	first := 0
	for _, set := range sets {
		first = max(first, set.Set+1)
	}
	return first, err
}

// handOver opens a file and puts it into a set.
func (s *Session) handOver(ctx context.Context, set int, wanted qemu.File) error {
	file, err := open(wanted, s.machine.User)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = s.monitor.AddFD(ctx, &set, file, wanted.Path)
	return err
}

// takeBack undoes steps, the last first, and lets go of the images.
func (s *Session) takeBack(ctx context.Context, steps []qemu.Step) {
	for i := len(steps) - 1; i >= 0; i-- {
		id, _ := steps[i].Arguments["id"].(string)
		switch steps[i].Command {
		case "device_add":
			_ = s.remove(ctx, id, []string{id}, unplugDevice)
		case "object-add":
			_ = s.monitor.Execute(ctx, "object-del", map[string]any{"id": id}, nil)
		}
	}
	s.dropUnused(ctx)
}

// unplugDevice is how long a device that no guest has seen may take to go.
const unplugDevice = 10 * time.Second

// Unplug takes a drive out of the running machine. Device is its device, or the
// one that it is in. A guest that does not give it up within the time is
// api.KindTimeout, one that refuses api.KindRefused; the drive is there then,
// though a guest may still give it up later. A drive that is not there is no error.
func (s *Session) Unplug(ctx context.Context, device, drive string, within time.Duration) error {
	ids := []string{drive}
	if device != drive {
		ids = append(ids, device)
	}
	if err := s.remove(ctx, device, ids, within); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	// Few drives have a thread or a key of their own; of the others QEMU says that there is none.
	for _, id := range []string{qemu.ThreadOf(drive), qemu.KeyOf(drive)} {
		_ = s.monitor.Execute(ctx, "object-del", map[string]any{"id": id}, nil)
	}
	s.blocks.Lock()
	defer s.blocks.Unlock()
	s.dropUnused(ctx)
	return nil
}

// ChangeKey gives QEMU another passphrase for the encrypted images of a drive that it opens from now on. A drive
// that has none in QEMU is no error.
func (s *Session) ChangeKey(ctx context.Context, drive string, passphrase []byte) error {
	s.blocks.Lock()
	defer s.blocks.Unlock()
	ctx = context.WithoutCancel(ctx) // between the two steps QEMU has none
	var refusal *qmp.Error
	err := s.monitor.Execute(ctx, "object-del", map[string]any{"id": qemu.KeyOf(drive)}, nil)
	if errors.As(err, &refusal) && strings.Contains(refusal.Desc, "not found") {
		return nil
	}
	if err != nil {
		return err
	}
	return s.monitor.Execute(ctx, "object-add", qemu.KeyObject(drive, passphrase), nil)
}

// remove asks for a device to go and waits until the devices with the ids have.
func (s *Session) remove(ctx context.Context, device string, ids []string, within time.Duration) error {
	events, stop := s.Listen(qmp.EventDeviceDeleted, qmp.EventDeviceUnplugRejected)
	defer stop()
	err := s.monitor.Execute(ctx, "device_del", map[string]any{"id": device}, nil)
	switch refusal := (*qmp.Error)(nil); {
	case errors.As(err, &refusal) && refusal.Class == qmp.ClassDeviceNotFound:
		return nil
	case err != nil && strings.Contains(err.Error(), "in the process of unplug"):
		// It was asked for before, and the guest has not answered yet.
	case err != nil:
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	gone := map[string]bool{}
	for len(gone) < len(ids) {
		select {
		case event, open := <-events:
			if !open {
				return errEndedMeanwhile
			}
			if err := took(event, ids, gone); err != nil {
				return err
			}
		case <-waiting.Done():
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return problem.New(api.KindTimeout, "let the guest stop using it and repeat the command, or do it while the machine is off",
				"the guest did not give up %s within %v", ids[0], within)
		}
	}
	return nil
}

// errEndedMeanwhile is a QEMU that ended while it was waited for.
var errEndedMeanwhile = errors.New("the machine ended meanwhile")

// took notes which device an event says is gone.
func took(event qmp.Event, ids []string, gone map[string]bool) error {
	var payload qmp.DeviceDeleted
	if err := event.Decode(&payload); err != nil {
		return err
	}
	for _, id := range ids {
		if payload.Device != id {
			continue
		}
		if event.Name == qmp.EventDeviceUnplugRejected {
			return problem.New(api.KindRefused, "let the guest stop using it and repeat the command", "the guest does not give up %s", id)
		}
		gone[id] = true
	}
	return nil
}

// Throttle sets what a drive may do in a second; limits are the other arguments of
// block_set_io_throttle. A drive that is empty has no limits.
func (s *Session) Throttle(ctx context.Context, drive string, limits map[string]any) error {
	devices, err := s.monitor.QueryBlock(ctx)
	if err != nil {
		return err
	}
	for _, device := range devices {
		if !device.Belongs(drive) || device.Inserted == nil {
			continue
		}
		arguments := map[string]any{"id": device.QDev} // a part of the drive's device, for some
		maps.Copy(arguments, limits)
		return s.monitor.Execute(ctx, "block_set_io_throttle", arguments, nil)
	}
	return nil
}

// Eject empties a drive that takes media. A guest that keeps the drive locked
// for longer than within is api.KindTimeout, unless it is forced.
func (s *Session) Eject(ctx context.Context, drive string, force bool, within time.Duration) error {
	s.blocks.Lock()
	defer s.blocks.Unlock()
	if err := s.takeOut(ctx, drive, force, within); err != nil {
		return err
	}
	s.dropUnused(context.WithoutCancel(ctx))
	return s.tray(context.WithoutCancel(ctx), "blockdev-close-tray", drive, false)
}

// Insert puts the medium of a plan into a drive, in the place of what is in it.
// Node is the name of its topmost block node. When it fails, the drive has what
// it had, or is empty if what it had could not be put back.
func (s *Session) Insert(ctx context.Context, drive, node string, plan Plan, force bool, within time.Duration) error {
	s.blocks.Lock()
	defer s.blocks.Unlock()
	_, before, err := s.Drive(ctx, drive)
	if err != nil {
		return err
	}
	if err := s.carryOut(ctx, plan); err != nil {
		return err
	}
	defer s.dropUnused(context.WithoutCancel(ctx))
	if err := s.takeOut(ctx, drive, force, within); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	err = s.putIn(ctx, drive, node)
	if err != nil && before != "" {
		err = errors.Join(err, s.putIn(ctx, drive, before))
	}
	return errors.Join(err, s.tray(ctx, "blockdev-close-tray", drive, false))
}

func (s *Session) putIn(ctx context.Context, drive, node string) error {
	return s.monitor.Execute(ctx, "blockdev-insert-medium", map[string]any{"id": drive, "node-name": node}, nil)
}

// takeOut opens a drive's tray and takes the medium out.
func (s *Session) takeOut(ctx context.Context, drive string, force bool, within time.Duration) error {
	events, stop := s.Listen(qmp.EventDeviceTrayMoved)
	defer stop()
	if err := s.tray(ctx, "blockdev-open-tray", drive, force); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		// While the tray is shut QEMU refuses, and the guest has been asked to open it.
		err := s.monitor.Execute(ctx, "blockdev-remove-medium", map[string]any{"id": drive}, nil)
		if err == nil || !strings.Contains(err.Error(), "is not open") {
			return err
		}
		select {
		case _, open := <-events:
			if !open {
				return errEndedMeanwhile
			}
		case <-waiting.Done():
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return problem.New(api.KindTimeout, "unmount it in the guest and repeat the command, or use --force",
				"the guest keeps %s locked and did not open it within %v", drive, within)
		}
	}
}

// tray opens or closes the tray of a drive, if it has one.
func (s *Session) tray(ctx context.Context, command, drive string, force bool) error {
	arguments := map[string]any{"id": drive}
	if force {
		arguments["force"] = true
	}
	if err := s.monitor.Execute(ctx, command, arguments, nil); err != nil {
		return fmt.Errorf("%s: %w", strings.TrimPrefix(command, "blockdev-"), err)
	}
	return nil
}
