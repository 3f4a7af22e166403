// Package runner runs machines: one QEMU process a machine, with the sockets it
// is reached by, its TPM emulator, and the conversation on its monitor. A
// [Session] is one run, started by [Launch] or found again by [Attach].
//
// # How a run is found again
//
// The daemon makes the monitor's listening socket itself and hands it to QEMU,
// closing its own copy. The socket thus accepts connections from the moment
// QEMU is started, before QEMU has read its first argument, and refuses them
// from the moment QEMU is gone. A daemon that starts connects: whoever answers
// is the machine, and a refusal is proof that there is none. Neither a file's
// existence nor a process number is ever believed by itself.
//
// # How an end is noticed
//
// QEMU is told to pause, not to exit, when its guest powers off or panics
// (-action shutdown=pause,panic=pause); the session reads why from the monitor
// and then lets QEMU quit. So the reason is known even when no daemon was there
// at that moment. A QEMU that is killed is noticed by its pidfd at once.
package runner
