// Package disk reads and writes virtual disks of every format, whatever
// program made them. It knows no format itself: each is a package below, and
// [github.com/panalvm/panal/disk/formats] is the list of all.
//
//	img, err := disk.Open("web.vmdk", disk.Options{FS: hostfs.Beside("web.vmdk"), Formats: formats.All()})
//	…
//	defer img.Close()
//	n, err := img.ReadAt(buffer, 0)          // what the guest would read
//
// # Words
//
// An image is a virtual disk, kept in one or several files. Its size is the
// number of bytes that a guest sees. A differencing image holds only what was
// written since it was made; what it does not hold comes from its parent, and
// an image with its parent, the parent's parent and so on is a chain. A range
// of an image is unallocated when the image itself says nothing about it: it
// reads as the parent there, or as zeros when there is none.
//
// # Shape
//
//	Image      ReadAt, Size, Close         what every image can do
//	Writer     WriteAt, Sync               optional, as are all that follow:
//	Mapper     Map                         which ranges hold data; see [Extents]
//	Zeroer, Discarder, Resizer, Compacter, Backed, Describer, Checker, Repairer,
//	Dumper, Identified, Reparenter, Snapshotter, SnapshotTaker
//
// An optional interface has, where that makes sense, a function of this package
// that uses it or falls back: [Extents], [Zero], [Discard], [Resize], [Check],
// [Describe]. A caller uses the function.
//
//	Format     a value that a format's package exports: names, probing, opening, creating
//	Source     what a format opens an image from: a file, its siblings, its parents
//	Sink       takes a disk in ascending order: compressed formats, pipes
//	File, FS   what lies below: the host's files (disk/hostfs), memory, a member of an archive
//
// # Power cuts
//
// What was written before a Sync that returned nil is there after a power cut
// at any later moment, and the image opens. Formats hold that by one rule: a
// new block is written first and pointed to later. Pointers stay in memory
// until Sync, which makes the blocks durable, then writes the pointers, then
// makes these durable. Space that is given up is not used again before the
// Sync after.
//
// # Untrusted images
//
// An image may be made to do harm. Opening, reading, checking one never
// panics, never loops, allocates no more than the file's real length earns,
// and opens no other file but through [FS], which the caller bounds.
package disk
