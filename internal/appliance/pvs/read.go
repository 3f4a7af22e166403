package pvs

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/machine"
)

// config is a config.pvs, as far as it says something about hardware.
type config struct {
	XMLName     xml.Name `xml:"ParallelsVirtualMachine"`
	Version     string   `xml:"AppVersion"`
	UUID        string   `xml:"Identification>VmUuid"`
	Name        string   `xml:"Identification>VmName"`
	OS          string   `xml:"Settings>General>OsVersion"`
	Description string   `xml:"Settings>General>VmDescription"`
	EFI         string   `xml:"Settings>Startup>Bios>EfiEnabled"`
	SecureBoot  string   `xml:"Settings>Startup>Bios>EfiSecureBoot"`
	CPUs        int      `xml:"Hardware>Cpu>Number"`
	Memory      int64    `xml:"Hardware>Memory>RAM"` // MiB
	Disks       []drive  `xml:"Hardware>Hdd"`
	Opticals    []drive  `xml:"Hardware>CdRom"`
	Floppies    []drive  `xml:"Hardware>Fdd"`
	Adapters    []nic    `xml:"Hardware>NetworkAdapter"`
	Serials     []device `xml:"Hardware>Serial"`
	Parallels   []device `xml:"Hardware>Parallel"`
	Sounds      []device `xml:"Hardware>Sound"`
	PCI         []device `xml:"Hardware>GenericPciDevice"`
	TPM         *device  `xml:"Hardware>TpmChip"`
	Encryption  string   `xml:"Settings>Encryption>Enabled"`
}

type device struct {
	Enabled  string `xml:"Enabled"`
	Emulated *int   `xml:"EmulatedType"`
	Label    string `xml:"UserFriendlyName"`
}

type drive struct {
	device
	Connected string `xml:"Connected"`
	File      string `xml:"SystemName"`
	Interface int    `xml:"InterfaceType"`
	Index     int    `xml:"StackIndex"`
	Size      int64  `xml:"Size"` // MiB
}

type nic struct {
	device
	Connected string `xml:"Connected"`
	MAC       string `xml:"MAC"`
	Type      int    `xml:"AdapterType"`
	Network   string `xml:"VirtualNetworkID"`
}

