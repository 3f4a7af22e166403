// Package state is the store of everything the daemon knows: machines, media,
// networks, pools, hosts and tasks, as JSON objects under keys, with a history.
//
// # Model
//
// A store is an ordered map from key to value. Every successful [Store.Commit]
// that changes something moves the whole store from one revision to the next;
// revisions are consecutive, shared by all keys, and never reused:
//
//	revision     4              5                    6              7
//	             create a/x     update a/x + put b   delete b       update a/x
//	a/x          v1 (rev 4)     v2 (rev 5)           v2 (rev 5)     v3 (rev 7)
//	b                           w1 (rev 5)           -              -
//
// An [Entry] carries two revisions: the one it was created in and the one it was
// last changed in. The second is what a writer names in [Update] and [Delete] to
// say which version it saw; when the entry has moved on, the commit fails with a
// [*ConflictError] and nothing changes. That is the only kind of locking there is.
//
// # Watching without a gap
//
// [Store.List] returns entries together with the revision they were read at, and
// [Store.Watch] delivers every change after a given revision, so
//
//	entries, at, err := store.List(ctx, "machines/")
//	...
//	for change, err := range store.Watch(ctx, "machines/", at) {
//
// sees each object exactly as listed and then every change to it, once, in order.
//
// # History
//
// History is bounded by count: at least the last [MinHistory] revisions can be
// watched from, and older ones are dropped some time later. Count was preferred to
// age because it bounds the disk no matter how busy the hour was, needs no clock,
// and lets a laptop that slept for a week resume where it stopped. A store short
// of space gives up history before it refuses writes. A watcher that asks for
// dropped history gets [ErrCompacted] and starts again from List.
//
// # Implementations
//
// Package etcdstate keeps the data on disk in an embedded etcd; package memstate
// is the double for tests. Both pass the suite in package statetest. Callers
// normally use neither directly but a typed [Collection].
package state
