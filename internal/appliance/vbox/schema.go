package vbox

import "encoding/xml"

// The elements of a settings file, as far as they say something about hardware.

type document struct {
	XMLName xml.Name     `xml:"VirtualBox"`
	Version string       `xml:"version,attr"`
	Machine *machineNode `xml:"Machine"`
}

type machineNode struct {
	UUID            string       `xml:"uuid,attr"`
	Name            string       `xml:"name,attr"`
	OSType          string       `xml:"OSType,attr"`
	CurrentSnapshot string       `xml:"currentSnapshot,attr"`
	StateFile       string       `xml:"stateFile,attr"`
	Encryption      string       `xml:"keyId,attr"`
	Description     string       `xml:"Description"`
	Disks           []hardDisk   `xml:"MediaRegistry>HardDisks>HardDisk"`
	DVDs            []image      `xml:"MediaRegistry>DVDImages>Image"`
	Floppies        []image      `xml:"MediaRegistry>FloppyImages>Image"`
	Hardware        hardware     `xml:"Hardware"`
	Controllers     []controller `xml:"StorageControllers>StorageController"` // before 1.19
	Snapshot        *snapshot    `xml:"Snapshot"`
}

type hardDisk struct {
	UUID       string     `xml:"uuid,attr"`
	Location   string     `xml:"location,attr"`
	Format     string     `xml:"format,attr"`
	Type       string     `xml:"type,attr"`
	Properties []property `xml:"Property"`
	Children   []hardDisk `xml:"HardDisk"`
}

type property struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type image struct {
	UUID     string `xml:"uuid,attr"`
	Location string `xml:"location,attr"`
}

type snapshot struct {
	UUID        string       `xml:"uuid,attr"`
	Name        string       `xml:"name,attr"`
	Taken       string       `xml:"timeStamp,attr"`
	StateFile   string       `xml:"stateFile,attr"`
	Description string       `xml:"Description"`
	Hardware    hardware     `xml:"Hardware"`
	Controllers []controller `xml:"StorageControllers>StorageController"`
	Children    []snapshot   `xml:"Snapshots>Snapshot"`
}

type hardware struct {
	CPU      cpu  `xml:"CPU"`
	Memory   size `xml:"Memory"`
	Firmware struct {
		Type string `xml:"type,attr"`
	} `xml:"Firmware"`
	BIOS        bios         `xml:"BIOS"`
	TPM         *typed       `xml:"TrustedPlatformModule"`
	Platform    platform     `xml:"Platform"` // since 1.20
	Chipset     typed        `xml:"Chipset"`
	Adapters    []adapter    `xml:"Network>Adapter"`
	UART        []port       `xml:"UART>Port"`
	LPT         []port       `xml:"LPT>Port"`
	Audio       *audio       `xml:"AudioAdapter"`
	Shared      []named      `xml:"SharedFolders>SharedFolder"`
	Display     display      `xml:"Display"`
	Clock       clock        `xml:"RTC"`
	Controllers []controller `xml:"StorageControllers>StorageController"` // since 1.19
	Boot        []bootPlace  `xml:"Boot>Order"`
}

type bootPlace struct {
	Position string `xml:"position,attr"`
	Device   string `xml:"device,attr"`
}

type cpu struct {
	Count int `xml:"count,attr"`
	Cap   int `xml:"executionCap,attr"`
}

type size struct {
	MiB int64 `xml:"RAMSize,attr"`
}

type typed struct {
	Type string `xml:"type,attr"`
}

type bios struct {
	SecureBoot enabled `xml:"SecureBoot"`
}

type platform struct {
	Architecture string `xml:"architecture,attr"`
	Chipset      typed  `xml:"Chipset"`
	Clock        clock  `xml:"RTC"`
}

type clock struct {
	LocalOrUTC string `xml:"localOrUTC,attr"`
}

type enabled struct {
	Enabled string `xml:"enabled,attr"`
}

type adapter struct {
	Slot       int      `xml:"slot,attr"`
	Enabled    string   `xml:"enabled,attr"`
	MAC        string   `xml:"MACAddress,attr"`
	Cable      string   `xml:"cable,attr"`
	Type       string   `xml:"type,attr"`
	NAT        *nat     `xml:"NAT"`
	Bridged    *named   `xml:"BridgedInterface"`
	HostOnly   *named   `xml:"HostOnlyInterface"`
	HostNet    *named   `xml:"HostOnlyNetwork"`
	Internal   *named   `xml:"InternalNetwork"`
	NATNetwork *named   `xml:"NATNetwork"`
	Generic    *generic `xml:"GenericInterface"`
}

type generic struct {
	Driver string `xml:"driver,attr"`
}

type named struct {
	Name string `xml:"name,attr"`
	Type string `xml:"type,attr"`
}

type nat struct {
	Forwards []forwarding `xml:"Forwarding"`
}

type forwarding struct {
	Name      string `xml:"name,attr"`
	Protocol  string `xml:"proto,attr"` // 0 UDP, 1 TCP
	HostIP    string `xml:"hostip,attr"`
	HostPort  int    `xml:"hostport,attr"`
	GuestIP   string `xml:"guestip,attr"`
	GuestPort int    `xml:"guestport,attr"`
}

type port struct {
	Slot    int    `xml:"slot,attr"`
	Enabled string `xml:"enabled,attr"`
	Mode    string `xml:"hostMode,attr"`
	Path    string `xml:"path,attr"`
}

type audio struct {
	Enabled string `xml:"enabled,attr"`
}

type display struct {
	Controller string `xml:"controller,attr"`
}

type controller struct {
	Name    string     `xml:"name,attr"`
	Type    string     `xml:"type,attr"`
	Devices []attached `xml:"AttachedDevice"`
}

type attached struct {
	Type   string `xml:"type,attr"`
	Port   int    `xml:"port,attr"`
	Device int    `xml:"device,attr"`
	SSD    string `xml:"nonrotational,attr"`
	Image  *image `xml:"Image"`
	Host   *struct {
		Source string `xml:"src,attr"`
	} `xml:"HostDrive"`
}
