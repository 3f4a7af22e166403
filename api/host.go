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
