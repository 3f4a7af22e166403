// Package diskfile does the work of `panal disk`: it opens, makes, converts and
// mends images that a person names on a command line, without a daemon. What a
// name may be, beyond the path of an image:
//
//   - standard input, or output of a conversion
//     machine.ova/disk.vmdk  a member of an archive, read in place
//     machine.hdd            a Parallels bundle, which is a directory
//     /dev/sdb               a block device
//
// Images may refer to files beside and below them; further directories have
// to be allowed. New images have no name until they are complete and durable
// (see [hostfs.Stage]).
package diskfile
