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
	// CPUFlags are the features that machines of x86_64 can have here; empty where that is not known.
	CPUFlags []string
	// NestedFlag is the feature that lets a guest run machines of its own, vmx or svm; empty where it cannot, for the reason NestedWhy.
	NestedFlag, NestedWhy string

	RuntimeDir string // absolute; QEMU's user can write in it: sockets, PID file
	LogDir     string // absolute; the logs of serial lines, as NAME.log

	// Images holds the images of the drives that have a medium, by the
	// drive's name.
	Images map[string]Chain
	// ImageSocket is the path of the image server's socket, where an image is
	// served.
	ImageSocket string
	// Keys holds the passphrases of the drives that have encrypted images, by the
	// drive's name.
	Keys     map[string][]byte
	Firmware Firmware // where the spec's firmware is UEFI, or needs a boot loader
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
	Format   string // raw, qcow2 or luks, unless it is served
	ReadOnly bool   // of the topmost; those below are never written
	// Own tells that the image is the machine's alone: where it is below others, what they
	// hold may be committed into it while the machine runs, and only then is it written.
	Own bool
	// Device tells that Path is a block device.
	Device bool
	// Encrypted tells that the content is encrypted, by LUKS.
	Encrypted bool
	// Export is the name that the image server has the image under, with all
	// that it stands on; empty for an image that QEMU opens itself.
	Export string
	// Remote tells where the image is that is no file of the host's; else nil.
	Remote *Remote
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
	// Locks tells that it locks all of its memory.
	Locks bool
}

// File is a file to open, or a socket to make, for QEMU.
type File struct {
	Path   string
	Access Access
	// Content is what an Inline file holds. It is a secret.
	Content []byte
}

// Access says how a file is opened.
type Access string

// The ways to open a file.
const (
	Read      Access = "read"
	ReadWrite Access = "read-write"
	// Claim is ReadWrite of a block device that nobody else may then claim: neither can the
	// host mount it, nor another process have claimed it.
	Claim Access = "claim"
	// Append creates the file, if need be, and writes at its end only.
	Append Access = "append"
	// Listen makes a stream socket that listens at the path, a socket of the
	// daemon's own that was left over there being replaced.
	Listen Access = "listen"
	// Copy is for what QEMU opens again by /proc/self/fd: the file itself where
	// QEMU's user may open it, else its content in an anonymous file (memfd).
	Copy Access = "copy"
	// Secret is Copy of a file with a password in one line: the content without the
	// line's end, in an anonymous file.
	Secret Access = "secret"
	// Inline is an anonymous file with File.Content; Path only says what it is.
	Inline Access = "inline"
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

	BalloonDevice = "panal-balloon" // its statistics
	MemoryDevice  = "panal-memory"  // MEMORY_DEVICE_SIZE_CHANGE, of what can be plugged in
)

const (
	// moreMemory is the backend of MemoryDevice.
	moreMemory = "panal-more-memory"
)
