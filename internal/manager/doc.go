// Package manager carries out what is asked of machines: it makes and changes
// them, starts and ends them, watches over those that run, and starts those
// again that ought to run.
//
// # Who writes a machine's record
//
// A task claims its machine by writing its ID into the record's status in the
// same commit that makes the task; a second one finds it claimed and is
// refused as busy. While the task lasts it alone moves the machine between
// states. What happens by itself (the guest powers off, QEMU is killed, the
// agent comes up) is written by the machine's supervisor, from the session's
// notifications, whether or not a task is at work; both read, change and
// commit in a loop, so neither undoes what the other has written.
//
// # After a crash
//
// A daemon that starts first looks which machines have a process ([Manager.Open]
// adopts them), then undoes the tasks that were cut off, and then makes every
// record agree with what it found. Undoing a task that had claimed a machine
// ends with the step "settle", which is that same agreement.
package manager
