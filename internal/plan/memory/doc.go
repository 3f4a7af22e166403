// Package memory decides how much memory guests are to have whose memory moves by
// itself. [Decide] is a function: what guests and host say of themselves goes in,
// with what was decided before, and what is to change comes out.
//
//	          minimum     working set     low   size             maximum
//	guest  ──────┼──────────────┼──────────┼──────┼──────────────────┼──
//	             never below ◄──┘          └─► less left: it runs short, and grows
//
// A guest that runs short grows at once, by what brings it back to a comfortable
// rest, as far as the host has something to give; else the others give, each as far as
// its working set, by shares (water-filling: what lies between what everybody must keep
// and what is there is dealt out by weight). Nobody is made smaller while the host has
// enough: so where nothing changes nothing moves.
//
// What keeps it from swinging: the working set is believed at once when it rises and
// slowly when it falls; a guest grows to far above the mark at which it grows again, and
// shrinks to no less than that mark; and what has just grown is not shrunk for a while.
package memory
