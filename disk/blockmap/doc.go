// Package blockmap is what image formats have in common that keep a disk in
// blocks of one length, each where it was put when it was first written:
//
//	         ┌────────────────────────┐
//	Table    │ a pointer a block      │  4 bytes: which place it has, or that it has none
//	         ├────────────────────────┤
//	Base     │ Before bytes, a block  │  pointer p leads to Base + p·Unit
//	         │ Before bytes, a block  │
//	         │ a gap, of a block that │
//	         │ was given up           │
//	         │ Before bytes, a block  │
//	End      └────────────────────────┘
//
// A format embeds an [Image], which reads, writes, syncs, checks, repairs and
// compacts, and is its [Kind]: header and footer, what the pointers mean that are
// none, bitmaps, and how blocks are written.
//
// # Power cuts
//
// A block is written before the pointer to it. Pointers change in memory;
// [Image.Flush] makes the blocks durable, then writes the pointers, then makes these
// durable. Room that is given up is used again only when no durable pointer
// leads there: [Space] keeps it aside until then.
//
// # Locks
//
// Two locks, taken in this order: the layout's, which all share who use places in
// the file, and which is held alone while blocks move; and that of the space,
// held while blocks are made or given up. Methods and hooks say which are held.
package blockmap
