package api

// Version is the version of the interface, the first part of every path.
const Version = "v1"

// Info is who answers.
type Info struct {
	Version  string `json:"version" doc:"Panal's version"`
	PID      int    `json:"pid" doc:"the daemon's process"`
	Data     string `json:"data" doc:"the data directory"`
	Runtime  string `json:"runtime" doc:"the runtime directory"`
	Revision int64  `json:"revision" doc:"the newest revision"`
}

// Host is what a computer offers to its machines.
type Host struct {
	Name          string              `json:"name"`
	CPUs          int                 `json:"cpus" doc:"threads the kernel schedules on"`
	CPUModel      string              `json:"cpuModel"`
	Memory        Size                `json:"memory"`
	MemoryFree    Size                `json:"memoryFree" doc:"what the kernel could give now without swapping"`
	Kernel        string              `json:"kernel"`
	Machines      int                 `json:"machines" doc:"known"`
	Running       int                 `json:"running" doc:"of them, running or paused"`
	Privileged    bool                `json:"privileged" doc:"the daemon is root and runs QEMU as QEMUUser"`
	QEMUUser      string              `json:"qemuUser,omitempty"`
	Architectures []ArchitectureState `json:"architectures"`
	Programs      []Program           `json:"programs" doc:"the other programs that machines need"`
	Processors    HostCPU             `json:"processors" doc:"processors, and what machines have of them"`
	Controls      []HostControl       `json:"controls" doc:"what the host lets Panal control of machines that run"`
	Settings      HostSettings        `json:"settings"`
}

// HostCPU is a host's processors and how far they are given away.
type HostCPU struct {
	Sockets     int          `json:"sockets"`
	Cores       int          `json:"cores" doc:"of all sockets"`
	Threads     int          `json:"threads" doc:"what the kernel schedules on"`
	MHz         float64      `json:"mhz,omitempty" doc:"of one thread at its fastest, which amounts in MHz are measured by; left out where the host does not tell"`
	Level       string       `json:"level,omitempty" doc:"the highest of x86-64-v1 to x86-64-v4 that machines here can have"`
	Flags       []string     `json:"flags,omitempty" doc:"features that machines here can have, by QEMU's names, sorted"`
	Vendor      string       `json:"vendor,omitempty"`
	Nodes       []HostNode   `json:"nodes,omitempty" doc:"NUMA nodes"`
	Allocated   int          `json:"allocated" doc:"CPUs of running machines"`
	IOThreads   int          `json:"ioThreads" doc:"threads of their controllers, which need CPUs too"`
	Ratio       float64      `json:"ratio" doc:"allocated CPUs for each thread of the host"`
	Reserved    float64      `json:"reserved" doc:"percent of one CPU that running machines are promised"`
	Steal       float64      `json:"steal" doc:"percent of the host's own CPU time since its boot that somebody below it took (it is a virtual machine itself)"`
	MachineCPUs []MachineCPU `json:"machines" doc:"each running machine's part, by name"`
}

// HostNode is a NUMA node.
type HostNode struct {
	ID   int    `json:"id"`
	CPUs string `json:"cpus" doc:"such as 0-3,8"`
}

// MachineCPU is what a running machine has of the host's processors. Times count from the start of its process.
type MachineCPU struct {
	UUID         string  `json:"uuid"`
	Name         string  `json:"name"`
	CPUs         int     `json:"cpus" doc:"plugged in"`
	IOThreads    int     `json:"ioThreads,omitempty"`
	Cap          int     `json:"cap,omitempty" doc:"percent for each of its CPUs"`
	Limit        float64 `json:"limit,omitempty" doc:"percent of one CPU of the host"`
	Reserved     float64 `json:"reserved,omitempty" doc:"percent of one CPU of the host"`
	Shares       int     `json:"shares"`
	Used         float64 `json:"used" doc:"seconds that its CPUs have run"`
	Ready        float64 `json:"ready" doc:"seconds that its CPUs were ready to run and had to wait for one of the host's (steal time, as its guest sees it), limits included"`
	ReadyPercent float64 `json:"readyPercent" doc:"of the time that its CPUs ran or were ready to"`
	Throttled    float64 `json:"throttled,omitempty" doc:"seconds that it had to wait because of its limit"`
}

