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
	Environment  *Environment      `json:"environment,omitempty" doc:"what the guest is told of itself by a CD; absent for nothing"`
	Autostart    Autostart         `json:"autostart,omitzero"`
	Restart      Restart           `json:"restart,omitzero"`
	Snapshots    SnapshotSchedule  `json:"snapshots,omitzero" doc:"snapshots that are taken by the clock"`
	OS           string            `json:"os,omitempty" enum:"linux,windows,other" doc:"what the guest runs, where that matters: windows takes CPUs and memory while it runs, and gives none back"`
	Template     bool              `json:"template,omitempty" doc:"a model for clones: it does not start, and linked clones may stand on its disks"`
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
	Model   string `json:"model,omitempty" doc:"host, max, a level (x86-64-v1 to x86-64-v4), or a model QEMU names, with +flag,-flag appended; default: host where KVM runs it, else max"`
	Nested  string `json:"nested,omitempty" enum:"on,off" doc:"whether the guest can run machines of its own by hardware (vmx, svm); left out for what the model has"`

	// What follows can change while the machine runs.

	Cap          int     `json:"cap,omitempty" minimum:"1" maximum:"100" doc:"percent of one CPU of the host that each of the machine's CPUs may use, 1 to 100; left out for all of it"`
	Reservation  CPUTime `json:"reservation,omitempty" doc:"CPU time that the machine is promised: percent of one CPU of the host, such as 150%, or MHz, such as 2000MHz"`
	Limit        CPUTime `json:"limit,omitempty" doc:"CPU time that the machine may use at most, with all its threads: as in reservation"`
	Shares       int     `json:"shares,omitempty" minimum:"1" maximum:"10000" doc:"the machine's part when CPUs are scarce, against that of others; default 100"`
	Pin          string  `json:"pin,omitempty" doc:"CPUs of the host for the machine's: 0-3,8 for all of them, or 0:4,1:5-6 for single ones"`
	PinEmulator  string  `json:"pinEmulator,omitempty" doc:"CPUs of the host for QEMU's other threads, such as 0-1"`
	PinIOThreads string  `json:"pinIOThreads,omitempty" doc:"CPUs of the host for the threads of controllers, such as 2"`
	Nodes        string  `json:"nodes,omitempty" doc:"NUMA nodes of the host, such as 0 or 0-1, on whose CPUs all threads run that are not pinned"`
}

// Memory is the machine's memory: a fixed size, or a range in which it moves while
// the machine runs. Minimum ≤ Size ≤ Maximum, and Start ≤ Maximum.
type Memory struct {
	Size    Size          `json:"size,omitempty" doc:"what the guest is to have: bytes, or a string such as 512M or 4G (binary units); can change while the machine runs"`
	Minimum Size          `json:"minimum,omitempty" doc:"what the guest keeps in any case; below the maximum it makes a range in which the memory follows the guest's demand, unless control is manual"`
	Maximum Size          `json:"maximum,omitempty" doc:"what the guest can have while the machine runs; default size"`
	Start   Size          `json:"start,omitempty" doc:"what the guest boots with, default size; what is missing is plugged in, what is too much is taken by the balloon"`
	Balloon Size          `json:"balloon,omitempty" doc:"taken from the guest by hand; can change while the machine runs"`
	Reserve Size          `json:"reserve,omitempty" doc:"what the host holds for the machine whatever else runs; default nothing"`
	Control MemoryControl `json:"control,omitempty" enum:"automatic,manual" doc:"who moves the memory in a range; default automatic where there is a minimum below the maximum"`
	Shares  int           `json:"shares,omitempty" minimum:"0" doc:"weight against other machines where the host runs short, 1 to 10000; default 1000"`
	Limit   Size          `json:"limit,omitempty" doc:"most of the host's memory that its process may have: what is beyond that is moved out, as reclaim allows; default none; can change while the machine runs"`
	Sharing Sharing       `json:"sharing,omitempty" enum:"on,off,smart" doc:"whether the kernel may merge pages with equal ones of other machines; smart offers them while another machine runs that is made of the same; default off; can change while the machine runs"`
	Reclaim Reclaim       `json:"reclaim,omitempty" enum:"off,compress,swap" doc:"how far cold memory may be moved out where the host runs short; default swap; can change while the machine runs"`
	Swap    Size          `json:"swap,omitempty" doc:"most that may be moved out, compressed or swapped; default no limit; can change while the machine runs"`

	PageSize  Size       `json:"pageSize,omitempty" doc:"2M or 1G: the guest's memory is made of huge pages of the host's, which are taken when it starts and stay; default the host's usual pages"`
	Locked    bool       `json:"locked,omitempty" doc:"the machine's memory is taken when it starts and never moved out"`
	Nodes     string     `json:"nodes,omitempty" doc:"NUMA nodes of the host, such as 0 or 0-1, that the memory comes from; can change while the machine runs where the host has the control group controller cpuset"`
	Placement NodePolicy `json:"placement,omitempty" enum:"bind,preferred,interleave" doc:"how nodes is meant; default bind"`
}

