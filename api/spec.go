package api

// Architecture is the instruction set of a machine's CPUs, named as QEMU and
// the Linux kernel name it.
type Architecture string

// The architectures that a machine can have.
const (
	X8664   Architecture = "x86_64"
	AArch64 Architecture = "aarch64"
	RISCV64 Architecture = "riscv64"
)

// Spec is what a machine is to be. It is what `panal show --json` prints, what
// `panal create --file` reads, and what machine.json in the machine's folder
// holds. A spec given to the daemon may leave out whatever has a sensible
// default; the spec the daemon gives back is complete.
type Spec struct {
	Name         string            `json:"name,omitempty" doc:"1 to 63 characters: letters, digits, space and . _ - + ( ) @; unique on this host"`
	UUID         string            `json:"uuid,omitempty" doc:"RFC 9562 UUID in lower case; never changes"`
	Description  string            `json:"description,omitempty" doc:"free text, at most 16 KiB"`
	Labels       map[string]string `json:"labels,omitempty" doc:"names and values of the user's own"`
	Architecture Architecture      `json:"architecture,omitempty" enum:"x86_64,aarch64,riscv64"`
	MachineType  string            `json:"machineType,omitempty" doc:"QEMU's machine type or an alias of it: q35, pc, virt, or a versioned one such as pc-q35-7.2"`
	Firmware     Firmware          `json:"firmware,omitzero"`
	TPM          *TPM              `json:"tpm,omitempty" doc:"a TPM emulated by swtpm; absent for none"`
	CPU          CPU               `json:"cpu,omitzero"`
	Memory       Memory            `json:"memory,omitzero"`
	Controllers  []Controller      `json:"controllers,omitempty"`
	Drives       []Drive           `json:"drives,omitempty"`
	Adapters     []Adapter         `json:"adapters,omitzero" doc:"network adapters; left out for one with QEMU's user networking, an empty list for none"`
	Serials      []Serial          `json:"serials,omitzero" doc:"serial lines in the guest's order: the first is ttyS0; left out for one, an empty list for none"`
	Display      Display           `json:"display,omitzero"`
	RTC          RTC               `json:"rtc,omitzero"`
	Boot         Boot              `json:"boot,omitzero"`
	Kernel       *Kernel           `json:"kernel,omitempty" doc:"direct kernel boot, without a boot loader"`
	Autostart    Autostart         `json:"autostart,omitzero"`
	Restart      Restart           `json:"restart,omitzero"`
}

// FirmwareType says what runs before the guest's boot loader.
type FirmwareType string

// The firmware types.
const (
	BIOS FirmwareType = "bios" // SeaBIOS on x86_64, the board's default (OpenSBI) on riscv64
	UEFI FirmwareType = "uefi" // EDK II, with variables of the machine's own
)

// Firmware is the machine's firmware. SecureBoot needs UEFI, and enrols the
// usual vendor keys when the machine is created.
type Firmware struct {
	Type       FirmwareType `json:"type,omitempty" enum:"bios,uefi"`
	SecureBoot bool         `json:"secureBoot,omitempty"`
}

// TPM is an emulated trusted platform module.
type TPM struct {
	Version string `json:"version,omitempty" enum:"2.0,1.2" doc:"default 2.0"`
}

// CPU is the machine's processors. Sockets × Cores × Threads equals Maximum.
type CPU struct {
	Count   int    `json:"count,omitempty" minimum:"0" doc:"CPUs present when the machine starts, 1 to maximum"`
	Maximum int    `json:"maximum,omitempty" minimum:"0" doc:"CPUs there can be, default count"`
	Sockets int    `json:"sockets,omitempty" minimum:"0"`
	Cores   int    `json:"cores,omitempty" minimum:"0" doc:"cores a socket"`
	Threads int    `json:"threads,omitempty" minimum:"0" doc:"threads a core"`
	Model   string `json:"model,omitempty" doc:"host, max, or a model QEMU names, with +flag,-flag appended; default: host where KVM runs it, else max"`
}

// Memory is the machine's memory.
type Memory struct {
	Size Size `json:"size,omitempty" doc:"bytes, or a string such as 512M or 4G (binary units)"`
}

