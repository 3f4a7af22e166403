// Package etcdstate is the state.Store on disk: one etcd member inside the process.
//
// # No network
//
// The member is assembled from etcd's server package and spoken to by function
// calls. Package embed is not used, because it always listens on a socket for peers;
// here nothing listens, neither on TCP nor on a Unix socket.
//
// # The directory
//
//	lock                    held with flock by the process that has the store open
//	member/snap/db          the database (bbolt)
//	member/wal/*.wal        the write-ahead log, segments of 16 MiB
//
// It is an ordinary etcd data directory. A commit is acknowledged after its log
// record is synced, so it survives kill -9 and power loss; the database itself is
// synced behind it and brought up to date from the log at the next Open.
//
// # Space
//
// Three things bound it. History older than state.MinHistory revisions is compacted
// away as the store moves on. The database is held to Config.Quota: a commit that
// would pass it first drops all history and defragments, and only if that does
// not help fails with state.ErrNoSpace; deleting is always possible. And commits are
// refused with the same error while the file system has less than Config.MinFree
// left, because etcd ends the process when a write of its log fails. Both recover by
// themselves when there is space again.
//
// # Failure
//
// Where etcd would end the process, the store instead fails: every call and watch
// returns ErrFailed with the reason, and Failed is closed. Nothing acknowledged is
// lost. The daemon should then end and be started again; the directory stays locked
// until it does.
package etcdstate
