package qmp

import "context"

// Status is the guest's run state.
type Status struct {
	// Running tells whether the guest's CPUs run.
	Running bool `json:"running"`
	// State is QEMU's run state, one of the State constants or another of
	// QEMU's RunState.
	State string `json:"status"`
}

// Run states that matter outside QEMU.
const (
	StateRunning       = "running"
	StatePaused        = "paused"
	StatePrelaunch     = "prelaunch"
	StateInMigrate     = "inmigrate"
	StatePostMigrate   = "postmigrate"
	StateFinishMigrate = "finish-migrate"
	StateSaveVM        = "save-vm"
	StateShutdown      = "shutdown"
	StateSuspended     = "suspended"
	StateGuestPanicked = "guest-panicked"
	StateIOError       = "io-error"
	StateInternalError = "internal-error"
	StateWatchdog      = "watchdog"
)

// Status returns the guest's run state.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var status Status
	err := c.Execute(ctx, "query-status", nil, &status)
	return status, err
}

// Stop pauses the guest's CPUs; nothing happens if they are paused.
func (c *Client) Stop(ctx context.Context) error {
	return c.Execute(ctx, "stop", nil, nil)
}

// Cont lets the guest's CPUs run.
func (c *Client) Cont(ctx context.Context) error {
	return c.Execute(ctx, "cont", nil, nil)
}

// SystemPowerdown presses the power button. What the guest makes of it, and
// when, is its own affair.
func (c *Client) SystemPowerdown(ctx context.Context) error {
	return c.Execute(ctx, "system_powerdown", nil, nil)
}

// SystemReset presses the reset button.
func (c *Client) SystemReset(ctx context.Context) error {
	return c.Execute(ctx, "system_reset", nil, nil)
}

// SystemWakeup wakes a guest suspended to memory.
func (c *Client) SystemWakeup(ctx context.Context) error {
	return c.Execute(ctx, "system_wakeup", nil, nil)
}

// Quit ends QEMU, and the guest with it at once. It returns when QEMU has
// accepted; that QEMU is gone, Done tells.
func (c *Client) Quit(ctx context.Context) error {
	return c.Execute(ctx, "quit", nil, nil)
}

// Chardev is a character device and its state.
type Chardev struct {
	// Label is the device's id.
	Label string `json:"label"`
	// Filename describes its far end, for people.
	Filename string `json:"filename"`
	// FrontendOpen tells whether the guest's side is in use.
	FrontendOpen bool `json:"frontend-open"`
}

// QueryChardev lists the character devices.
func (c *Client) QueryChardev(ctx context.Context) ([]Chardev, error) {
	var list []Chardev
	err := c.Execute(ctx, "query-chardev", nil, &list)
	return list, err
}
