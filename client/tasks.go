package client

import (
	"context"
	"fmt"

	"github.com/panalvm/panal/api"
)

// Tasks lists the tasks, oldest first.
func (c *Client) Tasks(ctx context.Context) (api.TaskList, error) {
	return call[api.TaskList](ctx, c, request{operation: api.ListTasks})
}

// Task returns the task with the ID.
func (c *Client) Task(ctx context.Context, id string) (api.Task, error) {
	return c.task(ctx, api.GetTask, id, nil)
}

// CancelTask asks a task to stop and to undo what it had begun. It returns at
// once: [Client.WaitTask] waits for the undo.
func (c *Client) CancelTask(ctx context.Context, id string) (api.Task, error) {
	return c.task(ctx, api.CancelTask, id, nil)
}

// WaitTask follows a task to its end, from the revision in the task it is
// given: nothing that happened since is missed, and nothing is polled. Every
// change, the end included, is given to onProgress, which may be nil. The
// result is the ended task; the error is the task's own when it failed, and
// has [api.KindCancelled] when it was cancelled. When the error is not the
// task's, the task in the result has not ended.
func (c *Client) WaitTask(ctx context.Context, task api.Task, onProgress func(api.Task)) (api.Task, error) {
	since := task.Revision
	for !task.State.Ended() {
		next, err := c.followTask(ctx, task, since, onProgress)
		if KindOf(err) == api.KindGone {
			next, since, err = c.rereadTask(ctx, task)
		}
		if err != nil {
			return task, err
		}
		task = next
	}
	return task, TaskError(task)
}

// rereadTask reads a task anew whose events are no longer kept, and a revision
// to follow it from. The revision is read first, so that nothing is missed.
func (c *Client) rereadTask(ctx context.Context, task api.Task) (api.Task, int64, error) {
	info, err := c.Info(ctx)
	if err != nil {
		return task, 0, err
	}
	task, err = c.Task(ctx, task.ID)
	return task, info.Revision, err
}

// followTask reads a task's events after a revision until it ends.
func (c *Client) followTask(ctx context.Context, task api.Task, since int64, onProgress func(api.Task)) (api.Task, error) {
	for event, err := range c.Events(ctx, since, EventFilter{Task: task.ID}) {
		if err != nil {
			return task, err
		}
		if event.Task == nil || event.Task.ID != task.ID {
			continue
		}
		task = *event.Task
		if onProgress != nil {
			onProgress(task)
		}
		if task.State.Ended() {
			return task, nil
		}
	}
	return task, ctx.Err()
}

// TaskError is why an ended task has not done its work, or nil. It is always a
// *[api.Problem].
func TaskError(task api.Task) error {
	switch {
	case task.State == api.TaskFailed && task.Error != nil:
		return task.Error
	case task.State == api.TaskFailed:
		return &api.Problem{Kind: api.KindInternal, Detail: fmt.Sprintf("task %s (%s) failed and does not say why", task.ID, task.Kind)}
	case task.State == api.TaskCancelled && task.Error != nil && task.Error.Help != "":
		return &api.Problem{Kind: api.KindCancelled, Detail: "cancelled", Help: task.Error.Help}
	case task.State == api.TaskCancelled:
		return &api.Problem{Kind: api.KindCancelled, Detail: "cancelled; what it had begun is undone"}
	}
	return nil
}
