package qemu

import (
	"fmt"
	"strconv"
)

// chain appends the block nodes of a chain of images, from the lowest to the
// topmost, whose name is the drive's. Every node is named explicitly: QEMU
// guesses no format and follows no path that stands in an image.
func (b *builder) chain(drive string, images Chain) {
	for i := len(images) - 1; i >= 0; i-- {
		image := images[i]
		image.ReadOnly = image.ReadOnly || i > 0
		below := ""
		if i+1 < len(images) {
			below = nodeName(drive, i+1)
		}
		b.image(nodeName(drive, i), image, below)
	}
}

// nodeName is the name of a drive's i-th image. A dot cannot be in a drive's
// name, so that no other node has it.
func nodeName(drive string, i int) string {
	if i == 0 {
		return drive
	}
	return drive + "." + strconv.Itoa(i)
}

// image appends the node of an image's file and that of its format, or the one
// node of an image that is served.
func (b *builder) image(name string, image Image, below string) {
	if image.Export != "" {
		b.served(name, image, below)
		return
	}
	file := name + ".file"
	b.addJSON("-blockdev", b.fileNode(file, image))
	format := object{
		"driver": image.Format, "node-name": name, "file": file,
		"read-only": image.ReadOnly, "discard": "unmap", "cache": cacheWriteback(),
	}
	switch {
	case image.Format == "qcow2" && below != "":
		format["backing"] = below
	case image.Format == "qcow2":
		format["backing"] = nil
	case image.Format != "raw":
		b.fail(fmt.Errorf("image %s of format %s cannot be opened by QEMU; it has to be served", image.Path, image.Format))
	case below != "":
		b.fail(fmt.Errorf("image %s of format %s cannot be a difference to another image", image.Path, image.Format))
	}
	b.addJSON("-blockdev", format)
}

// reconnectWithin is for how many seconds requests wait for an image server
// that was lost, before the guest is told that its disk fails. The daemon starts a
// new one at once; only without a daemon it takes longer.
const reconnectWithin = 300

// served appends the node of an image that the image server opens, with all
// that it stands on.
func (b *builder) served(name string, image Image, below string) {
	if below != "" {
		b.fail(fmt.Errorf("image %s is served with all that it stands on; nothing can be below it", image.Path))
	}
	b.fromServer = true
	b.addJSON("-blockdev", object{
		"driver": "nbd", "node-name": name, "server": object{"type": "unix", "path": b.checked(b.ImageSocket)},
		"export": image.Export, "reconnect-delay": reconnectWithin,
		"read-only": image.ReadOnly, "auto-read-only": false, "discard": "unmap", "cache": cacheWriteback(),
	})
}

func (b *builder) fileNode(name string, image Image) object {
	access := ReadWrite
	if image.ReadOnly {
		access = Read
	}
	node := object{
		"driver": "file", "node-name": name, "filename": b.set(image.Path, access), "read-only": image.ReadOnly,
		"auto-read-only": false, "discard": "unmap", "cache": cacheWriteback(),
	}
	if image.Device {
		node["driver"] = "host_device"
	}
	return node
}

// cacheWriteback uses the host's page cache and passes the guest's flushes on.
func cacheWriteback() object {
	return object{"direct": false, "no-flush": false}
}
