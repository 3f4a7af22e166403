// Package appliance says what other programs' machines are in Panal's words.
//
//	envelope, ova.xml, .vbox, .vmx, config.pvs, domain XML …
//	        │  one package below here for each dialect
//	        ▼
//	   Appliance ── Machines ── Spec         hardware, as the daemon would be asked for it
//	        │            ├───── Disks        which drive holds which file's content
//	        │            ├───── Networks     what its adapters were connected to
//	        │            └───── Snapshots    the tree, with the disks and the spec of each
//	        ├── Properties, Licences, Deployments
//	        └── Notes                        what is not carried over, and why
//
// It is pure: descriptions come in as bytes or as an [fs.FS] of what lies
// beside them, and content is only named. Who moves content is
// internal/importer.
//
// Nothing may be dropped in silence. What a reader sees and cannot say in a
// spec, it says in a [Note].
package appliance

import (
	"fmt"
	"time"

	"github.com/panalvm/panal/api"
)

// Kind is a dialect: who described the machines.
type Kind string

// The kinds of appliances.
const (
	KindOVF        Kind = "ovf"        // a folder with an envelope, or an OVA
	KindXVA        Kind = "xva"        // XenServer, XCP-ng
	KindVirtualBox Kind = "virtualbox" // a .vbox and its folder
	KindVMware     Kind = "vmware"     // a .vmx and its folder
	KindHyperV     Kind = "hyperv"     // an exported folder
	KindParallels  Kind = "parallels"  // a .pvm bundle
	KindLibvirt    Kind = "libvirt"    // a domain's XML
	KindDisk       Kind = "disk"       // a bare disk image
)

// Appliance is what is brought in at once.
type Appliance struct {
	Kind        Kind
	Producer    string // the program that wrote it, with its version, as far as it says
	Name        string // of a collection; else that of its only machine
	Machines    []Machine
	Licences    []Licence
	Properties  []Property
	Deployments []Deployment // configurations to choose from; the first default one is chosen
	Deployment  string       // the one that Machines are described in
	Notes       []Note       // about the appliance as a whole
}

// Machine is one machine of an appliance.
type Machine struct {
	ID   string // in the appliance, such as an envelope's ovf:id
	Spec api.Spec
	// Disks has the content of drives. A drive of Spec with no entry is empty.
	// In Spec such drives have neither Source nor File.
	Disks []Disk
	// Networks maps the names of Spec's adapters to the names of the networks
	// they were connected to.
	Networks map[string]string
	// Start says when it starts among the machines of a collection.
	Start Start
	// Environment is what the guest can be told of its properties, nil if there
	// are none; its Drive is not chosen yet. Transports are the ways that the
	// description asks for, such as "iso".
	Environment *api.Environment
	Transports  []string
	// Snapshots is the tree, parents before children; Current is the ID of the
	// one that the machine's present state stands on, empty for none.
	Snapshots []Snapshot
	Current   string
	Notes     []Note
}

// Disk is where the content of a drive comes from.
type Disk struct {
	Drive string // the name of a drive of the spec
	// File is the name of the file, relative to the description, with slashes;
	// in an archive that of the member. For the disk of an XVA it is
	// the reference, such as "Ref:12". Empty for a new disk of Size.
	File string
	// Remote tells that File is the URL of another place.
	Remote bool
	// Format is what the description says of it, as disk/formats names it; empty if
	// it doesn't say. It is a hint: content decides.
	Format string
	// Snapshot is the ID of a snapshot inside of the file, where the format
	// keeps several states in one.
	Snapshot string
	Size     int64 // bytes the guest sees, 0 if the description doesn't say
	Used     int64 // bytes of content, 0 if it doesn't say
	Length   int64 // bytes of the file, or of its parts together, 0 if it doesn't say
	// Parts is the length of the parts that the content is cut into, named
	// File.000000000 and on; 0 when it is one file.
	Parts int64
	// Compression is "gzip", or empty.
	Compression string
	// Encryption is the ID of the key that the content is encrypted by, or empty.
	Encryption string
	// Parents are the files that this one is the difference to, the nearest
	// first, where the description says so; formats with parents of their own
	// find them by themselves.
	Parents []string
}

// Start is when a machine of a collection starts and stops.
type Start struct {
	Order      int           // lower starts earlier; those of one order start together
	Delay      time.Duration // before the next order
	WaitGuest  bool          // the next order may begin as soon as the guest is up
	NoStart    bool          // it is not started with the others
	StopAction string        // "powerOff", "guestShutdown", "suspend", or empty
}

// Snapshot is a former state of a machine.
type Snapshot struct {
	ID          string // unique in the machine
	Parent      string // ID, empty for a root
	Name        string
	Description string
	Taken       time.Time // zero if unknown
	Spec        api.Spec  // the hardware at that time
	Disks       []Disk    // the content of Spec's drives at that time
	// Memory is the file of the memory's content, if the machine ran. No other
	// program's memory can be taken over: it is for the note only.
	Memory string
}

// Licence is a text that must be agreed to.
type Licence struct {
	Machine string // ID of the machine it is for; empty for all
	Text    string
}

// Property is a value that the user may give to an appliance.
type Property struct {
	Key         string // class.key.instance, as the user writes it
	Machine     string // ID of the machine it is for; empty for all
	Category    string
	Label       string
	Description string
	Type        string   // "string", "boolean", "uint8" …, as OVF names them
	Choices     []string // allowed values; empty for any of the type
	Minimum     string   // as the qualifier says; empty for none
	Maximum     string
	Default     string
	Value       string // what is chosen: the default, or what the user gave
	Required    bool   // it has no usable default
	Secret      bool   // not to be shown or logged
	Fixed       bool   // not to be changed by the user
}

// Deployment is a configuration to choose from.
type Deployment struct {
	ID          string
	Label       string
	Description string
	Default     bool
}

// Note is something that is not carried over, or not as it was.
type Note struct {
	Subject string // what it is about: "USB controller", "network adapter 2"
	Text    string // what was done instead and why, as the rest of a sentence
}

// String is the note in one line.
func (n Note) String() string { return n.Subject + ": " + n.Text }

// Notef makes a note.
func Notef(subject, format string, args ...any) Note {
	return Note{Subject: subject, Text: fmt.Sprintf(format, args...)}
}

// Choices are what the user decides before a description is read.
type Choices struct {
	Deployment string            // the ID of a configuration; empty for the default
	Properties map[string]string // by key
	Locale     string            // such as "de-DE", for texts in several languages; empty for the first
}