// Read reads the machine of a config.pvs, and of the Snapshots.xml beside it.
func Read(files fs.FS, name string) (*appliance.Appliance, error) {
	c, data, err := readConfig(files, name)
	if err != nil {
		return nil, err
	}
	r := &reader{config: c, files: files, dir: path.Dir(name), Builder: appliance.NewBuilder(c.UUID)}
	if err := r.read(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := r.rest(data); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m := r.Finish()
	if err := r.snapshots(&m); err != nil {
		return nil, err
	}
	return &appliance.Appliance{
		Kind: appliance.KindParallels, Producer: strings.TrimSpace("Parallels Desktop " + c.Version), Name: m.Spec.Name, Machines: []appliance.Machine{m},
	}, nil
}

func readConfig(files fs.FS, name string) (*config, []byte, error) {
	data, err := appliance.ReadDescription(files, name)
	if err != nil {
		return nil, nil, err
	}
	var c config
	if err := appliance.DecodeXML(data, &c); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return &c, data, nil
}

// reader turns a configuration into a machine.
type reader struct {
	*appliance.Builder
	config *config
	files  fs.FS
	dir    string
}

func isOn(text string) bool { return strings.TrimSpace(text) == "1" }

// isConnected tells whether a device is: one of which nothing is said is.
func isConnected(text string) bool { return strings.TrimSpace(text) == "" || isOn(text) }

func (r *reader) read() error {
	c, s := r.config, r.Spec()
	if c.CPUs < 0 || c.CPUs > 4096 || c.Memory < 0 || c.Memory > 64<<20 {
		return fmt.Errorf("%d CPUs and %d MiB of memory are no hardware", c.CPUs, c.Memory)
	}
	r.Name(c.Name)
	s.UUID = strings.ToLower(strings.Trim(c.UUID, "{}"))
	s.Description = appliance.CleanText(c.Description)
	r.System(c.OS)
	r.CPUs(max(c.CPUs, 1), 0)
	s.Memory.Size = api.Size(max(c.Memory, 1)) * api.MiB
	s.Firmware.Type = api.BIOS
	if isOn(c.EFI) {
		r.UEFI(isOn(c.SecureBoot))
		r.Board(machine.BoardQ35)
	}
	if c.TPM != nil && isOn(c.TPM.Enabled) {
		r.TPM("")
	}
	for _, d := range c.Disks {
		r.drive("disk", api.Disk, d)
	}
	for _, d := range c.Opticals {
		r.drive("optical drive", api.Optical, d)
	}
	for _, d := range c.Floppies {
		r.drive("floppy drive", api.FloppyDiskette, d)
	}
	for _, n := range c.Adapters {
		r.adapter(n)
	}
	r.others()
	return nil
}

// interfaces are the kinds of controllers (PRL_MASS_STORAGE_INTERFACE_TYPE).
var interfaces = map[int]api.ControllerType{0: api.IDE, 1: api.LSILogic, 2: api.SATA, 3: api.VirtioBlk, 4: api.NVMe}

// An emulated device is an image or bundle; others are devices of the host
// (PRL_VM_DEV_EMULATION_TYPE).
const emulatedImage = 1

// drive adds a drive.
func (r *reader) drive(what string, kind api.DriveKind, d drive) {
	if !isOn(d.Enabled) {
		return
	}
	what = fmt.Sprintf("%s %d", what, d.Index)
	if d.Emulated != nil && *d.Emulated != emulatedImage && d.File != "" {
		r.Notef(what, "it was the host's device %s, which cannot be taken over", d.File)
		if kind == api.Disk {
			return
		}
		d.File = ""
	}
	var content *appliance.Disk
	if d.File != "" && isConnected(d.Connected) {
		content = r.content(what, kind, d)
	}
	if kind == api.Disk && content == nil {
		r.Notef(what, "it has no content, and is left out")
		return
	}
	controller := api.Floppy
	if kind != api.FloppyDiskette {
		known := false
		if controller, known = interfaces[d.Interface]; !known {
			controller = api.SATA
			r.Notef(what, "its interface %d is unknown; it is on SATA", d.Interface)
		}
	}
	r.Drive(kind, r.one(controller), d.Index, content)
}

// one is the machine's only controller of a kind: Parallels' have one of each.
func (r *reader) one(kind api.ControllerType) string {
	for _, c := range r.Spec().Controllers {
		if c.Type == kind {
			return c.Name
		}
	}
	return r.Controller(kind)
}

func (r *reader) content(what string, kind api.DriveKind, d drive) *appliance.Disk {
	name, found := appliance.Locate(r.files, r.dir, d.File)
	switch {
	case found && kind == api.Disk:
		return &appliance.Disk{File: name, Format: "parallels", Size: max(d.Size, 0) << 20}
	case found:
		return &appliance.Disk{File: name, Format: "raw"}
	case kind == api.Disk:
		r.Notef(what, "its file %s is not here", d.File)
		return &appliance.Disk{File: name, Format: "parallels"}
	}
	r.Notef(what, "the image %s that was in it is not here; it is empty", d.File)
	return nil
}

// models are those of network adapters (PRL_VM_NET_ADAPTER_TYPE).
var models = map[int]api.AdapterModel{1: api.AdapterRTL8139, 2: api.AdapterE1000, 3: api.AdapterVirtio, 4: api.AdapterE1000E}

// networks are what adapters were connected to (EmulatedType of an adapter).
var networks = map[int]string{0: "host-only", 1: "shared", 2: "bridged"}

func (r *reader) adapter(n nic) {
	if !isOn(n.Enabled) {
		return
	}
	model, known := models[n.Type]
	if !known {
		model = api.AdapterE1000
	}
	network := n.Network
	if n.Emulated != nil && networks[*n.Emulated] != "" {
		network = networks[*n.Emulated]
	}
	name := r.Adapter(model, n.MAC, network, isConnected(n.Connected))
	if name != "" && !known {
		r.Notef("network adapter "+name, "the model %d is unknown; Intel's 82540EM is there instead", n.Type)
	}
}

// others notes what machines do not have here.
func (r *reader) others() {
	for _, s := range r.config.Serials {
		if isOn(s.Enabled) {
			r.Serial()
		}
	}
	missing := map[string][]device{"parallel port": r.config.Parallels, "sound card": r.config.Sounds, "PCI device of the host": r.config.PCI}
	for _, what := range []string{"parallel port", "sound card", "PCI device of the host"} {
		for _, d := range missing[what] {
			if isOn(d.Enabled) {
				r.Notef(what, "machines have none here")
			}
		}
	}
	if isOn(r.config.Encryption) {
		r.Notef("encryption", "the machine is encrypted by Parallels; its disks cannot be read without it")
	}
}

// saved is a node of Snapshots.xml.
type saved struct {
	GUID        string  `xml:"guid,attr"`
	Current     string  `xml:"current,attr"`
	Name        string  `xml:"Name"`
	Description string  `xml:"Description"`
	Taken       string  `xml:"CreationDate"`
	Children    []saved `xml:"SavedStateItem"`
}

// maxDepth bounds the depth of the tree.
const maxDepth = 1000

// snapshots reads the tree, if there is one.
func (r *reader) snapshots(m *appliance.Machine) error {
	name := path.Join(r.dir, "Snapshots.xml")
	data, err := appliance.ReadDescription(r.files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var root struct {
		Items []saved `xml:"SavedStateItem"`
	}
	if err := appliance.DecodeXML(data, &root); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, item := range root.Items {
		if err := r.add(m, item, "", 0); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(m.Snapshots) > 0 {
		m.Notes = append(m.Notes, appliance.Notef("snapshots", "they have the hardware that the machine has now: what it had then is not read"))
	}
	if m.Snapshots, err = appliance.ParentsFirst(m.Snapshots); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// hold says what the disks held in a snapshot. Those that have no such state are not in its
// hardware: the machine got them later.
func (r *reader) hold(m *appliance.Machine, s *appliance.Snapshot) {
	for _, d := range m.Disks {
		if d.Format != "parallels" {
			continue
		}
		if r.hasShot(d.File, s.ID) {
			d.Snapshot = s.ID
			s.Disks = append(s.Disks, d)
			continue
		}
		s.Spec.Drives = slices.DeleteFunc(s.Spec.Drives, func(drive api.Drive) bool { return drive.Name == d.Drive })
		m.Notes = append(m.Notes, appliance.Notef("snapshot "+s.Name, "it does not say what drive %s held: a restore to it takes that drive out of the machine", d.Drive))
	}
}

// hasShot tells whether a bundle names a state. One that cannot be looked into is said to; it is
// opened later, and what is wrong with it comes out then.
func (r *reader) hasShot(bundle, guid string) bool {
	data, err := appliance.ReadDescription(r.files, path.Join(bundle, "DiskDescriptor.xml"))
	text := strings.ToLower(string(data))
	return err != nil || !strings.Contains(text, "<shot>") || strings.Contains(text, strings.ToLower(guid))
}

// add adds a snapshot and those that stand on it. A root without a GUID is the
// machine itself.
func (r *reader) add(m *appliance.Machine, s saved, parent string, depth int) error {
	if depth > maxDepth {
		return errors.New("its snapshots are nested deeper than there can be")
	}
	if s.GUID != "" {
		taken, err := time.Parse("2006-01-02 15:04:05", s.Taken)
		if err != nil {
			taken = time.Time{}
		}
		snapshot := appliance.Snapshot{
			ID: s.GUID, Parent: parent, Name: s.Name, Description: s.Description, Taken: taken, Spec: machine.Clone(m.Spec),
		}
		r.hold(m, &snapshot)
		m.Snapshots = append(m.Snapshots, snapshot)
		parent = s.GUID
		if s.Current == "yes" || s.Current == "1" {
			m.Current = s.GUID
		}
	}
	for _, child := range s.Children {
		if err := r.add(m, child, parent, depth+1); err != nil {
			return err
		}
	}
	return nil
}
