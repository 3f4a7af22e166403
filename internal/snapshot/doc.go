// Package snapshot decides what becomes of a machine's tree of snapshots and of
// the images that it is kept in. It acts on nothing: it is handed the tree, and who
// stands on whom among the images, and says what is to be done.
//
//	snapshots       base ─┬─ updated ── broken          names, times, who came after whom
//	                      └─ (now)
//	images          disk0 ◀─┬─ disk0-k3j5 ◀── disk0-x81m        differences, each above another
//	                        └─ disk0-p0q2   ◀ the guest writes
//
// A snapshot holds, for each drive, one image: the one that was written when it was
// taken, and never is again. Which image stands on which is written in the
// images themselves and nowhere else, because QEMU changes that on a running machine
// while nobody may be there to write it down elsewhere.
//
// So an image is needed if a snapshot holds it, a guest writes it, or a needed one
// stands on it. One that is held by nobody and has one image on it can be merged
// with that; [Next] says how. That is all that deleting a snapshot comes to: it leaves
// the tree in one step, and what was its alone is merged afterwards, by whomever,
// however often the work is cut off.
package snapshot
