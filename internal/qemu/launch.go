package qemu

import "github.com/panalvm/panal/api"

// Launch is everything that one start of a machine depends on.
type Launch struct {
	Spec api.Spec // complete and valid
	Caps Capabilities
	// MachineType is the machine type to start with, usually a versioned one:
	// that of the saved state, or what Caps.ResolveMachine made of the
	// spec's. Empty resolves the spec's.
	MachineType string
	Accelerator string // kvm or tcg

	RuntimeDir string // absolute; QEMU's user can write in it: sockets, PID file
	LogDir     string // absolute; the logs of serial lines, as NAME.log

	// Images holds the images of the drives that have a medium, by the
	// drive's name.
	Images map[string]Chain
	// ImageSocket is the path of the image server's socket, where an image is
	// served.
	ImageSocket string
	Firmware    Firmware // where the spec's firmware is UEFI, or needs a boot loader
	// TPMSocket is the path of swtpm's control socket, where the spec has a TPM.
	TPMSocket string

	Paused   bool // do not let the CPUs run yet
	Incoming bool // wait for a saved state to be read; the CPUs do not run yet
}

// Chain is an image and those that it is a difference to, the topmost first.
type Chain []Image

// Image is one image of a chain.
type Image struct {
	Path     string
	Format   string // raw or qcow2, unless it is served
	ReadOnly bool   // of the topmost; those below are never written
	// Device tells that Path is a block device.
	Device bool
	// Export is the name that the image server has the image under, with all
	// that it stands on; empty for an image that QEMU opens itself.
	Export string
}

// Invocation is how to start QEMU.
type Invocation struct {
	Binary string
	Args   []string // without the program's name
	Files  []File   // the descriptors 3, 4, … that it is started with
	// Lines are what serial lines go to, for QEMU to open by these paths: at
	// each with .in a named pipe, and at each with .out a link to /dev/null.
	Lines []string
	// Served tells that it connects to the image server.
	Served bool
	// LinksDown are the adapters whose cable is unplugged. QEMU has no option
	// for that: set_link has to say it, over QMP, before the CPUs run.
	LinksDown []string
}

// File is a file to open, or a socket to make, for QEMU.
type File struct {
	Path   string
	Access Access
}

// Access says how a file is opened.
type Access string

// The ways to open a file.
const (
	Read      Access = "read"
	ReadWrite Access = "read-write"
	// Append creates the file, if need be, and writes at its end only.
	Append Access = "append"
	// Listen makes a stream socket that listens at the path, a socket of the
	// daemon's own that was left over there being replaced.
	Listen Access = "listen"
	// Copy is for what QEMU opens again by /proc/self/fd: the file itself where
	// QEMU's user may open it, else its content in an anonymous file (memfd).
	Copy Access = "copy"
)

// The names of sockets and files in the runtime directory.
const (
	MonitorSocket = "qmp"
	AgentSocket   = "agent"
	DisplaySocket = "vnc"
	PIDFile       = "pid"
)

// SerialPipe is the name of the pipe in the runtime directory through which a
// serial line takes what is typed.
func SerialPipe(name string) string { return serialBase(name) + ".in" }

func serialBase(name string) string { return name + ".serial" }

// The identifiers of what Panal adds to a machine, in QMP's events and commands.
const (
	AgentPort   = "panal-agent"   // VSERPORT_CHANGE
	VideoDevice = "panal-video"   // screendump
	PanicDevice = "panal-pvpanic" // GUEST_PANICKED comes from it
)
