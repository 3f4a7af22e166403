package qmp

import (
	"context"
	"strings"
)

// BlockDevice is a drive of the guest's and what is in it.
type BlockDevice struct {
	// QDev is the id or the path of the guest's device.
	QDev string `json:"qdev"`
	// Inserted is the topmost block node in it, nil when it is empty.
	Inserted *BlockNode `json:"inserted"`
}

// Belongs tells whether it is the drive of the device with this id. Some
// devices have their drive in a part of theirs.
func (d BlockDevice) Belongs(id string) bool {
	return d.QDev == id || strings.HasPrefix(d.QDev+"/", "/machine/peripheral/"+id+"/")
}

// BlockNode is a node of QEMU's block graph.
type BlockNode struct {
	Name   string `json:"node-name"`
	Driver string `json:"drv"`
	// File is the name that the image was opened by.
	File     string    `json:"file"`
	ReadOnly bool      `json:"ro"`
	Image    ImageInfo `json:"image"`
}

// ImageInfo describes an image, and those it stands on.
type ImageInfo struct {
	Filename    string     `json:"filename"`
	Format      string     `json:"format"`
	VirtualSize int64      `json:"virtual-size"` // bytes
	Backing     *ImageInfo `json:"backing-image"`
}

// QueryBlock lists the guest's drives.
func (c *Client) QueryBlock(ctx context.Context) ([]BlockDevice, error) {
	var list []BlockDevice
	err := c.Execute(ctx, "query-block", nil, &list)
	return list, err
}

// QueryBlockNodes lists the block nodes that have a name, without what their
// images stand on.
func (c *Client) QueryBlockNodes(ctx context.Context) ([]BlockNode, error) {
	var list []BlockNode
	err := c.Execute(ctx, "query-named-block-nodes", map[string]any{"flat": true}, &list)
	return list, err
}

// BlockdevAdd makes a block node; options are those of QEMU's BlockdevOptions.
func (c *Client) BlockdevAdd(ctx context.Context, options any) error {
	return c.Execute(ctx, "blockdev-add", options, nil)
}

// BlockdevReopen gives block nodes other options, all at one instant or none. What the
// options do not say gets its default.
func (c *Client) BlockdevReopen(ctx context.Context, options ...any) error {
	return c.Execute(ctx, "blockdev-reopen", map[string]any{"options": options}, nil)
}

// ChangeBackingFile has an image name another one as what it stands on, in the file; device is the
// topmost node above it. What it stands on in QEMU is not changed.
func (c *Client) ChangeBackingFile(ctx context.Context, device, node, name string) error {
	return c.Execute(ctx, "change-backing-file", map[string]any{"device": device, "image-node-name": node, "backing-file": name}, nil)
}

// BlockdevDel removes a block node. QEMU refuses while something uses it.
func (c *Client) BlockdevDel(ctx context.Context, node string) error {
	return c.Execute(ctx, "blockdev-del", map[string]any{"node-name": node}, nil)
}

// Action is one part of a transaction: a command of those that QEMU takes there,
// and its arguments.
type Action struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

// Transaction carries out actions all at one instant, or none.
func (c *Client) Transaction(ctx context.Context, actions []Action) error {
	return c.Execute(ctx, "transaction", map[string]any{"actions": actions}, nil)
}

// States of a job, in JobInfo and in JobStatusChange; QEMU has more.
const (
	JobRunning   = "running"
	JobReady     = "ready"     // it keeps up with the guest and waits for JobComplete
	JobPending   = "pending"   // its work is done, and it waits for JobFinalize before it changes what stands on what
	JobConcluded = "concluded" // it has ended, well or not, and waits for JobDismiss
	JobNull      = "null"      // it is no more
)

// JobInfo is a job and how far it has come.
type JobInfo struct {
	ID string `json:"id"`
	// Type is what it does: stream, commit, backup, mirror, …
	Type string `json:"type"`
	// Status is one of the Job constants or another of QEMU's JobStatus.
	Status string `json:"status"`
	// Current and Total count the job's own units, bytes for those of images.
	Current int64 `json:"current-progress"`
	Total   int64 `json:"total-progress"`
	// Error says why it failed; empty while it runs or when it did not.
	Error string `json:"error"`
}

// QueryJobs lists the jobs.
func (c *Client) QueryJobs(ctx context.Context) ([]JobInfo, error) {
	var list []JobInfo
	err := c.Execute(ctx, "query-jobs", nil, &list)
	return list, err
}

// JobCancel asks a job to end; it concludes then. A job that is ready is not
// completed by it.
func (c *Client) JobCancel(ctx context.Context, id string) error {
	return c.Execute(ctx, "job-cancel", map[string]any{"id": id}, nil)
}

// JobComplete lets a job that is ready do its last step.
func (c *Client) JobComplete(ctx context.Context, id string) error {
	return c.Execute(ctx, "job-complete", map[string]any{"id": id}, nil)
}

// JobFinalize lets a job that is pending change what stands on what; those do that were told not to do so by themselves.
func (c *Client) JobFinalize(ctx context.Context, id string) error {
	return c.Execute(ctx, "job-finalize", map[string]any{"id": id}, nil)
}

// JobDismiss takes a job that has concluded off the list.
func (c *Client) JobDismiss(ctx context.Context, id string) error {
	return c.Execute(ctx, "job-dismiss", map[string]any{"id": id}, nil)
}

// FDSet is a set of files that QEMU opens by FDSetPath.
type FDSet struct {
	Set   int `json:"fdset-id"`
	Files []struct {
		FD     int    `json:"fd"`
		Opaque string `json:"opaque"`
	} `json:"fds"`
}

// QueryFDSets lists the sets of files.
func (c *Client) QueryFDSets(ctx context.Context) ([]FDSet, error) {
	var list []FDSet
	err := c.Execute(ctx, "query-fdsets", nil, &list)
	return list, err
}

// BlockExport is an image that QEMU serves.
type BlockExport struct {
	ID   string `json:"id"`
	Node string `json:"node-name"`
}

// QueryBlockExports lists the images that QEMU serves.
func (c *Client) QueryBlockExports(ctx context.Context) ([]BlockExport, error) {
	var list []BlockExport
	err := c.Execute(ctx, "query-block-exports", nil, &list)
	return list, err
}
