// Package vmdk reads and writes the virtual disks of VMware.
//
// A disk is described by a text, the descriptor (package descriptor), that
// stands in a file of its own or in the disk's only file. It lists extents, one
// behind the other, each kept in its own way:
//
//	FLAT, VMFS    a range of a file, as it is
//	ZERO          nothing: zeros
//	SPARSE        a hosted sparse extent, which may be compressed
//	VMFSSPARSE    COWD, the snapshots of ESX: the same idea with 32-bit fields
//	SESPARSE      the snapshots of ESXi 6.5: the same with 64-bit ones
//
// A hosted sparse extent. Offsets count sectors of 512 bytes; numbers are
// little-endian.
//
//	+------------+----------------+-----------+--------+-----------+--------+-------------
//	| header 512 | descriptor 10K | directory | tables | directory | tables | grains 64K …
//	+------------+----------------+-----------+--------+-----------+--------+-------------
//	                              '---- second copy ---'------- first ------'
//
//	header       "KDMV" 4 | version 4 | flags 4 | capacity 8 | grain 8 | descriptor 8+8 |
//	             entries of a table 4 | second directory 8 | directory 8 | overhead 8 |
//	             unclean 1 | "\n \r\n" 4 | compression 2 | zeros
//	directory    4 bytes for each table: its sector; 0: no grain of it was written
//	table        512 entries of 4 bytes: a grain's sector; 0: not written; 1: zeros (version 2)
//
// A stream has compressed grains and knows its tables only at the end. Before
// each part, at a multiple of 512, stands a marker:
//
//	+--------+------------+-------+-------+---+-------+-------+---+------+-----------+--------+-----+
//	| header | descriptor | grain | grain | … | mark  | table | … | mark | directory | footer | end |
//	+--------+------------+-------+-------+---+-------+-------+---+------+-----------+--------+-----+
//
//	grain        sector on the disk 8 | length 4 | zlib stream | zeros up to 512
//	mark         length in sectors 8 | 0 4 | kind 4: 1 table, 2 directory, 3 footer, 0 end | zeros
//	footer       the header again, with the directory's place, which the first one has not
//
// What is unusual:
//
//   - The directory is there twice, with tables of its own, and no checksums: the
//     copies are kept in step, and Repair uses each to mend the other.
//   - A child knows its parent by the CID, 32 random bits in the parent's
//     descriptor that change at the first write after each opening.
//   - The descriptor is what changes in place. So that a power cut leaves the old or
//     the new one, new descriptors have a comment that takes up differences of length.
//   - Streams are often cut off. Their grains are then found by the markers.
package vmdk
