package api

import "time"

// TaskState is where a task is in its life. It ends as done, failed or
// cancelled, and never changes after that.
type TaskState string

// The task states.
const (
	TaskRunning    TaskState = "running"
	TaskCancelling TaskState = "cancelling" // undoing what it had begun
	TaskDone       TaskState = "done"
	TaskFailed     TaskState = "failed"    // what it had begun is undone
	TaskCancelled  TaskState = "cancelled" // what it had begun is undone
)

// Ended reports whether the task will not change any more.
func (s TaskState) Ended() bool {
	return s == TaskDone || s == TaskFailed || s == TaskCancelled
}

// Task is a long piece of work: it has progress, can be watched and cancelled,
// and cleans up after itself when it fails or is cancelled.
type Task struct {
	ID       string     `json:"id"`
	Revision int64      `json:"revision"`
	Kind     string     `json:"kind" doc:"what it does, such as machine.start"`
	Machine  string     `json:"machine,omitempty" doc:"UUID of the machine it works on"`
	Name     string     `json:"name,omitempty" doc:"that machine's name when the task began"`
	State    TaskState  `json:"state" enum:"running,cancelling,done,failed,cancelled"`
	Progress Progress   `json:"progress,omitzero"`
	Error    *Problem   `json:"error,omitempty" doc:"why it failed"`
	Warnings []string   `json:"warnings,omitempty" doc:"what the user should know although it succeeded"`
	Result   TaskResult `json:"result,omitzero" doc:"what came of it"`
	Created  time.Time  `json:"created"`
	Ended    *time.Time `json:"ended,omitempty"`
}

// TaskResult is what came of a task, beyond what the machine itself then shows.
type TaskResult struct {
	Snapshot   string  `json:"snapshot,omitempty" doc:"ID of the snapshot that was taken"`
	Standstill float64 `json:"standstillMilliseconds,omitempty" doc:"for how long the guest stood still"`
	Method     string  `json:"method,omitempty" doc:"how a running machine's memory was taken: background, precopy or stopped"`
	Integrity  string  `json:"integrity,omitempty" doc:"of an import: what is known of manifest and signature, in words"`
	// Compaction is of a medium's compaction alone.
	Compaction *Compaction `json:"compaction,omitempty" doc:"what a medium's files took up before and after"`
}

// Progress is how far a task has come.
type Progress struct {
	Step  string `json:"step,omitempty" doc:"what it is doing now, in plain words"`
	Done  int64  `json:"done,omitempty"`
	Total int64  `json:"total,omitempty" doc:"0 when not known"`
	Unit  string `json:"unit,omitempty" enum:"bytes,items"`
	Rate  int64  `json:"rate,omitempty" doc:"units a second, lately"`
}

// TaskList is a list of tasks, oldest first.
type TaskList struct {
	Revision int64  `json:"revision"`
	Tasks    []Task `json:"tasks"`
}
