// Package deflate encodes and decodes deflate streams (RFC 1951) from memory to
// memory: clusters and grains of disk images, each a stream by itself. All of a
// stream is there and its content has a known end, so that bits are taken eight
// bytes at a time and there is no window to slide; general packages for streams
// cannot make use of that.
package deflate
