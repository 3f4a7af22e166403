package ovf

import (
	"encoding/xml"
	"time"
)

// DiskSection lists the virtual disks (DSP0243 1.1, 9.1).
type DiskSection struct {
	Head
	Disks []Disk `ovf:"Disk"`
}

// Name is the name of its element.
func (*DiskSection) Name() xml.Name { return attrName("DiskSection") }

// SharedDiskSection lists disks that several machines use at the same time
// (DSP0243 2.1, 9.14).
type SharedDiskSection struct {
	Head
	Disks []Disk `ovf:"SharedDisk"`
}

// Name is the name of its element.
func (*SharedDiskSection) Name() xml.Name { return attrName("SharedDiskSection") }

// Disk is a virtual disk. Its capacity is read by [Disk.Bytes].
type Disk struct {
	ID            string     `ovf:"diskId,attr"`
	FileRef       string     `ovf:"fileRef,attr"`                 // the ID of a File; "" for an empty disk
	Capacity      string     `ovf:"capacity,attr"`                // a number, or ${property}
	Units         string     `ovf:"capacityAllocationUnits,attr"` // "" is bytes
	Format        string     `ovf:"format,attr"`                  // a URI
	PopulatedSize *int64     `ovf:"populatedSize,attr"`           // bytes that it is expected to take
	ParentRef     string     `ovf:"parentRef,attr"`               // the ID of the Disk below it
	ReadOnly      bool       `ovf:"readOnly,attr"`                // of a shared disk
	Attrs         []xml.Attr `ovf:",attrs"`
	Extra         []Element  `ovf:",extra"`
}

// NetworkSection lists the networks (9.2).
type NetworkSection struct {
	Head
	Networks []Network `ovf:"Network"`
}

// Name is the name of its element.
func (*NetworkSection) Name() xml.Name { return attrName("NetworkSection") }

// Network is a logical network.
type Network struct {
	ID           string        `ovf:"name,attr"` // its name, which adapters connect to
	Descriptions []Text        `ovf:"Description"`
	Profiles     []PortProfile `ovf:"NetworkPortProfile"` // 2.0
	ProfileURIs  []Text        `ovf:"NetworkPortProfileURI"`
	Attrs        []xml.Attr    `ovf:",attrs"`
	Extra        []Element     `ovf:",extra"`
}

// PortProfile says what ports of a network are to be like (DSP0243 2.1, 9.2).
type PortProfile struct {
	Items []Item     `ovf:"Item"`
	Attrs []xml.Attr `ovf:",attrs"`
	Extra []Element  `ovf:",extra"`
}

// ResourceAllocationSection reserves resources for a whole collection (9.3).
type ResourceAllocationSection struct {
	Head
	Items []Item `ovf:"Item"`
}

// Name is the name of its element.
func (*ResourceAllocationSection) Name() xml.Name { return attrName("ResourceAllocationSection") }

// AnnotationSection is a note (9.4).
type AnnotationSection struct {
	Head
	Annotation Text `ovf:"Annotation,always"`
}

// Name is the name of its element.
func (*AnnotationSection) Name() xml.Name { return attrName("AnnotationSection") }

// EulaSection is a licence that must be accepted before deployment (9.6).
type EulaSection struct {
	Head
	License Text   `ovf:"License,always"`
	FileRef string `ovf:"fileRef,attr"` // 2.0: the licence is a file
}

// Name is the name of its element.
func (*EulaSection) Name() xml.Name { return attrName("EulaSection") }

// StartupSection says in which order a collection's members start (9.7).
type StartupSection struct {
	Head
	Items []StartupItem `ovf:"Item"`
}

// Name is the name of its element.
func (*StartupSection) Name() xml.Name { return attrName("StartupSection") }

// StartupItem says when a member starts and stops.
type StartupItem struct {
	ID              string     `ovf:"id,attr"`              // of a member of the collection
	Order           int        `ovf:"order,attr,always"`    // ascending; equals at once
	StartDelay      int        `ovf:"startDelay,attr"`      // seconds until the next may start
	WaitingForGuest bool       `ovf:"waitingForGuest,attr"` // or until the guest says that it is up
	StopDelay       int        `ovf:"stopDelay,attr"`
	StartAction     string     `ovf:"startAction,attr"` // "powerOn", "none"; "" is "powerOn"
	StopAction      string     `ovf:"stopAction,attr"`  // "powerOff", "guestShutdown", "none"; "" is "powerOff"
	Attrs           []xml.Attr `ovf:",attrs"`
	Extra           []Element  `ovf:",extra"`
}

// Delay is StartDelay.
func (i StartupItem) Delay() time.Duration { return time.Duration(i.StartDelay) * time.Second }

// DeploymentOptionSection lists the configurations to choose from (9.8).
type DeploymentOptionSection struct {
	Head
	Configurations []Configuration `ovf:"Configuration"`
}

// Name is the name of its element.
func (*DeploymentOptionSection) Name() xml.Name { return attrName("DeploymentOptionSection") }

// Configuration is one way to deploy the appliance.
type Configuration struct {
	ID          string     `ovf:"id,attr"`
	Label       Text       `ovf:"Label,always"`
	Description Text       `ovf:"Description,always"`
	Default     bool       `ovf:"default,attr"`
	Attrs       []xml.Attr `ovf:",attrs"`
	Extra       []Element  `ovf:",extra"`
}

