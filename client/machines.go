package client

import (
	"context"
	"io"
	"net/url"

	"github.com/panalvm/panal/api"
)

// ListFilter narrows a list of machines. The zero value takes all.
type ListFilter struct {
	State  api.State // only machines in this state
	Labels []string  // only machines that have all of these: name or name=value
}

// Info tells who answers.
func (c *Client) Info(ctx context.Context) (api.Info, error) {
	return call[api.Info](ctx, c, request{operation: api.GetInfo})
}

// Host shows the daemon's host.
func (c *Client) Host(ctx context.Context) (api.Host, error) {
	return call[api.Host](ctx, c, request{operation: api.GetHost})
}

// ChangeHost changes the settings of the daemon's host, and shows it then.
func (c *Client) ChangeHost(ctx context.Context, change api.ChangeHostRequest) (api.Host, error) {
	return call[api.Host](ctx, c, request{operation: api.SetHost, body: change})
}

// ListMachines lists the machines that pass the filter, ordered by name.
func (c *Client) ListMachines(ctx context.Context, filter ListFilter) (api.MachineList, error) {
	query := url.Values{}
	if filter.State != "" {
		query.Set(api.QueryState, string(filter.State))
	}
	if len(filter.Labels) > 0 {
		query[api.QueryLabel] = filter.Labels
	}
	return call[api.MachineList](ctx, c, request{operation: api.ListMachines, query: query})
}

// Create begins to create a machine.
func (c *Client) Create(ctx context.Context, create api.CreateRequest) (api.Task, error) {
	return call[api.Task](ctx, c, request{operation: api.CreateMachine, body: create})
}

// PlanImport tells what an import would make.
func (c *Client) PlanImport(ctx context.Context, what api.ImportRequest) (api.ImportPlan, error) {
	return call[api.ImportPlan](ctx, c, request{operation: api.PlanImport, body: what})
}

// Import begins to make machines of what another program wrote.
func (c *Client) Import(ctx context.Context, what api.ImportRequest) (api.Task, error) {
	return call[api.Task](ctx, c, request{operation: api.Import, body: what})
}

// Export begins to write machines in a form that other programs take.
func (c *Client) Export(ctx context.Context, what api.ExportRequest) (api.Task, error) {
	return call[api.Task](ctx, c, request{operation: api.Export, body: what})
}

// Archive is an OVA on its way. An archive that fails ends with an error: its task
// says why. Close before the end cancels the task.
type Archive struct {
	io.ReadCloser
	Task string // the ID of the task that writes it
}

// ExportStream begins to write machines as an OVA, for the caller to read. It
// has no destination.
func (c *Client) ExportStream(ctx context.Context, what api.ExportRequest) (*Archive, error) {
	response, err := c.answer(ctx, request{operation: api.ExportStream, body: what, accept: "application/x-tar"})
	if err != nil {
		return nil, err
	}
	return &Archive{response.Body, response.Header.Get(api.HeaderTask)}, nil
}

// Register makes a machine's folder known, or settles changes made to its
// machine.json by hand.
func (c *Client) Register(ctx context.Context, register api.RegisterRequest) (api.Machine, error) {
	return call[api.Machine](ctx, c, request{operation: api.Register, body: register})
}

// Get returns the machine that the reference names: a name, a UUID, or a
// unique prefix of one. The same references are taken by all methods below.
func (c *Client) Get(ctx context.Context, reference string) (api.Machine, error) {
	return c.machine(ctx, api.GetMachine, reference, nil)
}

// Replace replaces a machine's whole spec, unless the machine has changed since
// the request's revision ([api.KindConflict]).
func (c *Client) Replace(ctx context.Context, reference string, replace api.ReplaceRequest) (api.Machine, error) {
	return c.machine(ctx, api.ReplaceMachine, reference, replace)
}

// Change changes values of a machine's spec, unless the machine has changed
// since the request's revision ([api.KindConflict]).
func (c *Client) Change(ctx context.Context, reference string, change api.ChangeRequest) (api.Machine, error) {
	return c.machine(ctx, api.ChangeMachine, reference, change)
}

// Rename gives a machine another name.
func (c *Client) Rename(ctx context.Context, reference, name string) (api.Machine, error) {
	return c.machine(ctx, api.RenameMachine, reference, api.RenameRequest{Name: name})
}