// ControllerType is a kind of storage controller.
type ControllerType string

// The controller types.
const (
	IDE        ControllerType = "ide"         // 2 channels of 2 devices: ports 0-3
	SATA       ControllerType = "sata"        // AHCI: ports 0-5
	VirtioSCSI ControllerType = "virtio-scsi" // ports 0-255
	LSILogic   ControllerType = "lsilogic"    // LSI 53C895A parallel SCSI: ports 0-6
	LSISAS     ControllerType = "lsisas"      // LSI SAS1068 (VMware's and VirtualBox's LSI Logic SAS): ports 0-7
	MegaRAID   ControllerType = "megasas"     // LSI MegaRAID SAS: ports 0-63
	PVSCSI     ControllerType = "pvscsi"      // VMware's paravirtual SCSI: ports 0-63
	VirtioBlk  ControllerType = "virtio-blk"  // one PCI device a drive: ports 0-31
	NVMe       ControllerType = "nvme"        // a namespace a drive: ports 0-15
	USB        ControllerType = "usb"         // xHCI mass storage: ports 0-7
	Floppy     ControllerType = "floppy"      // ports 0-1
)

// Controller is a storage controller that drives are attached to.
type Controller struct {
	Name string         `json:"name,omitempty" doc:"unique in the machine, such as sata0"`
	Type ControllerType `json:"type" enum:"ide,sata,virtio-scsi,lsilogic,lsisas,megasas,pvscsi,virtio-blk,nvme,usb,floppy"`
}

// DriveKind is what sort of medium a drive takes.
type DriveKind string

// The drive kinds.
const (
	Disk           DriveKind = "disk"
	Optical        DriveKind = "optical"
	FloppyDiskette DriveKind = "floppy"
)

// DriveMode says what becomes of the file a drive was created from.
type DriveMode string

// The drive modes.
const (
	// Overlay never writes the source: a differencing image in the machine's
	// folder takes the writes. The source must stay where it is.
	Overlay DriveMode = "overlay"
	// Own moves the source into the machine's folder and writes it there.
	Own DriveMode = "own"
	// ReadOnly attaches the source itself and never writes it: optical media.
	ReadOnly DriveMode = "readonly"
)

// Drive is one disk, optical or floppy drive and the medium in it.
type Drive struct {
	Name       string    `json:"name,omitempty" doc:"unique in the machine, such as disk0"`
	Controller string    `json:"controller,omitempty" doc:"the controller's name"`
	Port       *int      `json:"port,omitempty" doc:"place on the controller, from 0; default the first free one"`
	Kind       DriveKind `json:"kind,omitempty" enum:"disk,optical,floppy"`
	Mode       DriveMode `json:"mode,omitempty" enum:"overlay,own,readonly"`
	Source     string    `json:"source,omitempty" doc:"absolute path of the image the drive was made from, which may name a member of an archive, as in /a.ova/disk1.vmdk; empty for an empty optical or floppy drive, or for a new disk"`
	Format     string    `json:"format,omitempty" enum:"raw,qcow2,vdi,vmdk,vhd,vpc,vhdx,parallels,xva,qcow" doc:"format of the source, found by its content when left out, and from then on fixed; vpc is another name of vhd"`
	Snapshot   string    `json:"snapshot,omitempty" doc:"ID or name of an earlier state that the source holds, to be used instead of its present one"`
	Size       Size      `json:"size,omitempty" doc:"virtual size; for a new empty disk the size to make"`
	File       string    `json:"file,omitempty" readOnly:"true" doc:"the image the guest writes, relative to the machine's folder; set by the daemon"`
	Serial     string    `json:"serial,omitempty" doc:"serial number the guest sees, at most 20 characters"`
}

// AdapterModel is a kind of network adapter.
type AdapterModel string

