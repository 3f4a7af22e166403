// Package resource decides what machines get of a host: whether one more may have what it wants, and what each of them is entitled to when there is
// not enough for all. It is pure arithmetic on claims; package cgroup is where the kernel is told.
package resource
