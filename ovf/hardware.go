package ovf

import "encoding/xml"

// VirtualHardwareSection says what hardware a machine needs (DSP0243 1.1, 8).
// When a machine has several, each is an alternative.
type VirtualHardwareSection struct {
	Head
	ID        string         `ovf:"id,attr"`
	Transport []string       `ovf:"transport,attr"` // how the guest gets its environment: "iso", "com.vmware.guestInfo"
	System    *SystemSetting `ovf:"System"`
	Items     []Item         `ovf:"Item"`
}

// Name is the name of its element.
func (*VirtualHardwareSection) Name() xml.Name { return attrName("VirtualHardwareSection") }

// SystemSetting is CIM_VirtualSystemSettingData: the machine as a whole.
type SystemSetting struct {
	AutomaticRecoveryAction      string                `ovf:"AutomaticRecoveryAction,cim"`
	AutomaticShutdownAction      string                `ovf:"AutomaticShutdownAction,cim"`
	AutomaticStartupAction       string                `ovf:"AutomaticStartupAction,cim"`
	AutomaticStartupActionDelay  string                `ovf:"AutomaticStartupActionDelay,cim"`
	AutomaticStartupActionNumber string                `ovf:"AutomaticStartupActionSequenceNumber,cim"`
	Caption                      Text                  `ovf:"Caption,cim"`
	ChangeableType               string                `ovf:"ChangeableType,cim"`
	ConfigurationDataRoot        string                `ovf:"ConfigurationDataRoot,cim"`
	ConfigurationFile            string                `ovf:"ConfigurationFile,cim"`
	ConfigurationID              string                `ovf:"ConfigurationID,cim"`
	ConfigurationName            string                `ovf:"ConfigurationName,cim"`
	CreationTime                 string                `ovf:"CreationTime,cim"`
	Description                  Text                  `ovf:"Description,cim"`
	ElementName                  Text                  `ovf:"ElementName,cim,always"`
	Generation                   string                `ovf:"Generation,cim"`
	InstanceID                   string                `ovf:"InstanceID,cim,always"`
	LogDataRoot                  string                `ovf:"LogDataRoot,cim"`
	Notes                        []Text                `ovf:"Notes,cim"`
	RecoveryFile                 string                `ovf:"RecoveryFile,cim"`
	SnapshotDataRoot             string                `ovf:"SnapshotDataRoot,cim"`
	SoID                         string                `ovf:"SoID,cim"`
	SoOrgID                      string                `ovf:"SoOrgID,cim"`
	SuspendDataRoot              string                `ovf:"SuspendDataRoot,cim"`
	SwapFileDataRoot             string                `ovf:"SwapFileDataRoot,cim"`
	Identifier                   string                `ovf:"VirtualSystemIdentifier,cim"`
	Type                         string                `ovf:"VirtualSystemType,cim"` // families, separated by spaces: "vmx-07 xen-3"
	FieldAttrs                   map[string][]xml.Attr `ovf:",fieldattrs"`
	Attrs                        []xml.Attr            `ovf:",attrs"`
	Extra                        []Element             `ovf:",extra"`
}

// ItemKind is which element an item is: they are the same but for some fields.
type ItemKind int

// Kinds of items.
const (
	ResourceItem     ItemKind = iota // Item
	StorageItem                      // StorageItem, since 2.0
	EthernetPortItem                 // EthernetPortItem, since 2.0
)

func (k ItemKind) element() (name, cim string) {
	switch k {
	case StorageItem:
		return "StorageItem", nsStorage
	case EthernetPortItem:
		return "EthernetPortItem", nsPort
	case ResourceItem:
	}
	return "Item", nsResource
}

func kindOf(local string) ItemKind {
	switch local {
	case "StorageItem":
		return StorageItem
	case "EthernetPortItem":
		return EthernetPortItem
	}
	return ResourceItem
}