// OperatingSystemSection says what runs in a machine (9.9).
type OperatingSystemSection struct {
	Head
	ID          *int64 `ovf:"id,attr"` // CIM_OperatingSystem.OsType
	Version     string `ovf:"version,attr"`
	Description Text   `ovf:"Description"`
}

// Name is the name of its element.
func (*OperatingSystemSection) Name() xml.Name { return attrName("OperatingSystemSection") }

// InstallSection says that the machine must be started once to install its
// software (9.10).
type InstallSection struct {
	Head
	InitialBootStopDelay int `ovf:"initialBootStopDelay,attr,always"` // seconds until it is stopped; 0: it stops by itself
}

// Name is the name of its element.
func (*InstallSection) Name() xml.Name { return attrName("InstallSection") }

// EnvironmentFilesSection lists files that the guest gets with its environment
// (DSP0243 2.1, 9.13).
type EnvironmentFilesSection struct {
	Head
	Transport []string          `ovf:"transport,attr"`
	Files     []EnvironmentFile `ovf:"File"`
}

// Name is the name of its element.
func (*EnvironmentFilesSection) Name() xml.Name { return attrName("EnvironmentFilesSection") }

// EnvironmentFile is a file for the guest.
type EnvironmentFile struct {
	FileRef string     `ovf:"fileRef,attr"`
	Path    string     `ovf:"path,attr"` // below /ovffiles on the medium
	Attrs   []xml.Attr `ovf:",attrs"`
	Extra   []Element  `ovf:",extra"`
}

// BootDeviceSection says what a machine starts from (DSP0243 2.1, 9.12).
type BootDeviceSection struct {
	Head
	Orders []BootOrder `ovf:"CIM_BootConfigSetting,cim"`
}

// Name is the name of its element.
func (*BootDeviceSection) Name() xml.Name { return attrName("BootDeviceSection") }

// BootOrder is a list of devices, tried in order: CIM_BootConfigSetting.
type BootOrder struct {
	Caption     Text         `ovf:"Caption,cim"`
	Description Text         `ovf:"Description,cim"`
	ElementName Text         `ovf:"ElementName,cim,always"`
	InstanceID  string       `ovf:"InstanceID,cim,always"`
	Sources     []BootSource `ovf:"CIM_BootSourceSetting,cim"`
	Attrs       []xml.Attr   `ovf:",attrs"`
	Extra       []Element    `ovf:",extra"`
}

// BootSource is one device to start from: CIM_BootSourceSetting.
type BootSource struct {
	BIOSBootString       string     `ovf:"BIOSBootString,cim"`
	BootString           string     `ovf:"BootString,cim"`
	Caption              Text       `ovf:"Caption,cim"`
	Description          Text       `ovf:"Description,cim"`
	ElementName          Text       `ovf:"ElementName,cim,always"`
	FailThroughSupported string     `ovf:"FailThroughSupported,cim"`
	InstanceID           string     `ovf:"InstanceID,cim,always"`    // of an Item
	StructuredBootString string     `ovf:"StructuredBootString,cim"` // "CIM:Hard-Disk:1"
	Attrs                []xml.Attr `ovf:",attrs"`
	Extra                []Element  `ovf:",extra"`
}

// ScaleOutSection says how many machines are to be made of one (DSP0243 2.1, 9.15).
type ScaleOutSection struct {
	Head
	ID          string          `ovf:"id,attr"`
	Description Text            `ovf:"Description"`
	Counts      []InstanceCount `ovf:"InstanceCount"` // one, or one for each configuration
}

// Name is the name of its element.
func (*ScaleOutSection) Name() xml.Name { return attrName("ScaleOutSection") }

// InstanceCount is how many; numbers may be ${property}.
type InstanceCount struct {
	Default       string     `ovf:"default,attr"`
	Minimum       string     `ovf:"minimum,attr"`
	Maximum       string     `ovf:"maximum,attr"`
	Configuration string     `ovf:"configuration,attr"`
	Attrs         []xml.Attr `ovf:",attrs"`
	Extra         []Element  `ovf:",extra"`
}

// PlacementGroupSection names a group of machines that are placed by one
// policy (DSP0243 2.1, 9.16).
type PlacementGroupSection struct {
	Head
	ID          string `ovf:"id,attr"`
	Policy      string `ovf:"policy,attr"` // "affinity" or "availability"
	Description Text   `ovf:"Description"`
}

// Name is the name of its element.
func (*PlacementGroupSection) Name() xml.Name { return attrName("PlacementGroupSection") }

// PlacementSection makes a machine or collection a member of such a group.
type PlacementSection struct {
	Head
	Group string `ovf:"group,attr"`
}

// Name is the name of its element.
func (*PlacementSection) Name() xml.Name { return attrName("PlacementSection") }

// Strings are texts in another language (10).
type Strings struct {
	Lang     string     `ovf:"xml:lang,attr"`
	FileRef  string     `ovf:"fileRef,attr"` // the texts are in a file; see ParseStrings
	Messages []Text     `ovf:"Msg"`
	Attrs    []xml.Attr `ovf:",attrs"`
	Extra    []Element  `ovf:",extra"`
}