// Adapter is one network adapter. Its only network so far is QEMU's own user
// networking: the guest sees a DHCP server and a gateway, and reaches out
// through the daemon host's sockets.
type Adapter struct {
	Name     string       `json:"name,omitempty" doc:"unique in the machine, such as net0"`
	Model    AdapterModel `json:"model,omitempty" enum:"virtio,e1000,e1000e,rtl8139,pcnet,vmxnet3" doc:"default virtio"`
	MAC      string       `json:"mac,omitempty" doc:"such as 52:54:00:12:34:56; default made from the machine's UUID"`
	Network  string       `json:"network,omitempty" enum:"user,none" doc:"user, or none for an unplugged cable"`
	Isolated bool         `json:"isolated,omitempty" doc:"no access to the outside, forwarded ports only"`
	Forwards []Forward    `json:"forwards,omitempty"`
}

// The adapter models.
const (
	AdapterVirtio  AdapterModel = "virtio"
	AdapterE1000   AdapterModel = "e1000"
	AdapterE1000E  AdapterModel = "e1000e"
	AdapterRTL8139 AdapterModel = "rtl8139"
	AdapterPCnet   AdapterModel = "pcnet"
	AdapterVMXNet3 AdapterModel = "vmxnet3"
)

// Forward makes a port of the guest reachable on the host.
type Forward struct {
	Protocol    string `json:"protocol,omitempty" enum:"tcp,udp" doc:"default tcp"`
	HostAddress string `json:"hostAddress,omitempty" doc:"IP address of the host to listen on; default 127.0.0.1"`
	HostPort    int    `json:"hostPort" minimum:"1" maximum:"65535"`
	GuestPort   int    `json:"guestPort" minimum:"1" maximum:"65535"`
}

// Serial is one serial line, attached to with `panal console`. What the guest
// prints on it is kept in the machine's folder, bounded by LogSize.
type Serial struct {
	Name    string `json:"name,omitempty" doc:"unique in the machine, such as serial0"`
	LogSize Size   `json:"logSize,omitempty" doc:"bound of the kept output, default 4M"`
}

// Display is the machine's graphics. VNC is served on a Unix socket of the
// runtime directory, never on the network.
type Display struct {
	Type  string `json:"type,omitempty" enum:"vnc,none" doc:"default vnc"`
	Video string `json:"video,omitempty" enum:"std,virtio,vmware,none" doc:"graphics adapter; default std on x86_64, virtio elsewhere"`
}

// RTC is the machine's clock.
type RTC struct {
	Base string `json:"base,omitempty" enum:"utc,localtime" doc:"default utc; Windows guests want localtime"`
}

// Boot says what the firmware tries, in order.
type Boot struct {
	Order []string `json:"order,omitempty" doc:"names of drives and adapters; default: disks, optical drives, adapters, each in their order"`
	Menu  bool     `json:"menu,omitempty" doc:"offer the firmware's boot menu"`
}

// Kernel is direct kernel boot: the host's files, read at every start.
type Kernel struct {
	Image       string `json:"image" doc:"absolute path of the kernel"`
	Initrd      string `json:"initrd,omitempty" doc:"absolute path of the initial RAM disk"`
	CommandLine string `json:"commandLine,omitempty"`
}

// Autostart says whether the machine starts with its host.
type Autostart struct {
	Enabled bool `json:"enabled,omitempty"`
	Order   int  `json:"order,omitempty" doc:"lower starts earlier"`
	Delay   int  `json:"delay,omitempty" minimum:"0" doc:"seconds to wait after the one before"`
}

// RestartPolicy says when a machine that ended by itself is started again.
type RestartPolicy string

// The restart policies.
const (
	RestartNever     RestartPolicy = "never"      // leave it off
	RestartOnFailure RestartPolicy = "on-failure" // after a panic, a crash or a kill, not after the guest shut down
	RestartAlways    RestartPolicy = "always"     // whenever nobody asked Panal to stop it
)

// Restart is the restart policy. Attempts wait 1 s, 2 s, 4 s … at most 5
// minutes; a machine that then ran for 10 minutes starts counting afresh.
type Restart struct {
	Policy      RestartPolicy `json:"policy,omitempty" enum:"never,on-failure,always" doc:"default never"`
	MaxAttempts int           `json:"maxAttempts,omitempty" minimum:"0" doc:"give up after so many in a row; 0 for no limit"`
}
