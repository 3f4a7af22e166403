// Package raw is a disk byte for byte, as it lies on hardware: what is at
// offset n of the disk is at offset n of the file.
//
//	plain      disk.img   [0 ................................ size)   holes read as zeros
//
//	split      disk.000   [0 ..... n)
//	           disk.001             [n ..... m)
//	           disk.002                       [m ....... size)        or from .001 on
//
// There is no header, no signature, no end mark, so that nothing tells a raw
// disk from anything else. That is unusual and has a consequence: the guest
// writes every byte of the file, and could write what another format begins
// with; whoever opened it next without naming the format would then follow the
// guest's pointers to other files. An image that was opened without its format
// being named therefore refuses such writes with disk.ErrLookalike.
//
// Some raw files are more than bytes: optical discs (ISO 9660, UDF), floppy
// disks, block devices. They are read in the same way, and described.
package raw
