package machine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/panalvm/panal/api"
)

// reservedPrefix begins the names of the devices that Panal adds by itself.
const reservedPrefix = "panal-"

// elementNames checks the names of everything that has one. They become
// QEMU's device identifiers, so all of them share one name space.
func (c *checker) elementNames() {
	owner := map[string]string{}
	check := func(list string, i int, name string) {
		field := fmt.Sprintf("%s[%d].name", list, i)
		switch {
		case name == "":
			c.add(field, "is missing")
			return
		case len(name) > maxElementName || !isLetter(rune(name[0])) || !only(name, isLetter, isDigit, oneOf("_-")):
			c.add(field, "%q is not a letter followed by at most %d letters, digits, _ or -", clip(name), maxElementName-1)
		case strings.HasPrefix(name, reservedPrefix):
			c.add(field, "begins with %s, which Panal keeps for devices of its own", reservedPrefix)
		}
		if other, taken := owner[name]; taken {
			c.add(field, "%q is the name of %s already", clip(name), other)
			return
		}
		owner[name] = fmt.Sprintf("%s[%d]", list, i)
	}
	for i, e := range c.spec.Controllers {
		check("controllers", i, e.Name)
	}
	for i, e := range c.spec.Drives {
		check("drives", i, e.Name)
	}
	for i, e := range c.spec.Adapters {
		check("adapters", i, e.Name)
	}
	for i, e := range c.spec.Serials {
		check("serials", i, e.Name)
	}
}

func (c *checker) controllers() {
	if len(c.spec.Controllers) > MaxControllers {
		c.add("controllers", "are %d; %d are the most", len(c.spec.Controllers), MaxControllers)
	}
	count := map[api.ControllerType]int{}
	for i, controller := range c.spec.Controllers {
		field := fmt.Sprintf("controllers[%d].type", i)
		trait, known := controllerTraits[controller.Type]
		if !known {
			member(c, field, controller.Type, api.IDE, api.SATA, api.VirtioSCSI, api.LSILogic, api.BusLogic, api.LSISAS,
				api.MegaRAID, api.PVSCSI, api.VirtioBlk, api.NVMe, api.USB, api.Floppy)
			continue
		}
		if c.board != BoardOther && PortsOf(c.board, controller.Type) == 0 {
			c.add(field, "%s is not to be had on machineType %s", controller.Type, c.board)
		}
		c.controllerDials(i, controller)
		if count[controller.Type]++; count[controller.Type] == trait.most+1 {
			c.add(field, "is the %s controller number %d; %d are the most", controller.Type, trait.most+1, trait.most)
		}
	}
}

func (c *checker) adapters() {
	if len(c.spec.Adapters) > MaxAdapters {
		c.add("adapters", "are %d; %d are the most", len(c.spec.Adapters), MaxAdapters)
	}
	macs := map[string]int{}
	for i, adapter := range c.spec.Adapters {
		field := fmt.Sprintf("adapters[%d]", i)
		member(c, field+".model", adapter.Model, api.AdapterVirtio, api.AdapterE1000, api.AdapterE1000E,
			api.AdapterRTL8139, api.AdapterPCnet, api.AdapterVMXNet3)
		member(c, field+".network", adapter.Network, "user", "none")
		if name := adapter.NetworkName; !IsNetworkName(name) {
			c.add(field+".networkName", "%q is no name of a network: one line of at most %d bytes, without blanks at its ends", clip(name), maxNetworkName)
		}
		if problem := macProblem(adapter.MAC); problem != "" {
			c.add(field+".mac", "%q %s", clip(adapter.MAC), problem)
		} else if other, taken := macs[adapter.MAC]; taken {
			c.add(field+".mac", "%s is the address of adapters[%d] already", adapter.MAC, other)
		} else {
			macs[adapter.MAC] = i
		}
	}
}

// maxNetworkName is how many bytes the name of a network elsewhere can have.
const maxNetworkName = 255

// IsNetworkName tells whether an adapter can note a name as that of its network elsewhere;
// an empty one says that it has none.
func IsNetworkName(name string) bool {
	return len(name) <= maxNetworkName && utf8.ValidString(name) && strings.TrimSpace(name) == name &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// macProblem says what is wrong with a MAC address, empty if nothing is.
func macProblem(mac string) string {
	hex := only(mac, isDigit, oneOf("abcdef:")) && len(mac) == 17
	for i := 0; hex && i < len(mac); i++ {
		hex = (mac[i] == ':') == (i%3 == 2)
	}
	switch {
	case !hex:
		return "is not an address such as 52:54:00:12:34:56"
	case strings.ContainsRune("13579bdf", rune(mac[1])):
		return "is a multicast address"
	case mac == "00:00:00:00:00:00":
		return "is no adapter's address"
	}
	return ""
}

// listening is a host's port that is listened on.
type listening struct {
	field   string
	forward api.Forward
}

func (c *checker) forwards() {
	var seen []listening
	for i, adapter := range c.spec.Adapters {
		for j, forward := range adapter.Forwards {
			this := listening{fmt.Sprintf("adapters[%d].forwards[%d]", i, j), forward}
			if !c.forward(this) {
				continue
			}
			if at := slices.IndexFunc(seen, this.clashes); at >= 0 {
				c.add(this.field+".hostPort", "%s port %d is forwarded by %s already",
					forward.Protocol, forward.HostPort, seen[at].field)
			}
			seen = append(seen, this)
		}
	}
}

func (c *checker) forward(l listening) bool {
	before := len(c.errors)
	member(c, l.field+".protocol", l.forward.Protocol, "tcp", "udp")
	address, err := netip.ParseAddr(l.forward.HostAddress)
	if err != nil || !address.Is4() {
		c.add(l.field+".hostAddress", "%q is not an IPv4 address, the only sort QEMU's user networking listens on",
			clip(l.forward.HostAddress))
	}
	c.within(l.field+".hostPort", l.forward.HostPort, 1, 65535)
	c.within(l.field+".guestPort", l.forward.GuestPort, 1, 65535)
	return len(c.errors) == before
}

// clashes says whether two ports cannot be listened on at the same time.
func (l listening) clashes(other listening) bool {
	a, b := l.forward, other.forward
	const all = "0.0.0.0"
	return a.Protocol == b.Protocol && a.HostPort == b.HostPort &&
		(a.HostAddress == b.HostAddress || a.HostAddress == all || b.HostAddress == all)
}

func (c *checker) boot() {
	seen := map[string]bool{}
	for i, name := range c.spec.Boot.Order {
		field := fmt.Sprintf("boot.order[%d]", i)
		drive := slices.ContainsFunc(c.spec.Drives, func(d api.Drive) bool { return d.Name == name })
		adapter := slices.ContainsFunc(c.spec.Adapters, func(a api.Adapter) bool { return a.Name == name })
		switch {
		case !drive && !adapter:
			c.add(field, "there is no drive or adapter %q", clip(name))
		case seen[name]:
			c.add(field, "%q is there twice", clip(name))
		}
		seen[name] = true
	}
}
