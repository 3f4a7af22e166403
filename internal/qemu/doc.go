// Package qemu knows what QEMU can do on this computer and how to ask it for a
// machine.
//
// Its heart is [Command], a pure function from a machine's spec and what the
// installed QEMU can do ([Capabilities]) to the argument list. Around it stands
// what has to look at the computer: [Find] the program, [Probe] its
// capabilities, choose the firmware from the descriptors that are installed
// ([Firmwares]), and find out by trying whether KVM is of use ([ProbeKVM]).
// [Cache] keeps the answers, so that a daemon starts quickly.
//
// QEMU runs in a seccomp sandbox, and as an unprivileged user of its own when
// the daemon is root. It opens nothing by path that belongs to the machine:
// images, firmware and logs are handed to it as descriptors that the daemon
// has opened ([Invocation].Files), in the order
//
//	fd 3, 4, …   Files[0], Files[1], …
//
// named in the arguments by -add-fd and /dev/fdset/N, or by fd=N for sockets
// that the daemon already listens on. An image that consists of several files
// is the exception: QEMU finds the others by the path of the first. So are the
// pipes of serial lines, which are in the runtime directory ([Invocation].Lines).
//
// # Places
//
// Every device has a fixed place on its board, so that a guest's names for
// its devices (enp2s0f0) do not change when another device comes or goes. On
// boards with PCI Express (q35, virt):
//
//	pcie.0  01      graphics
//	        02.0-7  ports of adapters 0-7 that are PCI Express
//	        03.0-7  ports of what Panal adds: agent channel, random numbers, USB input
//	        04.0-7  ports of controllers 0-7 that are PCI Express
//	        05-08   ports of virtio-blk drives, 8 each
//	        09      pvpanic where there is no ISA
//	        0a-11   controllers 0-7 that are conventional PCI; of a SAS controller with more than
//	                eight adapters the last function is a bridge, which has the others from 01.0 on
//	        12-19   adapters 0-7 that are conventional PCI
//	        1a-1c   serial lines that are PCI
//
// And on pc, whose only bus takes everything:
//
//	pci.0   02      graphics
//	        03-0a   adapters 0-7
//	        0b-0d   what Panal adds
//	        0e-15   controllers 0-7
//	        16-1f   virtio-blk drives 0-9
package qemu