// NodePolicy says how memory comes from NUMA nodes.
type NodePolicy string

// The policies of NUMA nodes.
const (
	NodesBind       NodePolicy = "bind"       // from these alone
	NodesPreferred  NodePolicy = "preferred"  // from this one as long as it has some
	NodesInterleave NodePolicy = "interleave" // from these in turn
)

// Reclaim says how far a machine's cold memory may be moved out of the host's memory.
type Reclaim string

// How far memory may be moved out.
const (
	ReclaimOff      Reclaim = "off"      // it stays where it is
	ReclaimCompress Reclaim = "compress" // into compressed memory (zswap, zram)
	ReclaimSwap     Reclaim = "swap"     // into compressed memory, then into swap
)

// Sharing says whether a machine's pages are offered to be merged with equal ones.
type Sharing string

// The ways to share pages.
const (
	SharingOff Sharing = "off"
	SharingOn  Sharing = "on"
	// SharingSmart offers them while another machine that shares runs from the same image or
	// kernel: where equal pages are likely.
	SharingSmart Sharing = "smart"
)

// MemoryControl says who moves a machine's memory in its range.
type MemoryControl string

// The ways to control memory.
const (
	// MemoryAutomatic follows the guest's demand and the host's pressure.
	MemoryAutomatic MemoryControl = "automatic"
	// MemoryManual moves only by command.
	MemoryManual MemoryControl = "manual"
)

// ControllerType is a kind of storage controller.
type ControllerType string

// The controller types. Where hardware of that name has fewer places than a
// controller here, the controller is several of it, added as they are needed.
const (
	IDE        ControllerType = "ide"         // 2 channels of 2 devices: ports 0-3
	SATA       ControllerType = "sata"        // AHCI: ports 0-29, 6 on each host bus adapter
	VirtioSCSI ControllerType = "virtio-scsi" // ports 0-255
	LSILogic   ControllerType = "lsilogic"    // LSI 53C895A parallel SCSI: ports 0-14, 7 on each host bus adapter
	BusLogic   ControllerType = "buslogic"    // VMware's and VirtualBox's BusLogic; what is there is LSI's 53C895A
	LSISAS     ControllerType = "lsisas"      // LSI SAS1068 (VMware's and VirtualBox's LSI Logic SAS): ports 0-255, 8 on each host bus adapter
	MegaRAID   ControllerType = "megasas"     // LSI MegaRAID SAS: ports 0-63
	PVSCSI     ControllerType = "pvscsi"      // VMware's paravirtual SCSI: ports 0-63
	VirtioBlk  ControllerType = "virtio-blk"  // one PCI device a drive: ports 0-31
	NVMe       ControllerType = "nvme"        // a namespace a drive: ports 0-254
	USB        ControllerType = "usb"         // xHCI mass storage: ports 0-7
	Floppy     ControllerType = "floppy"      // ports 0-1
)

// Controller is a storage controller that drives are attached to.
type Controller struct {
	Name     string         `json:"name,omitempty" doc:"unique in the machine, such as sata0"`
	Type     ControllerType `json:"type" enum:"ide,sata,virtio-scsi,lsilogic,buslogic,lsisas,megasas,pvscsi,virtio-blk,nvme,usb,floppy"`
	Chipset  string         `json:"chipset,omitempty" enum:"piix3,piix4,ich6" doc:"of an ide controller, as VirtualBox names them; see hardware"`
	IOThread bool           `json:"ioThread,omitempty" doc:"a thread of its own for a virtio-scsi controller, or for each drive of a virtio-blk one"`
	Hardware string         `json:"hardware,omitempty" readOnly:"true" doc:"what is there in the place of a type or chipset that is not to be had; set by the daemon"`
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
	// Attach attaches the source itself and writes it where it lies. Several
	// machines may name it; the write mode says which of them may run together.
	Attach DriveMode = "attach"
)

