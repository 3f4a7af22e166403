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

// image appends the node of an image's file and that of its format.
func (b *builder) image(name string, image Image, below string) {
	file := name + ".file"
	b.addJSON("-blockdev", b.fileNode(file, image))
	format := object{
		"driver": image.Format, "node-name": name, "file": file,
		"read-only": image.ReadOnly, "discard": "unmap", "cache": cacheWriteback(),
	}
	switch {
	case hasBacking[image.Format] && below != "":
		format["backing"] = below
	case hasBacking[image.Format]:
		format["backing"] = nil
	case below != "":
		b.fail(fmt.Errorf("image %s of format %s cannot be a difference to another image", image.Path, image.Format))
	}
	b.addJSON("-blockdev", format)
}

// hasBacking are the formats that can be a difference to another image in QEMU.
var hasBacking = map[string]bool{"qcow2": true, "qed": true, "vmdk": true}

func (b *builder) fileNode(name string, image Image) object {
	node := object{
		"driver": "file", "node-name": name, "read-only": image.ReadOnly,
		"auto-read-only": false, "discard": "unmap", "cache": cacheWriteback(),
	}
	if image.Device {
		node["driver"] = "host_device"
	}
	access := ReadWrite
	if image.ReadOnly {
		access = Read
	}
	if image.ByPath {
		node["filename"] = image.Path
	} else {
		node["filename"] = b.set(image.Path, access)
	}
	return node
}

// cacheWriteback uses the host's page cache and passes the guest's flushes on.
func cacheWriteback() object {
	return object{"direct": false, "no-flush": false}
}