// Item is one piece of hardware: CIM_ResourceAllocationSettingData, and what
// CIM_StorageAllocationSettingData and CIM_EthernetPortAllocationSettingData
// add. Fields are as they stand in the document; methods give them a meaning.
type Item struct {
	Kind           ItemKind
	Optional       bool     `ovf:"required,attr,not"`
	Configurations []string `ovf:"configuration,attr"` // it is there only in these; nil is in all
	Bound          string   `ovf:"bound,attr"`         // "min", "max", "normal"; "" is "normal"

	Access                        string `ovf:"Access,cim"`  // storage
	Address                       string `ovf:"Address,cim"` // of a controller its number, of an adapter its MAC address
	AddressOnParent               string `ovf:"AddressOnParent,cim"`
	AllocationUnits               string `ovf:"AllocationUnits,cim"`   // of VirtualQuantity, Reservation and Limit
	AllowedPriorities             []Text `ovf:"AllowedPriorities,cim"` // port, as all that is allowed
	AllowedToReceiveMACAddresses  []Text `ovf:"AllowedToReceiveMACAddresses,cim"`
	AllowedToReceiveVLANs         []Text `ovf:"AllowedToReceiveVLANs,cim"`
	AllowedToTransmitMACAddresses []Text `ovf:"AllowedToTransmitMACAddresses,cim"`
	AllowedToTransmitVLANs        []Text `ovf:"AllowedToTransmitVLANs,cim"`
	AutomaticAllocation           string `ovf:"AutomaticAllocation,cim"`
	AutomaticDeallocation         string `ovf:"AutomaticDeallocation,cim"`
	Caption                       Text   `ovf:"Caption,cim"`
	ChangeableType                string `ovf:"ChangeableType,cim"`
	ConfigurationName             string `ovf:"ConfigurationName,cim"`
	Connections                   []Text `ovf:"Connection,cim"` // names of networks
	ConsumerVisibility            string `ovf:"ConsumerVisibility,cim"`
	DefaultPortVID                string `ovf:"DefaultPortVID,cim"` // port, as all VIDs
	DefaultPriority               string `ovf:"DefaultPriority,cim"`
	Description                   Text   `ovf:"Description,cim"`
	DesiredVLANEndpointMode       string `ovf:"DesiredVLANEndpointMode,cim"`
	ElementName                   Text   `ovf:"ElementName,cim,always"`
	Generation                    string `ovf:"Generation,cim"`
	GroupID                       string `ovf:"GroupID,cim"`
	HostExtentName                string `ovf:"HostExtentName,cim"` // storage, as all of HostExtent
	HostExtentNameFormat          string `ovf:"HostExtentNameFormat,cim"`
	HostExtentNameNamespace       string `ovf:"HostExtentNameNamespace,cim"`
	HostExtentStartingAddress     string `ovf:"HostExtentStartingAddress,cim"`
	HostResources                 []Text `ovf:"HostResource,cim"` // what backs it; see Backing
	HostResourceBlockSize         string `ovf:"HostResourceBlockSize,cim"`
	InstanceID                    string `ovf:"InstanceID,cim,always"` // unique in the section
	Limit                         string `ovf:"Limit,cim"`
	ManagerID                     string `ovf:"ManagerID,cim"`
	MappingBehavior               string `ovf:"MappingBehavior,cim"`
	NetworkPortProfileID          string `ovf:"NetworkPortProfileID,cim"`
	NetworkPortProfileIDType      string `ovf:"NetworkPortProfileIDType,cim"`
	OtherEndpointMode             string `ovf:"OtherEndpointMode,cim"`
	OtherHostExtentNameFormat     string `ovf:"OtherHostExtentNameFormat,cim"`
	OtherHostExtentNameNamespace  string `ovf:"OtherHostExtentNameNamespace,cim"`
	OtherNetworkPortProfile       string `ovf:"OtherNetworkPortProfileIDTypeInfo,cim"`
	OtherResourceType             string `ovf:"OtherResourceType,cim"`
	Parent                        string `ovf:"Parent,cim"` // the InstanceID of the controller
	PoolID                        string `ovf:"PoolID,cim"`
	PortCorrelationID             string `ovf:"PortCorrelationID,cim"`
	PortVID                       string `ovf:"PortVID,cim"`
	Promiscuous                   string `ovf:"Promiscuous,cim"`
	ReceiveBandwidthLimit         string `ovf:"ReceiveBandwidthLimit,cim"`
	ReceiveBandwidthReservation   string `ovf:"ReceiveBandwidthReservation,cim"`
	Reservation                   string `ovf:"Reservation,cim"`
	ResourceSubType               string `ovf:"ResourceSubType,cim"` // the model: "lsilogic", "E1000", …
	// ResourceType is what it is; 0 if not said.
	ResourceType              ResourceType `ovf:"ResourceType,cim"`
	SoID                      string       `ovf:"SoID,cim"`
	SoOrgID                   string       `ovf:"SoOrgID,cim"`
	SourceMACFilteringEnabled string       `ovf:"SourceMACFilteringEnabled,cim"`
	VSITypeID                 string       `ovf:"VSITypeID,cim"`
	VSITypeIDVersion          string       `ovf:"VSITypeIDVersion,cim"`
	VirtualQuantity           string       `ovf:"VirtualQuantity,cim"`
	VirtualQuantityUnits      string       `ovf:"VirtualQuantityUnits,cim"`
	VirtualResourceBlockSize  string       `ovf:"VirtualResourceBlockSize,cim"`
	Weight                    string       `ovf:"Weight,cim"`

	FieldAttrs map[string][]xml.Attr `ovf:",fieldattrs"` // attributes of fields that are strings, by the element's name
	Attrs      []xml.Attr            `ovf:",attrs"`
	Extra      []Element             `ovf:",extra"` // vmw:Config and others
}
