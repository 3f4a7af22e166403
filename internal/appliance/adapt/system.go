package adapt

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/panalvm/panal/internal/appliance"
)

// family is a kind of system.
type family int

// The families of systems.
const (
	other family = iota
	linux
	windows
	bsd
)

// system is what is known of a guest's system.
type system struct {
	family family
	name   string // for people
	modern bool   // Linux: its kernel has virtio; Windows: 8, 2012 or later
	// wholeInitramfs tells that what it starts with has drivers for all common
	// hardware, and not for that alone which it was installed on.
	wholeInitramfs bool
}

// distribution is a system by a word in the names that programs have for it.
type distribution struct {
	word  string
	name  string
	since int // the first major version with virtio; a version that is not said counts as later
	whole bool
}

// distributions, the longer words before those that they contain. Debian's and
// Ubuntu's initramfs-tools take in most drivers (MODULES=most); dracut, since it
// is in RHEL 7, SLES 12 and Fedora, and mkinitcpio take in those of the machine.
// virtio is in Linux since 2.6.25; RHEL has it since 5.3.
var distributions = []distribution{
	{"ubuntu", "Ubuntu", 9, true},
	{"debian", "Debian", 6, true},
	{"linuxmint", "Linux Mint", 0, true},
	{"opensuse", "openSUSE", 0, false},
	{"sles", "SUSE Linux Enterprise", 11, false},
	{"suse", "SUSE", 11, false},
	{"rhel", "Red Hat Enterprise Linux", 6, false},
	{"redhat", "Red Hat Enterprise Linux", 6, false},
	{"centos", "CentOS", 6, false},
	{"rocky", "Rocky Linux", 0, false},
	{"alma", "AlmaLinux", 0, false},
	{"oraclelinux", "Oracle Linux", 6, false},
	{"oracle", "Oracle Linux", 6, false},
	{"fedora", "Fedora", 9, false},
	{"amazonlinux", "Amazon Linux", 0, false},
	{"archlinux", "Arch Linux", 0, false},
	{"gentoo", "Gentoo", 0, false},
	{"other3xlinux", "Linux 3", 0, false},
	{"other4xlinux", "Linux 4", 0, false},
	{"other5xlinux", "Linux 5", 0, false},
	{"other6xlinux", "Linux 6", 0, false},
}

var firstNumber = regexp.MustCompile(`^[^0-9]*?([0-9]+)`)

// systemOf finds out what is known of a system by its name.
func systemOf(name string) system {
	plain := strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(name))
	switch {
	case appliance.IsWindows(name):
		return system{family: windows, name: "Windows", modern: modernWindows(plain)}
	case strings.Contains(plain, "bsd"):
		return system{family: bsd, name: strings.TrimSpace(name)}
	}
	for _, d := range distributions {
		at := strings.Index(plain, d.word)
		if at < 0 {
			continue
		}
		version, said := versionIn(plain[at+len(d.word):])
		return system{family: linux, name: d.name, modern: !said || version >= d.since, wholeInitramfs: d.whole}
	}
	if strings.Contains(plain, "linux") {
		return system{family: linux, name: "a Linux of unknown age"}
	}
	return system{name: strings.TrimSpace(name)}
}

// versionIn is the number that a name goes on with: 10 in "1064guest" is
// VMware's "debian10_64Guest", and 64 alone is no version.
func versionIn(rest string) (int, bool) {
	found := firstNumber.FindStringSubmatch(rest)
	if found == nil {
		return 0, false
	}
	digits := strings.TrimSuffix(found[1], "64")
	if digits == "" || len(digits) > 4 {
		return 0, false
	}
	version, err := strconv.Atoi(digits)
	return version, err == nil
}

// oldWindows are names of Windows before 8 and Server 2012: VMware's, VirtualBox's
// and those for people.
var oldWindows = []string{"95", "98", "winme", "windowsme", "nt4", "winnt", "2000", "xp", "2003", "net", "vista", "2008", "longhorn", "windows7", "win7"}

// modernWindows tells whether it is Windows 8, Server 2012 or later. A name that
// says nothing is none.
func modernWindows(plain string) bool {
	for _, word := range oldWindows {
		if strings.Contains(plain, word) {
			return false
		}
	}
	return strings.ContainsAny(plain, "89") || strings.Contains(plain, "10") || strings.Contains(plain, "11") || strings.Contains(plain, "20")
}
