// Package media finds out what image files are and makes the images that
// machines write, by the disk-image engine.
//
// An image is probed by its content once, when a machine is made of it; from
// then on its format is always named, because a guest can write whatever it
// likes to the start of a raw disk. What an image refers to, its parents and
// the files that it consists of, is followed only to files in the image's own
// directory or below it (and, as VirtualBox has it, from a directory Snapshots
// to the one above): an image from elsewhere must not be able to show its guest
// the host's files.
//
// QEMU opens an image itself where it is [Chain.Plain], and all others are read
// by the engine and served to it: see package imageserver.
package media
