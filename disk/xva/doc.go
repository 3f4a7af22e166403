// Package xva reads the disks of an XVA, the file that XenServer and XCP-ng
// export a machine to.
//
//	tar archive, plain, or compressed as a whole by gzip or zstd
//	┌──────────────────────┐
//	│ ova.xml              │ the machine: objects of an XML-RPC value
//	├──────────────────────┤
//	│ Ref:12/00000000      │ 1 MiB of the disk
//	│ Ref:12/00000000.…    │ its digest: .checksum is SHA-1, .xxhash is XXH64, in hex
//	│ Ref:12/00000003      │ those between were zero
//	│ Ref:12/00000003.…    │
//	│ …                    │ the last one is always there
//	├──────────────────────┤
//	│ Ref:13/00000000 …    │ the next disk
//	└──────────────────────┘
//
// Unusual: a chunk's number does not say where it lies. A long row of zeros
// is interrupted, lest a firewall closes the connection, by chunks of no
// bytes, which take a number and no place: a chunk lies behind the end of the
// one before, and as many chunks further as numbers are missing between.
//
// Images are for reading. An archive with one disk is opened by its name;
// one with several needs a file that says which, by a method Selection, as
// disk/tarfs gives it for "machine.xva/Ref:12". [Disks] lists them.
//
// A compressed archive can only be read from its beginning. Reading in
// ascending order costs one pass, and no more memory than some chunks. Who jumps back
// makes it begin anew; from the third time on, what passes is kept in a
// temporary file without a name, if there is room.
package xva
