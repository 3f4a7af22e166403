package qemu

import (
	"fmt"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
)

// chain appends the block nodes of a chain of images, from the lowest to the
// topmost. Every node is named explicitly: QEMU guesses no format and follows no
// path that stands in an image.
func (b *builder) chain(drive api.Drive, images Chain) {
	below := ""
	for i := len(images) - 1; i >= 0; i-- {
		image := images[i]
		image.Own = image.Own && (i == 0 || !images[0].ReadOnly)
		image.ReadOnly = image.ReadOnly || i > 0
		name := NodeName(drive.Name, image.Path)
		b.image(name, image, below, drive)
		below = name
	}
}

// image appends the node of an image's file and that of its format, or the one
// node of an image that is served.
func (b *builder) image(name string, image Image, below string, drive api.Drive) {
	if image.Remote != nil {
		b.remote(name, image, drive)
		return
	}
	if image.Export != "" {
		b.served(name, image, below, drive)
		return
	}
	access, fixed := ReadWrite, image.ReadOnly && !image.Own
	switch {
	case fixed:
		access = Read
	case image.Device && machine.WriteModeOf(drive) != api.Shareable:
		access = Claim
	}
	b.node(dials(FileNode(name, b.set(image.Path, access), fixed, image.Device), drive))
	switch {
	case image.Encrypted && image.Format == "raw":
		b.fail(fmt.Errorf("image %s is said to be raw and encrypted", image.Path))
	case image.Format == "luks" && below != "":
		b.fail(fmt.Errorf("image %s of format %s cannot be a difference to another image", image.Path, image.Format))
	case image.Format != "raw" && image.Format != "qcow2" && image.Format != "luks":
		b.fail(fmt.Errorf("image %s of format %s cannot be opened by QEMU; it has to be served", image.Path, image.Format))
	case image.Format == "raw" && below != "":
		b.fail(fmt.Errorf("image %s of format %s cannot be a difference to another image", image.Path, image.Format))
	}
	node := FormatNode(name, image.Format, image.ReadOnly, below)
	if image.Encrypted {
		unlocked(node, drive.Name)
		b.key(drive.Name)
	}
	b.node(detectZeroes(dials(node, drive), drive))
}

// reconnectWithin is for how many seconds requests wait for an image server
// that was lost, before the guest is told that its disk fails. The daemon starts a
// new one at once; only without a daemon it takes longer.
const reconnectWithin = 300

// served appends the node of an image that the image server opens, with all
// that it stands on.
func (b *builder) served(name string, image Image, below string, drive api.Drive) {
	if below != "" {
		b.fail(fmt.Errorf("image %s is served with all that it stands on; nothing can be below it", image.Path))
	}
	b.fromServer = true
	node := object{
		"driver": "nbd", "node-name": name, "server": object{"type": "unix", "path": b.checked(b.ImageSocket)},
		"export": image.Export, "reconnect-delay": reconnectWithin,
		"read-only": image.ReadOnly, "auto-read-only": false,
	}
	if b.plugging {
		node["open-timeout"] = reconnectWithin // the server starts anew with this image among its own
	}
	b.node(detectZeroes(dials(node, drive), drive))
}

// Dial gives the node of an image that comes to a drive while it is used, or of its file, the
// cache, discard, zero detection and key that the drive's other images have.
func Dial(node map[string]any, drive api.Drive) map[string]any {
	dials(node, drive)
	if drive.Encrypted && node["driver"] == "qcow2" {
		unlocked(node, drive.Name)
	}
	if _, isFile := node["filename"]; !isFile {
		detectZeroes(node, drive)
	}
	return node
}

// dials sets how an image is read and written. By default that goes through
// the host's page cache, and the guest's flushes and discards are passed on.
func dials(node object, drive api.Drive) object {
	node["discard"] = "unmap"
	if drive.Discard == "off" {
		node["discard"] = "ignore"
	}
	node["cache"] = object{"direct": drive.Cache == api.CacheNone, "no-flush": drive.Cache == api.CacheUnsafe}
	return node
}

// detectZeroes lets an image that is written look for zeroes in what is.
func detectZeroes(node object, drive api.Drive) object {
	if drive.DetectZeroes != "" && drive.DetectZeroes != "off" && node["read-only"] != true {
		node["detect-zeroes"] = drive.DetectZeroes
	}
	return node
}
