// Package qcow2 reads and writes QCOW2, the disk image of QEMU, in its versions
// 2 and 3. All numbers are big-endian, all offsets are bytes in the file.
//
//	cluster 0       header     72 B (v2) or 104.. B (v3)
//	                extensions {type 4, length 4, data, padding to 8}…, type 0 ends
//	                name of the backing file, not terminated
//	anywhere        refcount table   8 B an entry ─► refcount block, 1 cluster
//	                refcount block   1..64 bits an entry: how often a cluster is used
//	                L1 table         8 B an entry ─► L2 table, 1 cluster
//	                L2 table         8 B (or 16 B, with subclusters) an entry ─► cluster
//	                data clusters    512 B..2 MiB each, all alike
//	                snapshot table, each snapshot's L1 table, bitmaps' directory and tables
//
//	  guest offset   ┌────────── L1 index ─┬── L2 index ──┬── in cluster ──┐
//	  L1 entry       │63 copied│62..56 0│55..9 offset of the L2 table│8..0 0│
//	  L2 entry       │63 copied│62 0│55..9 host offset │ 8..1 0 │0 reads 0 │
//	   compressed    │63 0     │62 1│ sectors−1 │ host offset (any byte)    │
//	   second word   │63..32 subcluster reads 0    │31..0 subcluster is here│
//
// What is unusual: clusters are counted, so that snapshots within the file can share
// them; "copied" says that a count is exactly 1 and the cluster may be written in
// place. A compressed cluster begins at any byte and shares its host clusters with
// its neighbours. With an external data file guest and host offset of a cluster are
// the same. Bits in the header tell programs that know less than the writer whether
// they may read (incompatible), write (compatible) or must clear what they do not
// keep up to date (autoclear).
//
// The source of facts, cited in comments as "spec", is the document
// docs/interop/qcow2.txt of QEMU; limits are those of QEMU's block/qcow2.h.
package qcow2
