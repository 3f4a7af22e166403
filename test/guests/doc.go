// Package guests builds small operating systems for tests, from Debian's packages, and finds those built before.
//
// There are two kinds. A tiny guest is a kernel and an initramfs that is up seconds after its start even when emulated
// and answers questions about what it sees; there is one for each architecture. The Debian guest is a disk image of a
// whole system with systemd, the QEMU guest agent and cloud-init, which boots by itself by BIOS and by UEFI, with secure
// boot too. README.md beside this file describes both, with the command lines to start them.
//
// # The cache
//
// Guests lie in $PANAL_GUESTS, or else in the user's cache directory under panal/guests, each in a directory of its own:
//
//	tiny-x86_64-<recipe>-<packages>/
//
// where recipe is a digest of what this package does and packages one of the versions of Debian's packages that went
// in. A directory appears complete, by a rename, or not at all. Whatever recipe a checkout has, it finds the guests made
// by that and no others; [Lookup] never touches the network.
package guests
