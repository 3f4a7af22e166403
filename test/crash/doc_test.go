// Package crash kills the daemon at every place where an operation marks a step
// (see internal/fault), lets every such step fail, and has the user cancel there. Whatever the daemon was
// doing, the one that starts next must find all machines: those that ran run on
// in the same process, none is half made, nothing is lost and nothing stray is left.
package crash
