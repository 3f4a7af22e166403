// Package vhdx reads and writes the virtual disks of Hyper-V, version 2:
// [MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format". Everything is little
// endian, and every part but those of the header section begins on a MiB:
//
//	      0  +--------------------------------------------------+
//	         | file type identifier   "vhdxfile" | creator 512  |
//	 64 KiB  +--------------------------------------------------+
//	         | header 1     4 KiB: "head" | crc | sequence 8 |  |
//	         |              file write, data write, log GUID |  |
//	         |              log version, version, log place  |  |
//	128 KiB  | header 2     the same; the higher sequence rules |
//	192 KiB  | region table 1   "regi" | crc | count 4 |  then  |
//	         |              GUID 16 | offset 8 | length 4 | required 4
//	256 KiB  | region table 2   the same                        |
//	  1 MiB  +--------------------------------------------------+
//	         | log: a ring of 4 KiB sectors. An entry:          |
//	         |   "loge" | crc | length 4 | tail 4 | sequence 8  |
//	         |   descriptors 4 | 4 | log GUID 16 | flushed 8 | last 8
//	         |   "zero" | 4 | length 8 | file offset 8 | sequence 8
//	         |   "desc" | last 4 | first 8 | file offset 8 | sequence 8
//	         |   "data" | sequence, high 4 | bytes 8…4091 | low 4
//	         +--------------------------------------------------+
//	         | metadata: "metadata" | count; then               |
//	         |   GUID 16 | offset 4 | length 4 | flags 4 | 4    |
//	         |   and from 64 KiB on the items                   |
//	         +--------------------------------------------------+
//	         | block allocation table, 8 bytes an entry:        |
//	         |   bits 0-2 state | 17 reserved | 44 offset in MiB|
//	         |   P P P … P B  P P P … P B   chunk ratio P to a B|
//	         +--------------------------------------------------+
//	         | payload blocks (P) of 1 to 256 MiB and sector    |
//	         | bitmap blocks (B) of 1 MiB, in any order         |
//	         +--------------------------------------------------+
//
// # What is unusual
//
// Nothing of the tables is changed in place before the change stands in the
// log. A file whose header names a log GUID was not closed: its log must be
// replayed before anything behind the header section is believed. Opened for
// reading this is done in memory, by an overlay of sectors; opened for writing,
// in the file.
//
// A differencing image knows for each sector whether it or its parent holds it,
// by bitmaps that cover 2^23 sectors each; the entries of these bitmaps stand in
// the allocation table of every image, unused where there is no parent.
//
// A parent is known by its data write GUID, which changes before the first byte
// that a guest could see does. So a parent that was written to since is noticed.
//
// # Locks
//
// In this order: image.flushing, image.data, image.mu, pages.mu. A reader or
// writer of data holds data shared for as long as it uses a place in the file; a
// flush takes it alone for a moment, so that each pointer that it then writes has
// its data below it. mu guards the content of pages and where new blocks go.
package vhdx
