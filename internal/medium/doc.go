// Package medium makes the registry's view of media: of what was added to it, of
// what machines use, and of what was found in the files. It reads nothing itself.
package medium