// Pause stops a machine's CPUs.
func (c *Client) Pause(ctx context.Context, reference string) (api.Machine, error) {
	return c.machine(ctx, api.PauseMachine, reference, nil)
}

// Resume lets a paused machine's CPUs run.
func (c *Client) Resume(ctx context.Context, reference string) (api.Machine, error) {
	return c.machine(ctx, api.ResumeMachine, reference, nil)
}

// Reset resets a machine, as its reset button would.
func (c *Client) Reset(ctx context.Context, reference string) (api.Machine, error) {
	return c.machine(ctx, api.ResetMachine, reference, nil)
}

// Delete begins to delete a machine.
func (c *Client) Delete(ctx context.Context, reference string, how api.DeleteRequest) (api.Task, error) {
	return c.task(ctx, api.DeleteMachine, reference, how)
}

// Clone begins to make machines that are like another one.
func (c *Client) Clone(ctx context.Context, reference string, how api.CloneRequest) (api.Task, error) {
	return c.task(ctx, api.CloneMachine, reference, how)
}

// Move begins to move a machine's folder.
func (c *Client) Move(ctx context.Context, reference string, where api.MoveRequest) (api.Task, error) {
	return c.task(ctx, api.MoveMachine, reference, where)
}

// Stream begins to draw into a machine's own disks what they stand on.
func (c *Client) Stream(ctx context.Context, reference string) (api.Task, error) {
	return c.task(ctx, api.StreamMachine, reference, nil)
}

// AcceptBases lets a machine start on the images that it stands on as they are now.
func (c *Client) AcceptBases(ctx context.Context, reference string) (api.Machine, error) {
	return c.machine(ctx, api.AcceptBases, reference, nil)
}

// Unlock gives the daemon a passphrase of a machine's encrypted disks.
func (c *Client) Unlock(ctx context.Context, reference string, key api.UnlockRequest) (api.Machine, error) {
	return c.machine(ctx, api.UnlockMachine, reference, key)
}

// Lock lets the daemon forget the passphrases of a machine's disks.
func (c *Client) Lock(ctx context.Context, reference string) (api.Machine, error) {
	return c.machine(ctx, api.LockMachine, reference, nil)
}

// Start begins to start a machine, or to go on where it was saved.
func (c *Client) Start(ctx context.Context, reference string) (api.Task, error) {
	return c.task(ctx, api.StartMachine, reference, nil)
}

// Stop begins to power a machine off.
func (c *Client) Stop(ctx context.Context, reference string) (api.Task, error) {
	return c.task(ctx, api.StopMachine, reference, nil)
}

// Shutdown asks a machine's guest to shut down.
func (c *Client) Shutdown(ctx context.Context, reference string, how api.ShutdownRequest) (api.Task, error) {
	return c.task(ctx, api.ShutdownMachine, reference, how)
}

// Save begins to save a machine's running state to disk.
func (c *Client) Save(ctx context.Context, reference string) (api.Task, error) {
	return c.task(ctx, api.SaveMachine, reference, nil)
}

// Attach begins to attach a drive, also to a running machine.
func (c *Client) Attach(ctx context.Context, reference string, what api.AttachRequest) (api.Task, error) {
	return c.task(ctx, api.AttachDrive, reference, what)
}

// Detach begins to detach a drive, also from a running machine.
func (c *Client) Detach(ctx context.Context, reference string, what api.DetachRequest) (api.Task, error) {
	return c.task(ctx, api.DetachDrive, reference, what)
}

// Eject begins to take the medium out of an optical or floppy drive.
func (c *Client) Eject(ctx context.Context, reference string, what api.EjectRequest) (api.Task, error) {
	return c.task(ctx, api.EjectMedium, reference, what)
}

// Insert begins to put a medium into an optical or floppy drive.
func (c *Client) Insert(ctx context.Context, reference string, what api.InsertRequest) (api.Task, error) {
	return c.task(ctx, api.InsertMedium, reference, what)
}

// machine calls an operation that answers with a machine.
func (c *Client) machine(ctx context.Context, operation api.Operation, reference string, body any) (api.Machine, error) {
	return call[api.Machine](ctx, c, request{operation: operation, reference: reference, body: body})
}

// task calls an operation that answers with a task.
func (c *Client) task(ctx context.Context, operation api.Operation, reference string, body any) (api.Task, error) {
	return call[api.Task](ctx, c, request{operation: operation, reference: reference, body: body})
}
