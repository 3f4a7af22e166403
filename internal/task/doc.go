// Package task carries out long pieces of work: each has progress, can be
// watched and cancelled, and undoes what it had begun when it fails, is
// cancelled, or is cut off by the daemon's death.
//
// # How a task undoes itself
//
// Before work does something that would have to be undone it writes down how,
// with [Run.Journal]: a kind and its arguments, kept with the task in the
// store. When the work fails, the undoers of those kinds are called, the
// newest entry first. A daemon that starts finds the tasks that its
// predecessor could not end and does the same, so there is one way back for
// every accident. Undoers must therefore cope with a step that was journalled
// but never taken, and with being called twice.
//
// The point of no return is one commit: [Run.End] stores the work's result and
// the task's success, and drops the journal, all at once or not at all.
//
//	journal ──► act ──► journal ──► act ──► End(ops)
//	   └──────────┴────────┴─────────┘
//	        failure, cancel, death: undo in reverse
package task
