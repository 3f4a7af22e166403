// Package vdi reads and writes VirtualBox Disk Images.
//
//	      0 ┌──────────────────────────────────────────────┐
//	        │ text 64 · signature 4 · version 4            │ pre-header
//	   0x48 ├──────────────────────────────────────────────┤
//	        │ header length 4 · type 4 · flags 4           │
//	        │ comment 256 · map offset 4 · data offset 4   │ header 1.1,
//	        │ geometry 16 · – 4 · disk size 8              │ 384 or 400 bytes
//	        │ block size 4 · extra 4 · blocks 4 · used 4   │
//	        │ UUIDs: image 16, modification 16,            │
//	        │        parent 16, parent's modification 16   │
//	        │ second geometry 16 (400 only)                │
//	 offMap ├──────────────────────────────────────────────┤
//	        │ 4 bytes a block of the disk: its place, or   │ block map
//	        │ 0xffffffff nothing, 0xfffffffe zeros         │
//	offData ├──────────────────────────────────────────────┤
//	        │ place 0: extra bytes, then a block's data    │
//	        │ place 1: …                                   │
//	        └──────────────────────────────────────────────┘
//
// All numbers are little-endian. Places are counted, not offsets: place p lies
// at offData + p·(extra + block size). Blocks take places in the order in which
// they were first written.
//
// What is unusual: no path leads to the parent of a differencing image, only
// its UUID and its modification UUID, which changes when the parent is written.
// And the number of used places in the header is where other programs put the
// next block, whatever the map says; so it must never be below the highest place
// in use, and images get a hole-free order again only by [disk.Compacter].
//
// docs/format/vdi.md says more, and where each fact comes from.
package vdi
