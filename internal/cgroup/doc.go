// Package cgroup puts processes into control groups of the kernel's, of version 1, of version 2, or of both at once as
// hybrid hosts have them, and says plainly what a host lacks. It knows nothing of machines: its caller names the groups.
//
//	<hierarchy>/<place>/            a [Tree]: the daemon's place, one in each hierarchy that has a controller it uses
//	    <name>/                     a [Group]: one process with all its threads; memory and the limit of CPU time are here
//	        <part>/                 a [Part]: some of its threads, with a limit of CPU time of their own
//
// Where the place is:
//
//   - Version 2, with the daemon in a group called [Leaf]: beside it. So systemd starts it (Delegate=, DelegateSubgroup=), for
//     root and for users.
//   - Version 2, with the daemon alone in a scope that was delegated to it (systemd-run --scope -p Delegate=yes): there, and the daemon
//     moves into a group of that name first.
//   - Version 2, root, anywhere else: below the hierarchy's root, as container engines do it.
//   - Version 1, root: below the daemon's own group of each hierarchy, so that what limits the daemon limits what it starts.
//   - Else nowhere, and every use is a [*LackingError] with the reason.
//
// Version 1 has no memory.high, no memory.reclaim and counts swap together with memory; what has no counterpart is a
// LackingError too.
//
// Groups are directories: they outlive the daemon. [Tree.Hold] finds the group that a process is in already, [Tree.Sweep] removes
// those that nobody claims. The library that container engines use (containerd/cgroups) was not taken: it has neither threads' groups
// nor single controllers of a hybrid host, and brings eBPF, D-Bus and protocol buffers along.
package cgroup
