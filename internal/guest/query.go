package guest

import "context"

// Info is what the agent says of itself.
type Info struct {
	Version  string         `json:"version"`
	Commands []AgentCommand `json:"supported_commands"`
}

// AgentCommand is a command the agent knows.
type AgentCommand struct {
	Name string `json:"name"`
	// Enabled is false where the guest's administrator forbade it.
	Enabled bool `json:"enabled"`
}

// Supports tells whether the agent would carry out a command.
func (i Info) Supports(command string) bool {
	for _, known := range i.Commands {
		if known.Name == command {
			return known.Enabled
		}
	}
	return false
}

// Info returns the agent's version and commands.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var info Info
	err := c.Call(ctx, "guest-info", nil, &info)
	return info, err
}

// OSInfo is the guest's operating system, as its os-release tells. Each may be
// empty.
type OSInfo struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	PrettyName    string `json:"pretty-name"`
	Version       string `json:"version"`
	VersionID     string `json:"version-id"`
	Variant       string `json:"variant"`
	Machine       string `json:"machine"`
	KernelRelease string `json:"kernel-release"`
	KernelVersion string `json:"kernel-version"`
}

// OSInfo returns what operating system the guest runs.
func (c *Client) OSInfo(ctx context.Context) (OSInfo, error) {
	var info OSInfo
	err := c.Call(ctx, "guest-get-osinfo", nil, &info)
	return info, err
}

// NetworkInterface is a network interface as the guest sees it.
type NetworkInterface struct {
	Name            string    `json:"name"`
	HardwareAddress string    `json:"hardware-address"`
	Addresses       []Address `json:"ip-addresses"`
}

// Address is one of an interface's IP addresses. The guest wrote it: parse it
// before use.
type Address struct {
	// Family is "ipv4" or "ipv6".
	Family  string `json:"ip-address-type"`
	Address string `json:"ip-address"`
	// PrefixLength is the network's, in bits.
	PrefixLength int `json:"prefix"`
}

// NetworkInterfaces lists the guest's network interfaces.
func (c *Client) NetworkInterfaces(ctx context.Context) ([]NetworkInterface, error) {
	var list []NetworkInterface
	err := c.Call(ctx, "guest-network-get-interfaces", nil, &list)
	return list, err
}

// VCPU is a CPU as the guest sees it.
type VCPU struct {
	ID         int  `json:"logical-id"`
	Online     bool `json:"online"`
	CanOffline bool `json:"can-offline"`
}

// VCPUs lists the guest's CPUs.
func (c *Client) VCPUs(ctx context.Context) ([]VCPU, error) {
	var list []VCPU
	err := c.Call(ctx, "guest-get-vcpus", nil, &list)
	return list, err
}

// HostName returns the guest's own name.
func (c *Client) HostName(ctx context.Context) (string, error) {
	var host struct {
		Name string `json:"host-name"`
	}
	err := c.Call(ctx, "guest-get-host-name", nil, &host)
	return host.Name, err
}