// WriteMode says what becomes of what a guest writes to a drive, in the words
// that VirtualBox has for the types of its media.
type WriteMode string

// The write modes.
const (
	// Normal keeps what is written, and snapshots take it in and back. Of several
	// machines that attach the same image only one runs at a time.
	Normal WriteMode = "normal"
	// Writethrough keeps what is written whatever is done with snapshots.
	Writethrough WriteMode = "writethrough"
	// Shareable is writethrough for several running machines at once: attached raw
	// images alone. What keeps the guests from each other is up to them.
	Shareable WriteMode = "shareable"
	// Immutable writes into a differencing image that is thrown away at every
	// power-on, not at a guest's reboot, unless Drive.AutoReset is off.
	Immutable WriteMode = "immutable"
	// Multiattach is for a source that no machine writes: each keeps a differencing
	// image of its own for good.
	Multiattach WriteMode = "multiattach"
	// WriteNothing attaches a disk that the guest cannot write.
	WriteNothing WriteMode = "readonly"
)

// Drive is one disk, optical or floppy drive and the medium in it.
type Drive struct {
	Name       string    `json:"name,omitempty" doc:"unique in the machine, such as disk0"`
	Controller string    `json:"controller,omitempty" doc:"the controller's name"`
	Port       *int      `json:"port,omitempty" doc:"place on the controller, from 0; default the first free one"`
	Kind       DriveKind `json:"kind,omitempty" enum:"disk,optical,floppy"`
	Mode       DriveMode `json:"mode,omitempty" enum:"overlay,own,readonly,attach" doc:"where the content lives: overlay never writes the source, own moves it in, readonly and attach use it where it lies"`
	WriteMode  WriteMode `json:"writeMode,omitempty" enum:"normal,writethrough,shareable,immutable,multiattach,readonly" doc:"what becomes of what the guest writes; left out for normal, or for readonly where the mode is that"`
	AutoReset  *bool     `json:"autoReset,omitempty" doc:"off keeps what was written to an immutable drive over power-ons; default on"`
	Source     string    `json:"source,omitempty" doc:"absolute path of the image the drive was made from, which may name a member of an archive, as in /a.ova/disk1.vmdk; or a disk that is served: nbd://HOST/EXPORT, nbd+unix:///EXPORT?socket=PATH, iscsi://[USER@]HOST[,HOST]/TARGET/LUN, nfs://HOST/DIRECTORY/FILE[?uid=N&gid=N]; empty for an empty optical or floppy drive, or for a new disk"`
	Format     string    `json:"format,omitempty" enum:"raw,qcow2,vdi,vmdk,vhd,vpc,vhdx,parallels,xva,qcow,luks" doc:"format of the source, found by its content when left out, and from then on fixed; vpc is another name of vhd"`
	Snapshot   string    `json:"snapshot,omitempty" doc:"ID or name of an earlier state that the source holds, to be used instead of its present one"`
	Size       Size      `json:"size,omitempty" doc:"virtual size; for a new empty disk the size to make"`
	File       string    `json:"file,omitempty" readOnly:"true" doc:"the image the guest writes, relative to the machine's folder; set by the daemon"`
	Serial     string    `json:"serial,omitempty" doc:"serial number the guest sees, at most 20 characters"`
	// Under is set by the daemon where the source is an image of another machine
	// that stands, in its turn, on something outside that machine's folder: for a
	// linked clone.
	Under []Underlay `json:"under,omitempty" readOnly:"true" doc:"what a linked clone's source stands on beyond the folder that it is in, the nearest first; set by the daemon"`

	SecretFile string `json:"secretFile,omitempty" doc:"absolute path of a file with the password for an iSCSI source with a user (CHAP), read at every start"`

	InstanceID string `json:"instanceID,omitempty" doc:"of an optical drive with a disc for cloud-init (NoCloud): the instance-id that the guest reads there instead of the disc's, so that it makes host keys of its own; clones have one"`

	Encrypted      bool   `json:"encrypted,omitempty" doc:"its images are encrypted by LUKS; asked for when an image is made for the drive, and set by the daemon where the source is encrypted"`
	PassphraseFile string `json:"passphraseFile,omitempty" doc:"absolute path of a file whose first line is the passphrase of an encrypted drive, read at every start"`
	KeyCommand     string `json:"keyCommand,omitempty" doc:"a command for the shell whose output is the passphrase of an encrypted drive, run by the daemon at every start"`

	SSD          bool      `json:"ssd,omitempty" doc:"tell the guest that the disk does not rotate"`
	Cache        CacheMode `json:"cache,omitempty" enum:"writeback,none,writethrough,unsafe" doc:"default writeback"`
	Discard      string    `json:"discard,omitempty" enum:"on,off" doc:"give room back that the guest discards; default on"`
	DetectZeroes string    `json:"detectZeroes,omitempty" enum:"off,on,unmap" doc:"write zeroes as holes (on), or give their room back (unmap); default off"`

	IOPS           int    `json:"iops,omitempty" minimum:"0" doc:"requests a second at most; 0 for no limit; like all limits, can change while the machine runs"`
	ReadIOPS       int    `json:"readIops,omitempty" minimum:"0" doc:"reads a second at most; not together with iops"`
	WriteIOPS      int    `json:"writeIops,omitempty" minimum:"0" doc:"writes a second at most; not together with iops"`
	BurstIOPS      int    `json:"burstIops,omitempty" minimum:"0" doc:"requests a second for burstSeconds after a quiet time; needs iops"`
	Bandwidth      Size   `json:"bandwidth,omitempty" doc:"bytes a second at most; 0 for no limit"`
	ReadBandwidth  Size   `json:"readBandwidth,omitempty" doc:"bytes read a second at most; not together with bandwidth"`
	WriteBandwidth Size   `json:"writeBandwidth,omitempty" doc:"bytes written a second at most; not together with bandwidth"`
	BurstBandwidth Size   `json:"burstBandwidth,omitempty" doc:"bytes a second for burstSeconds after a quiet time; needs bandwidth"`
	BurstSeconds   int    `json:"burstSeconds,omitempty" minimum:"0" doc:"how long a burst may last; default 1"`
	LimitGroup     string `json:"limitGroup,omitempty" doc:"drives of the machine with the same word here share one allowance; their limits must be equal"`
}

