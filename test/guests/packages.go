package guests

import "slices"

// hostPackages are what building needs beyond Go and the programs every Debian and Ubuntu has (apt, dpkg, tar). The
// names are the same in both; Ubuntu has some of them in its section "universe".
var hostPackages = []string{
	"ca-certificates",        // for mirrors by https
	"debian-archive-keyring", // Debian's signatures
	"e2fsprogs",              // mke2fs
	"fakeroot",               // for builders other than root
	"mmdebstrap",             // installs the Debian guest
	"mtools",                 // the EFI system partition
	"qemu-utils",             // qemu-img
	"uidmap",                 // for builders other than root
	"xz-utils",               // kernels and modules are packed with it
}

// HostPackages lists the packages that building guests needs on the host; the names are Debian's and Ubuntu's alike.
func HostPackages() []string { return slices.Clone(hostPackages) }
