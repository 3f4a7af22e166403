// Package vhd reads and writes Virtual Hard Disks, which Virtual PC introduced,
// Hyper-V and Azure use, and QEMU calls vpc.
//
//	fixed:                               dynamic and differencing:
//
//	   0 ┌─────────────────────────┐        0 ┌──────────────────────────────┐
//	     │ the disk, byte for byte │          │ copy of the footer        512│
//	     │                         │      512 ├──────────────────────────────┤
//	size ├─────────────────────────┤          │ header "cxsparse"        1024│
//	     │ footer "conectix"    512│          ├──────────────────────────────┤
//	     └─────────────────────────┘          │ block allocation table:      │
//	                                          │ 4 bytes a block of the disk, │
//	                                          │ the sector where it lies, or │
//	                                          │ 0xffffffff                   │
//	                                          ├──────────────────────────────┤
//	                                          │ parent locators: paths, as   │
//	                                          │ each platform writes them    │
//	                                          ├──────────────────────────────┤
//	                                          │ block: bitmap, a bit a sector│
//	                                          │        data, 2 MiB mostly    │
//	                                          │ block: …                     │
//	                                          ├──────────────────────────────┤
//	                                          │ footer "conectix"         512│
//	                                          └──────────────────────────────┘
//
// All numbers are big-endian. Only the footer, its copy and the header have
// their place; the header says where the table is, the table where the blocks
// are.
//
// What is unusual: the footer moves whenever a block is added, so the copy at
// the start is what survives a power cut. The size of the disk stands in the
// footer twice, as a number and as a geometry that can be smaller, and which of
// the two is meant depends on the program that made the image. In a dynamic image the bitmaps
// are, but for XenServer's, of no use; in a differencing image they say of each
// sector whether it is here or in the parent. There is no way to say that a
// sector is zero but to store it.
//
// docs/format/vhd.md says more, and where each fact comes from.
package vhd