// HostControl is something that the host lets Panal control, or does not.
type HostControl struct {
	Name      string `json:"name" doc:"cpu, cpuset or memory: the control group controller"`
	Available bool   `json:"available"`
	Version   int    `json:"version,omitempty" doc:"of control groups, 1 or 2"`
	Why       string `json:"why,omitempty" doc:"why it is not to be had"`
	Instead   string `json:"instead,omitempty" doc:"what is done instead"`
}

// HostSettings are the policies of a host. What is left out has its default.
type HostSettings struct {
	CPU       HostCPUSettings      `json:"cpu,omitzero"`
	Memory    HostMemorySettings   `json:"memory,omitzero"`
	Snapshots HostSnapshotSettings `json:"snapshots,omitzero"`
}

// HostSnapshotSettings say how snapshots are kept.
type HostSnapshotSettings struct {
	Depth int `json:"depth,omitempty" minimum:"0" maximum:"200" doc:"images that a disk of a machine may stand on, its own included, 2 at least; beyond that they are merged in the background, which copies data where snapshots need the images as they are; default 16"`
}

// HostMemorySettings say how far memory may be given away.
type HostMemorySettings struct {
	Ratio   float64 `json:"ratio,omitempty" minimum:"0" maximum:"100" doc:"maximums of running machines, with what their processes need, in parts of what the host has for them, beyond which the policy applies; default 1"`
	Policy  string  `json:"policy,omitempty" enum:"warn,refuse" doc:"what becomes of a start beyond the ratio; default warn"`
	Reserve Size    `json:"reserve,omitempty" doc:"what the host keeps for itself; default a twentieth of its memory, 256M at least"`
	Reclaim Reclaim `json:"reclaim,omitempty" enum:"off,compress,swap" doc:"how far cold memory of machines is moved out where the host runs short; default swap"`
	Sharing string  `json:"sharing,omitempty" enum:"on,off" doc:"whether the kernel is made to look for equal pages of machines that offer theirs; default on"`
}

// HostCPUSettings say how far processors may be given away.
type HostCPUSettings struct {
	Ratio  float64 `json:"ratio,omitempty" minimum:"0" maximum:"1000" doc:"CPUs of running machines for each thread of the host, beyond which the policy applies; default 8"`
	Policy string  `json:"policy,omitempty" enum:"warn,refuse" doc:"what becomes of a start beyond the ratio; default warn"`
}

// ChangeHostRequest changes the host's settings.
type ChangeHostRequest struct {
	Set []string `json:"set" doc:"key=value with the setting's path as the key (cpu.ratio=4); an empty value returns it to its default"`
}

// ArchitectureState is whether and how machines of an architecture run here.
type ArchitectureState struct {
	Architecture Architecture `json:"architecture"`
	Available    bool         `json:"available"`
	Why          string       `json:"why" doc:"why it is not available, or why this accelerator was chosen"`
	QEMU         string       `json:"qemu,omitempty" doc:"path of QEMU"`
	Version      string       `json:"version,omitempty"`
	Accelerator  string       `json:"accelerator,omitempty" enum:"kvm,tcg"`
	MachineTypes []string     `json:"machineTypes,omitempty" doc:"unversioned machine types that can be created"`
	Firmware     []string     `json:"firmware,omitempty" doc:"bios, uefi, uefi-secure"`
}

// Program is an external program that machines can need.
type Program struct {
	Name    string `json:"name"`
	Path    string `json:"path,omitempty" doc:"empty when it is not installed"`
	Version string `json:"version,omitempty"`
	Purpose string `json:"purpose"`
}
