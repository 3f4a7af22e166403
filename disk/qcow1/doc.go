// Package qcow1 reads and writes QCOW, the first version of QEMU's disk images
// (2004 to 2008). All numbers are big-endian, all offsets are bytes in the file.
//
//	0    4  "QFI\xfb"             20   4  time of the backing file, unused
//	4    4  version: 1            24   8  size of the disk
//	8    8  backing file's name   32   1  cluster bits, 9..16
//	        at; 0: none           33   1  L2 bits, 6..13
//	16   4  its length            36   4  encryption: 0 none, 1 AES
//	                              40   8  L1 table at
//	48      the backing file's name, then the L1 table, most often
//	anywhere   L1 table    8 B an entry ─► L2 table, 8 B << L2 bits
//	           L2 table    8 B an entry ─► cluster; 0: the backing file's
//	           clusters    1 << cluster bits, or deflated: at any byte
//
//	  guest offset   ┌──────── L1 index ──┬─ L2 index ─┬─ in cluster ─┐
//	  L2 entry       │63 0│62..0 offset of the cluster                │
//	   compressed    │63 1│ length in bytes (cluster bits) │  offset  │
//
// What is unusual: nothing is counted. New clusters go behind the end of the file,
// and what was given up is lost until the image is converted. There are no
// snapshots, no flag for zeros, and no room for the name of the backing file's
// format, so that it is recognised by its content.
//
// The source of facts is QEMU's block/qcow.c; no document was ever written.
package qcow1
