package qemu

import (
	"crypto/sha256"
	"encoding/hex"
)

// Node names are found from what they are the nodes of, never counted: images
// come and go in a drive's chain while its machine runs, and another daemon than the
// one that added a node must know it. QEMU takes 31 characters.
const (
	nodeDriveLength = 10 // of the drive's name, for people
	nodeHashLength  = 16 // hexadecimal digits
)

// NodeName is the name of the block node of an image in a drive's chain; path is
// the image's on the host. An image that several drives stand on has a node for each.
func NodeName(drive, path string) string {
	sum := sha256.Sum256([]byte(drive + "\x00" + path))
	return drive[:min(len(drive), nodeDriveLength)] + "." + hex.EncodeToString(sum[:])[:nodeHashLength]
}

// FileNodeName is the name of the node of the file that an image's node is on.
func FileNodeName(node string) string { return node + ".f" }

// FormatNode is the node of an image on its file's. Backing is the name of the node
// that a qcow2 image stands on; without, it stands on nothing, whatever
// is written in it.
func FormatNode(name, format string, readOnly bool, backing string) map[string]any {
	node := map[string]any{
		"driver": format, "node-name": name, "file": FileNodeName(name),
		"read-only": readOnly, "discard": "unmap", "cache": cacheWriteback(),
	}
	if format == "qcow2" {
		node["backing"] = nil
		if backing != "" {
			node["backing"] = backing
		}
	}
	return node
}

// FileNode is the node of the file that the image's node name is on. Filename is the
// descriptor set's; device tells that the file is a block device.
func FileNode(name, filename string, readOnly, device bool) map[string]any {
	node := map[string]any{
		"driver": "file", "node-name": FileNodeName(name), "filename": filename, "read-only": readOnly,
		"auto-read-only": false, "discard": "unmap", "cache": cacheWriteback(),
	}
	if device {
		node["driver"] = "host_device"
	}
	return node
}

// cacheWriteback uses the host's page cache and passes the guest's flushes on.
func cacheWriteback() map[string]any {
	return map[string]any{"direct": false, "no-flush": false}
}
