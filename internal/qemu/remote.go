package qemu

import (
	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
)

// Remote is how QEMU comes to a disk that another program serves.
type Remote struct {
	machine.Remote
	Portal     string // the one of Portals that is used
	SecretFile string // the file with the password for CHAP
}

// remote appends the nodes of an image that is served over the network.
func (b *builder) remote(name string, image Image, drive api.Drive) {
	node := object{"node-name": FileNodeName(name), "read-only": image.ReadOnly, "auto-read-only": false}
	r := image.Remote
	switch r.Protocol {
	case "nbd":
		node["driver"], node["export"], node["reconnect-delay"] = "nbd", r.Name, reconnectWithin
		node["server"] = object{"type": "unix", "path": r.Socket}
		if r.Socket == "" {
			host, port := machine.SplitPortal(r.Portal)
			node["server"] = object{"type": "inet", "host": host, "port": port}
		}
	case "nfs":
		host, _ := machine.SplitPortal(r.Portal)
		node["driver"], node["path"] = "nfs", r.Name
		node["server"] = object{"type": "inet", "host": host}
		if r.UID != nil {
			node["user"] = *r.UID
		}
		if r.GID != nil {
			node["group"] = *r.GID
		}
	default:
		node["driver"], node["transport"], node["portal"] = "iscsi", "tcp", r.Portal
		node["target"], node["lun"] = r.Name, r.LUN
		node["initiator-name"] = "iqn.2008-11.org.linux-kvm:" + b.Spec.UUID // as QEMU makes it by itself
		b.password(node, drive, r)
	}
	b.node(dials(node, drive))
	b.node(detectZeroes(dials(FormatNode(name, "raw", image.ReadOnly, ""), drive), drive))
}

// password appends a secret that QEMU reads from a descriptor, so that it stands
// in no argument and no log.
func (b *builder) password(node object, drive api.Drive, r *Remote) {
	if r.User == "" {
		return
	}
	if b.plugging {
		b.unsupported("drives", "drive "+drive.Name+" has a password, which QEMU reads only when it starts", "attach it while the machine is off")
		return
	}
	secret := "panal-secret-" + drive.Name
	b.object(object{"qom-type": "secret", "id": secret, "file": b.secret(r.SecretFile)})
	node["user"], node["password-secret"] = r.User, secret
}
