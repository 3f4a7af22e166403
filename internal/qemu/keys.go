package qemu

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
)

// KeyOf is the identifier of QEMU's secret that holds the passphrase of a drive's encrypted
// images. It stays for as long as QEMU runs: images that come above need it too.
func KeyOf(drive string) string { return "panal-key-" + drive }

// unlocked lets the node of an encrypted image be opened by its drive's passphrase.
func unlocked(node object, drive string) {
	if node["driver"] == "luks" {
		node["key-secret"] = KeyOf(drive)
		return
	}
	node["encrypt"] = object{"format": "luks", "key-secret": KeyOf(drive)}
}

// key appends the secret with a drive's passphrase, once. At a start QEMU reads it
// from a descriptor, and later it comes over the monitor's socket: it is in no argument and
// no environment.
func (b *builder) key(drive string) {
	if slices.Contains(b.keyed, drive) {
		return
	}
	b.keyed = append(b.keyed, drive)
	passphrase := b.Keys[drive]
	if len(passphrase) == 0 {
		b.fail(fmt.Errorf("drive %s is encrypted, and its passphrase was not given", drive))
		return
	}
	if b.plugging {
		b.object(KeyObject(drive, passphrase))
		return
	}
	b.object(object{
		"qom-type": "secret", "id": KeyOf(drive),
		"file": "/proc/self/fd/" + strconv.Itoa(b.inline("the passphrase of drive "+drive, passphrase)),
	})
}

// KeyObject is the object with a drive's passphrase, as it comes over the monitor's socket.
func KeyObject(drive string, passphrase []byte) map[string]any {
	return object{"qom-type": "secret", "id": KeyOf(drive), "data": base64.StdEncoding.EncodeToString(passphrase), "format": "base64"}
}