// Underlay is an image that a drive stands on.
type Underlay struct {
	Source   string `json:"source" doc:"absolute path of the image"`
	Format   string `json:"format"`
	Snapshot string `json:"snapshot,omitempty" doc:"an earlier state that it holds"`
}

// CacheMode says what of the host's memory stands between a drive and its image.
type CacheMode string

// The cache modes.
const (
	// CacheWriteback uses the host's page cache; what the guest flushes is durable.
	CacheWriteback CacheMode = "writeback"
	// CacheNone goes past the host's page cache; what the guest flushes is durable.
	CacheNone CacheMode = "none"
	// CacheWritethrough makes every write durable before the guest hears of it.
	CacheWritethrough CacheMode = "writethrough"
	// CacheUnsafe ignores flushes: a crash of the host ruins the disk.
	CacheUnsafe CacheMode = "unsafe"
)

// AdapterModel is a kind of network adapter.
type AdapterModel string

// Adapter is one network adapter. Its only network so far is QEMU's own user
// networking: the guest sees a DHCP server and a gateway, and reaches out
// through the daemon host's sockets.
type Adapter struct {
	Name    string       `json:"name,omitempty" doc:"unique in the machine, such as net0"`
	Model   AdapterModel `json:"model,omitempty" enum:"virtio,e1000,e1000e,rtl8139,pcnet,vmxnet3" doc:"default virtio"`
	MAC     string       `json:"mac,omitempty" doc:"such as 52:54:00:12:34:56; default made from the machine's UUID"`
	Network string       `json:"network,omitempty" enum:"user,none" doc:"user, or none for an unplugged cable"`
	// NetworkName says nothing of where packets go.
	NetworkName string    `json:"networkName,omitempty" doc:"what the network is called where the machine comes from, or goes to: exports say it, imports note it"`
	Isolated    bool      `json:"isolated,omitempty" doc:"no access to the outside, forwarded ports only"`
	Forwards    []Forward `json:"forwards,omitempty"`
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
