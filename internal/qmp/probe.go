package qmp

import "context"

// QueryVersion returns QEMU's version.
func (c *Client) QueryVersion(ctx context.Context) (Version, error) {
	var info versionInfo
	err := c.Execute(ctx, "query-version", nil, &info)
	return info.version(), err
}

// QueryTarget returns the architecture QEMU emulates, by QEMU's name.
func (c *Client) QueryTarget(ctx context.Context) (string, error) {
	var target struct {
		Arch string `json:"arch"`
	}
	err := c.Execute(ctx, "query-target", nil, &target)
	return target.Arch, err
}

// MachineType is a kind of machine QEMU can be.
type MachineType struct {
	Name  string `json:"name"`
	Alias string `json:"alias"`
	// Default tells that QEMU takes it if none is named.
	Default bool `json:"is-default"`
	// MaxCPUs is the largest number of virtual CPUs.
	MaxCPUs          int    `json:"cpu-max"`
	HotpluggableCPUs bool   `json:"hotpluggable-cpus"`
	Deprecated       bool   `json:"deprecated"`
	DefaultCPU       string `json:"default-cpu-type"`
	DefaultRAMID     string `json:"default-ram-id"`
}

// QueryMachines lists the machine types.
func (c *Client) QueryMachines(ctx context.Context) ([]MachineType, error) {
	var list []MachineType
	err := c.Execute(ctx, "query-machines", nil, &list)
	return list, err
}

// CPUDefinition is a CPU model.
type CPUDefinition struct {
	Name     string `json:"name"`
	Typename string `json:"typename"`
	// AliasOf is the versioned model this one stands for, if it is an alias.
	AliasOf string `json:"alias-of"`
	// Static tells that the model never changes with QEMU's version.
	Static bool `json:"static"`
	// MigrationSafe tells that guests on it can migrate between hosts.
	MigrationSafe bool `json:"migration-safe"`
	// UnavailableFeatures are those this host's accelerator lacks; with none
	// the model can run.
	UnavailableFeatures []string `json:"unavailable-features"`
	Deprecated          bool     `json:"deprecated"`
}

// QueryCPUDefinitions lists the CPU models. It needs a machine type other than
// "none" for UnavailableFeatures to mean something.
func (c *Client) QueryCPUDefinitions(ctx context.Context) ([]CPUDefinition, error) {
	var list []CPUDefinition
	err := c.Execute(ctx, "query-cpu-definitions", nil, &list)
	return list, err
}

// KVM tells about hardware acceleration.
type KVM struct {
	// Enabled tells that this QEMU uses KVM.
	Enabled bool `json:"enabled"`
	// Present tells that this QEMU was built with KVM.
	Present bool `json:"present"`
}

// QueryKVM tells whether KVM is used.
func (c *Client) QueryKVM(ctx context.Context) (KVM, error) {
	var kvm KVM
	err := c.Execute(ctx, "query-kvm", nil, &kvm)
	return kvm, err
}

// ObjectType is a type of QEMU's object model.
type ObjectType struct {
	Name     string `json:"name"`
	Abstract bool   `json:"abstract"`
	Parent   string `json:"parent"`
}

// QOMListTypes lists the types that implement a type ("device", …), all with
// an empty name; abstract ones only on request.
func (c *Client) QOMListTypes(ctx context.Context, implements string, abstract bool) ([]ObjectType, error) {
	arguments := map[string]any{"abstract": abstract}
	if implements != "" {
		arguments["implements"] = implements
	}
	var list []ObjectType
	err := c.Execute(ctx, "qom-list-types", arguments, &list)
	return list, err
}

// Property is a property of a device or object type.
type Property struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Description string `json:"description"`
	// Default is the default value, of JSON's types; nil if unknown.
	Default any `json:"default-value"`
}

// DeviceListProperties lists the properties of a device type. A type QEMU does
// not have gives an *Error of ClassDeviceNotFound.
func (c *Client) DeviceListProperties(ctx context.Context, typename string) ([]Property, error) {
	var list []Property
	err := c.Execute(ctx, "device-list-properties", map[string]any{"typename": typename}, &list)
	return list, err
}

// CommandName is a command QEMU understands.
type CommandName struct {
	Name string `json:"name"`
}

// QueryCommands lists the commands this QEMU understands.
func (c *Client) QueryCommands(ctx context.Context) ([]CommandName, error) {
	var list []CommandName
	err := c.Execute(ctx, "query-commands", nil, &list)
	return list, err
}

// ExpandCPUModel returns all properties of a CPU model, those of its features being switches.
func (c *Client) ExpandCPUModel(ctx context.Context, name string) (map[string]any, error) {
	var answer struct {
		Model struct {
			Props map[string]any `json:"props"`
		} `json:"model"`
	}
	err := c.Execute(ctx, "query-cpu-model-expansion", map[string]any{"type": "full", "model": map[string]any{"name": name}}, &answer)
	return answer.Model.Props, err
}
