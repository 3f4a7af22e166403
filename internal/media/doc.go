// Package media finds out what image files are and makes the images that
// machines write, through qemu-img.
//
// An image is probed by its content once, when a machine is made of it; from
// then on its format is always named, because a guest can write whatever it
// likes to the start of a raw disk. What an image refers to, a backing file or
// the extents of a VMDK, is followed only to plain files in the image's own
// directory or below it: an image from elsewhere must not be able to show its
// guest the host's files.
package media
