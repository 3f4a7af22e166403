package qmp

import "encoding/json"

// Names of the events Panal acts on. The payload of each, if it has one, is
// the type of its name with Event.Decode.
const (
	EventShutdown             = "SHUTDOWN"
	EventReset                = "RESET"
	EventStop                 = "STOP"
	EventResume               = "RESUME"
	EventSuspend              = "SUSPEND"
	EventWakeup               = "WAKEUP"
	EventPowerdown            = "POWERDOWN"
	EventGuestPanicked        = "GUEST_PANICKED"
	EventVSerialPortChange    = "VSERPORT_CHANGE"
	EventMigration            = "MIGRATION"
	EventBlockIOError         = "BLOCK_IO_ERROR"
	EventJobStatusChange      = "JOB_STATUS_CHANGE"
	EventRTCChange            = "RTC_CHANGE"
	EventWatchdog             = "WATCHDOG"
	EventDeviceDeleted        = "DEVICE_DELETED"
	EventDeviceTrayMoved      = "DEVICE_TRAY_MOVED"
	EventDeviceUnplugRejected = "DEVICE_UNPLUG_GUEST_ERROR"
	EventACPIDeviceOST        = "ACPI_DEVICE_OST"
	EventBalloonChange        = "BALLOON_CHANGE"
	EventMemorySizeChange     = "MEMORY_DEVICE_SIZE_CHANGE"
)

// Causes of a shutdown or reset, in Shutdown and Reset.
const (
	CauseHostError       = "host-error"
	CauseHostQuit        = "host-qmp-quit"
	CauseHostSystemReset = "host-qmp-system-reset"
	CauseHostSignal      = "host-signal"
	CauseHostUI          = "host-ui"
	CauseGuestShutdown   = "guest-shutdown"
	CauseGuestReset      = "guest-reset"
	CauseGuestPanic      = "guest-panic"
	CauseSubsystemReset  = "subsystem-reset"
)

// Shutdown is the payload of EventShutdown: the guest's machine is off.
type Shutdown struct {
	// Guest tells that the guest itself caused it.
	Guest bool `json:"guest"`
	// Reason is one of the Cause constants.
	Reason string `json:"reason"`
}

// Reset is the payload of EventReset.
type Reset struct {
	// Guest tells that the guest itself caused it.
	Guest bool `json:"guest"`
	// Reason is one of the Cause constants.
	Reason string `json:"reason"`
}

// GuestPanicked is the payload of EventGuestPanicked.
type GuestPanicked struct {
	// Action is what QEMU does now: "pause", "poweroff" or "run".
	Action string `json:"action"`
	// Info holds what the guest said about it, in a form that depends on its
	// kind; often nil.
	Info json.RawMessage `json:"info"`
}

// VSerialPortChange is the payload of EventVSerialPortChange: somebody in the
// guest opened or closed a virtio-serial port.
type VSerialPortChange struct {
	// ID is the port device's id.
	ID string `json:"id"`
	// Open is the port's state now.
	Open bool `json:"open"`
}

// Migration is the payload of EventMigration.
type Migration struct {
	// Status is one of the Migration constants.
	Status string `json:"status"`
}

// BlockIOError is the payload of EventBlockIOError.
type BlockIOError struct {
	// Device is the device's id, Node the block node's; either may be empty.
	Device string `json:"device"`
	Node   string `json:"node-name"`
	// Operation is "read" or "write".
	Operation string `json:"operation"`
	// Action is what QEMU does now: "ignore", "report" or "stop".
	Action string `json:"action"`
	// NoSpace tells that the storage is full: more room, then Cont, helps.
	NoSpace bool `json:"nospace"`
	// Reason explains, for people.
	Reason string `json:"reason"`
}

// JobStatusChange is the payload of EventJobStatusChange.
type JobStatusChange struct {
	ID string `json:"id"`
	// Status is QEMU's JobStatus, from "created" to "concluded" and "null".
	Status string `json:"status"`
}

// RTCChange is the payload of EventRTCChange: the guest set its clock.
type RTCChange struct {
	// Offset is the clock's difference to the one it was started with, in
	// seconds.
	Offset int64 `json:"offset"`
	// Path is the clock's path in QEMU's object tree.
	Path string `json:"qom-path"`
}

// Watchdog is the payload of EventWatchdog: the guest's watchdog ran out.
type Watchdog struct {
	// Action is what QEMU does now: "reset", "poweroff", "pause", ….
	Action string `json:"action"`
}

// DeviceDeleted is the payload of EventDeviceDeleted and of
// EventDeviceUnplugRejected: a device is gone, or the guest keeps it.
type DeviceDeleted struct {
	// Device is the device's id, empty if it has none.
	Device string `json:"device"`
	// Path is its path in QEMU's object tree.
	Path string `json:"path"`
}

// ACPIDeviceOST is the payload of EventACPIDeviceOST: what the guest's system
// says about a device that was plugged in or is to be taken out (ACPI 6.4, 6.3.5).
type ACPIDeviceOST struct {
	Info OST `json:"info"`
}

// OST is one report of the guest's system.
type OST struct {
	// Slot is the device's place, as Type ("CPU", "DIMM") counts.
	Slot string `json:"slot"`
	Type string `json:"slot-type"`
	// Source is what the report is about: 3 for a request to eject.
	Source int64 `json:"source"`
	// Status is 0 for success; what else it means depends on Source.
	Status int64 `json:"status"`
}

// Sources and statuses of OST (ACPI 6.4, tables 6.51 and 6.53).
const (
	ostEjectRequest  = 3
	ostEjectProgress = 0x84
)

// Refused tells that the guest will not let go of a device.
func (o OST) Refused() bool {
	return o.Source == ostEjectRequest && o.Status != 0 && o.Status != ostEjectProgress
}
