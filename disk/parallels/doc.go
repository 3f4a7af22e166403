// Package parallels reads and writes the disks of Parallels Desktop, Parallels
// Server and Virtuozzo: expanding and plain .hds files, and .hdd bundles, which join
// several of them to a split disk or a tree of snapshots.
//
// # An expanding .hds file
//
//	       0                                                            64
//	       ┌──────────────────┬───────────┬─────┬────────┬──────────────┐
//	header │ magic, version   │ geometry, │ in  │ data   │ extension    │
//	       │ 16 + 4           │ size   24 │ use │ offset │ offset     8 │
//	       ├──────────────────┴───────────┴─────┴────────┴──────────────┤
//	BAT    │ a uint32 for each cluster of the disk; 0: not allocated    │
//	       ├────────────────────────────────────────────────────────────┤
//	       │ nothing, up to the data offset                             │
//	       ├──────────────┬──────────────┬──────────────┬───────────────┤
//	data   │ cluster      │ cluster      │ cluster      │ …             │
//	       └──────────────┴──────────────┴──────────────┴───────────────┘
//
// All numbers are little-endian. There are two kinds, told apart by the magic. In the old,
// "WithoutFreeSpace", a BAT entry counts sectors of 512 bytes and the disk
// ends at 2 TiB. In the new, "WithouFreSpacExt", it counts clusters. Both are "version 2".
//
// Unusual: the field that the documents call tracks is the cluster's size. An
// entry of 0 is what is not there: there is no way to say that a cluster is zero though the parent
// has data. An image does not say that it has a parent; only the bundle does.
//
// # A plain .hds file
//
// The disk, byte for byte.
//
// # A bundle
//
//	disk.hdd/
//	  DiskDescriptor.xml                    what the bundle is opened by
//	  disk.hdd.0.{GUID}.hds                 storage 0, one file for each shot
//	  disk.hdd.1.{GUID}.hds                 storage 1 of a split disk, …
//
// The descriptor cuts the disk into storages, each from a Start to an End
// sector, and says which file holds which shot of which storage. A shot that
// has a parent holds only what was written since. All files of a bundle are one image here; its
// shots are the image's snapshots.
package parallels
