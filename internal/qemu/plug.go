package qemu

import (
	"fmt"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
)

// Step is a command of QEMU's monitor.
type Step struct {
	Command   string
	Arguments map[string]any
}

// Plugging is how a drive, or what is in it, comes to a machine that runs.
type Plugging struct {
	Files    []File // file n goes into the set of descriptors number FirstSet+n
	FirstSet int
	// Steps are done in this order. Each but the last can be taken back by the
	// command that is its opposite.
	Steps []Step
}

// Plug returns how to attach a drive of the spec to the machine, which runs
// with all the others. FirstSet is the first number of a set of descriptors
// that is free. What [machine.HotPlug] refuses is not for Plug.
func Plug(launch Launch, drive string, firstSet int) (Plugging, error) {
	b := &builder{Launch: launch, plugging: true, firstSet: firstSet}
	i := slices.IndexFunc(b.Spec.Drives, func(d api.Drive) bool { return d.Name == drive })
	if i < 0 {
		return Plugging{}, fmt.Errorf("there is no drive %s", drive)
	}
	at := slices.IndexFunc(b.Spec.Controllers, func(c api.Controller) bool { return c.Name == b.Spec.Drives[i].Controller })
	if at < 0 || b.Spec.Drives[i].Port == nil {
		return Plugging{}, fmt.Errorf("drive %s has no controller or port", drive)
	}
	controller := b.Spec.Controllers[at]
	on := bus{kind: controller.Type, name: controller.Name, threads: controller.IOThread}
	b.drive(i, b.Spec.Drives[i], on)
	if on.kind == api.USB {
		attached := object{"path": "/machine/peripheral/" + USBDevice(drive), "property": "attached", "value": true}
		b.steps = append(b.steps, Step{"qom-set", attached})
	}
	return b.plugged(drive)
}

// Medium returns how to open the image of a drive, which is one that takes media,
// so that it can be put into the drive.
func Medium(launch Launch, drive api.Drive, firstSet int) (Plugging, error) {
	b := &builder{Launch: launch, plugging: true, firstSet: firstSet}
	b.chain(drive, b.Images[drive.Name])
	return b.plugged(drive.Name)
}

func (b *builder) plugged(drive string) (Plugging, error) {
	if b.err != nil {
		return Plugging{}, fmt.Errorf("build QEMU's commands for drive %s: %w", drive, b.err)
	}
	return Plugging{Files: b.files, FirstSet: b.firstSet, Steps: b.steps}, nil
}

// USBDevice is the identifier of the device that a USB drive is in.
func USBDevice(drive string) string { return "panal-usb-" + drive }

// ThreadOf is the identifier of the thread that a drive has if it has one.
func ThreadOf(drive string) string { return "panal-thread-" + drive }

// Throttle returns the arguments of block_set_io_throttle for a drive's limits, but
// for the device's.
func Throttle(drive string, l machine.Limits) map[string]any {
	arguments := map[string]any{
		"bps": l.Bandwidth, "bps_rd": l.ReadBandwidth, "bps_wr": l.WriteBandwidth,
		"iops": l.IOPS, "iops_rd": l.ReadIOPS, "iops_wr": l.WriteIOPS,
	}
	length := max(l.BurstSeconds, 1)
	if l.BurstIOPS > 0 {
		arguments["iops_max"], arguments["iops_max_length"] = l.BurstIOPS, length
	}
	if l.BurstBandwidth > 0 {
		arguments["bps_max"], arguments["bps_max_length"] = l.BurstBandwidth, length
	}
	if l.Any() {
		arguments["group"] = "panal-limit-" + drive
		if l.Group != "" {
			arguments["group"] = "panal-limits-" + l.Group
		}
	}
	return arguments
}
