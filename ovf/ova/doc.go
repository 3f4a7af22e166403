// Package ova reads and writes Open Virtual Appliances: tar archives of an OVF
// package (DSP0243 1.1, 5.3).
//
//	web.ovf        the descriptor, first
//	web.mf         the manifest   ┐ here, or both
//	web.cert       the signature  ┘ at the end
//	disk1.vmdk …   the files, in the order of the descriptor's References
//
// [Reader] takes one from a stream, a pipe for example, member by member and in
// one pass, and computes digests on the way. [Open] finds members in a
// file that stays where it is, to be read in place. [Writer] writes one to a
// stream.
//
//	r, err := ova.NewReader(os.Stdin, ova.Options{})
//	for {
//		member, err := r.Next()            // io.EOF behind the last
//		…
//		io.Copy(disk, member)
//	}
//	report, err := r.Verify(ova.Trust{Roots: roots})
//
// Archives that are compressed as a whole, with gzip or zstd, are recognised by
// their first bytes; only [Reader] takes them. Of tar, ustar, PAX and GNU are
// understood with members of any size, but no sparse members.
//
// # Untrusted archives
//
// An archive may be made to do harm. Names that are absolute, lead upwards or
// come twice are refused, and so are links and devices. Nothing is allocated
// for a size that a header states. How much comes out of a compressed
// archive is bounded in all and in relation to what went in. Errors are
// *[Error], which says the member and the offset.
package ova
