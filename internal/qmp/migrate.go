package qmp

import (
	"context"
	"maps"
	"slices"
	"time"
)

// States of a migration, in MigrationInfo and in EventMigration.
const (
	MigrationNone      = "none"
	MigrationSetup     = "setup"
	MigrationActive    = "active"
	MigrationDevice    = "device"
	MigrationCompleted = "completed"
	MigrationFailed    = "failed"
	MigrationCanceling = "cancelling"
	MigrationCanceled  = "cancelled"
)

// MigrationInfo is how far a migration has come.
type MigrationInfo struct {
	// Status is one of the Migration constants or another of QEMU's
	// MigrationStatus; empty when there never was a migration.
	Status string `json:"status"`
	// RAM is zero until the transfer began.
	RAM MigrationRAM `json:"ram"`
	// TotalTime is how long it has taken, in milliseconds.
	TotalTime int64 `json:"total-time"`
	// Downtime is how long the guest stood still, in milliseconds, once known.
	Downtime int64 `json:"downtime"`
	// ErrorDesc explains a failure, for people.
	ErrorDesc string `json:"error-desc"`
}

// MigrationRAM counts a migration's bytes of guest memory.
type MigrationRAM struct {
	Total       int64 `json:"total"`
	Transferred int64 `json:"transferred"`
	Remaining   int64 `json:"remaining"`
	// DirtyPagesRate is how many pages the guest writes a second.
	DirtyPagesRate int64 `json:"dirty-pages-rate"`
	// Mbps is the transfer's rate in 10⁶ bits a second.
	Mbps float64 `json:"mbps"`
}

// Finished tells whether the migration has ended, well or not.
func (m MigrationInfo) Finished() bool {
	return MigrationFinished(m.Status)
}

// MigrationFinished tells whether status is one a migration ends in.
func MigrationFinished(status string) bool {
	return status == MigrationCompleted || status == MigrationFailed || status == MigrationCanceled
}

// Migrate begins to send the guest's state to uri, such as "fd:" and a name
// given to SendFile. It returns when it has begun; EventMigration reports its
// states if the capability "events" is on.
func (c *Client) Migrate(ctx context.Context, uri string) error {
	return c.Execute(ctx, "migrate", map[string]any{"uri": uri}, nil)
}

// MigrateIncoming begins to take a guest's state in from uri; QEMU must have
// been started with -incoming defer.
func (c *Client) MigrateIncoming(ctx context.Context, uri string) error {
	return c.Execute(ctx, "migrate-incoming", map[string]any{"uri": uri}, nil)
}

// MigrateCancel asks an outgoing migration to end; the guest runs on here.
func (c *Client) MigrateCancel(ctx context.Context) error {
	return c.Execute(ctx, "migrate_cancel", nil, nil)
}

// QueryMigrate returns how far the current or last migration has come.
func (c *Client) QueryMigrate(ctx context.Context) (MigrationInfo, error) {
	var info MigrationInfo
	err := c.Execute(ctx, "query-migrate", nil, &info)
	return info, err
}

// SetMigrateCapabilities turns migration capabilities on or off by name.
func (c *Client) SetMigrateCapabilities(ctx context.Context, capabilities map[string]bool) error {
	type capability struct {
		Name  string `json:"capability"`
		State bool   `json:"state"`
	}
	list := make([]capability, 0, len(capabilities))
	for _, name := range slices.Sorted(maps.Keys(capabilities)) {
		list = append(list, capability{name, capabilities[name]})
	}
	return c.Execute(ctx, "migrate-set-capabilities", map[string]any{"capabilities": list}, nil)
}

// SetMigrateParameters sets migration parameters by QEMU's names and units
// (max-bandwidth: bytes a second, 0 unlimited; downtime-limit: milliseconds; …).
func (c *Client) SetMigrateParameters(ctx context.Context, parameters map[string]any) error {
	return c.Execute(ctx, "migrate-set-parameters", parameters, nil)
}

// CancelLeft ends an outgoing migration that somebody else has begun and that nobody
// reads any more, and returns when QEMU has let go of it. Where there is none, nothing happens.
func (c *Client) CancelLeft(ctx context.Context) error {
	status, err := c.Status(ctx)
	if err != nil || status.State == StateInMigrate {
		return err
	}
	for canceled := false; ; canceled = true {
		info, err := c.QueryMigrate(ctx)
		if err != nil || info.Status == "" || info.Status == "none" || info.Finished() {
			return err
		}
		if !canceled {
			if err := c.MigrateCancel(ctx); err != nil {
				return err
			}
		}
		select {
		case <-time.After(finalizingPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// finalizingPause is how long AwaitFinalized and CancelLeft wait before they ask again. QEMU
// takes a few milliseconds.
const finalizingPause = 2 * time.Millisecond

// AwaitFinalized returns when QEMU has let go of a migration whose completion
// it has reported: only then it carries out `cont`. There is no event for it.
func (c *Client) AwaitFinalized(ctx context.Context) error {
	for {
		status, err := c.Status(ctx)
		if err != nil || status.State != StateFinishMigrate {
			return err
		}
		select {
		case <-time.After(finalizingPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
