// Package luks reads and makes the headers of LUKS, version 1, by which QEMU encrypts
// images and Linux whole disks, and opens raw disks that are encrypted so.
//
//	0 ┌───────────────────────────────┐
//	  │ header, 592 bytes, big endian │ cipher, digest of the master key, 8 key slots
//	  ├───────────────────────────────┤
//	  │ key material, 8 times         │ the master key, cut into stripes of which every one
//	  ├───────────────────────────────┤ is needed, encrypted by a key made of a passphrase
//	  │ payload                       │ the disk, encrypted by the master key
//	  └───────────────────────────────┘
//
// In a QCOW2 image the same header lies in clusters of its own, and the payload is the
// guest's clusters, wherever they lie in the file.
//
// A passphrase opens a slot, and any slot gives the master key. So passphrases are
// added, changed and taken away without the content being written anew; and images that
// begin with the same header have one key, and need not know its passphrase to be made.
//
// The algorithms are those of the standard library and golang.org/x/crypto. The layout is that of
// the "LUKS On-Disk Format Specification, Version 1.2.3".
package luks
