// Package imageserver gives QEMU the images that it cannot or should not open
// itself: those of other programs' formats, differencing chains of them, members
// of archives, earlier states. For each machine that has such images one process,
// this program again, reads them with the disk-image engine and serves them over
// NBD. QEMU parses none of them, so what a hostile image could do, it does to a
// process in which there is no memory to corrupt, no file but the image's own, and nobody
// else's data.
//
//	daemon ── starts, watches ──▶ image server ◀── NBD, Unix socket ── QEMU
//	   │                            │ descriptors of the images
//	   └── opens images ────────────┘ a pidfd of QEMU
//
// # What it may
//
// The daemon opens the files of the images, within the bounds that package media
// sets, and hands the descriptors over with what the engine had asked for meanwhile
// ([transcript]). The process runs as the user that QEMU runs as, without the
// way to other rights. The kernel refuses it other sockets, programs and processes
// (seccomp), and where it has Landlock, every file that is not open already. Locks on
// images go with the descriptors.
//
// # How long it lives
//
// The daemon makes the listening socket before QEMU is started. The server is
// given a pidfd of QEMU, and ends when that tells of QEMU's end, whoever caused it,
// also when no daemon runs. When it ends before, the daemon starts another one on
// the same socket; QEMU's requests wait meanwhile (reconnect-delay) and the guest
// notices nothing but the time. A daemon that comes back finds the server by its
// socket, which accepts connections for as long as a process has it; who that
// is the kernel tells (SO_PEERCRED), because the server listens itself once more.
//
// # What it has not written yet
//
// An image that the machine itself writes is kept by the engine with its newest
// pointers in memory until the guest flushes. That is right for a power cut, and
// wrong for a server that is killed under a guest that goes on: what that wrote
// since its last flush would be gone. So until a flush has made them durable, writes are
// in a journal as well, a file of the runtime directory that the next server
// carries out again ([journal]).
//
// # Its directory
//
//	<runtime>/i/<machine>/        the daemon's; QEMU's user only passes through
//	  s                           the socket, QEMU's user's
//	  <export>.unsynced           a journal
package imageserver
