package hyperv

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/machine"
)

// machinesDir is where an export has the description of its machine.
const machinesDir = "Virtual Machines"

// Root is the folder of the export that a description at a path belongs to: the
// one around "Virtual Machines", or else its own.
func Root(dir string) string {
	if strings.EqualFold(path.Base(dir), machinesDir) {
		return path.Dir(dir)
	}
	return dir
}

// Find finds the descriptions of machines in a folder that was exported to;
// there are none in another folder.
func Find(files fs.FS) []string {
	var found []string
	for _, dir := range []string{".", machinesDir} {
		entries, err := fs.ReadDir(files, dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			if isDescription(files, name) {
				found = append(found, name)
			}
		}
	}
	return found
}

// isDescription tells whether a file is a machine's description: by its name,
// and an XML by its content.
func isDescription(files fs.FS, name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".vmcx":
		return true
	case ".xml":
		data, err := appliance.ReadDescription(files, name)
		return err == nil && IsXML(data)
	}
	return false
}

// IsXML tells whether a document is one of Hyper-V's.
func IsXML(data []byte) bool {
	var root struct {
		XMLName xml.Name `xml:"configuration"`
		Name    string   `xml:"properties>name"`
	}
	return appliance.DecodeXML(data, &root) == nil && root.Name != ""
}

// Read reads a machine of an export and its checkpoints. The files are those
// of the export's folder; name is the description in it.
func Read(files fs.FS, name string) (*appliance.Appliance, error) {
	config, logged, err := readConfig(files, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if config.child("settings") == nil && config.text("properties", "name") == "" {
		return nil, fmt.Errorf("%s: it says nothing of a machine's hardware: it is the state of one, or damaged", name)
	}
	m, err := readMachine(files, name, config, config.text("properties", "name"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if logged {
		m.Notes = append(m.Notes, appliance.Notef("description", "Hyper-V had not finished writing it: its last changes are not read"))
	}
	if err := readSnapshots(files, config, &m); err != nil {
		return nil, err
	}
	return &appliance.Appliance{
		Kind: appliance.KindHyperV, Producer: producer(config), Name: m.Spec.Name, Machines: []appliance.Machine{m},
	}, nil
}

// producer is Hyper-V with the version of the configuration: 0x500 is 5.0.
func producer(config *node) string {
	version, err := config.number(0, "properties", "version")
	if err != nil || version <= 0 {
		return "Hyper-V"
	}
	return fmt.Sprintf("Hyper-V, configuration version %d.%d", version>>8, version&0xff)
}

// readConfig reads a configuration in either form.
func readConfig(files fs.FS, name string) (config *node, logged bool, err error) {
	data, err := appliance.ReadDescription(files, name)
	if err != nil {
		return nil, false, err
	}
	if isStorage(data) {
		root, logged, err := readStorage(data)
		if err != nil {
			return nil, false, err
		}
		if config = root.child("configuration"); config == nil {
			return nil, false, errors.New("it has no configuration")
		}
		return config, logged, nil
	}
	var root element
	if err := appliance.DecodeXML(data, &root); err != nil {
		return nil, false, err
	}
	if !strings.EqualFold(root.XMLName.Local, "configuration") {
		return nil, false, fmt.Errorf("it is a <%.40s> and no configuration of Hyper-V's", root.XMLName.Local)
	}
	config, err = root.tree(0)
	return config, false, err
}

// reader turns a configuration into a machine.
type reader struct {
	*appliance.Builder
	config *node
	files  fs.FS
	second bool // generation 2
}

func readMachine(files fs.FS, name string, config *node, title string) (appliance.Machine, error) {
	stem := strings.TrimSuffix(path.Base(name), path.Ext(name))
	r := &reader{Builder: appliance.NewBuilder(stem), config: config, files: files}
	if title == "" {
		title = stem
	}
	r.Name(title)
	s := r.Spec()
	s.UUID = strings.ToLower(strings.Trim(config.find("bios_guid").text(), "{}"))
	if s.UUID == "" {
		s.UUID = strings.ToLower(config.text("properties", "global_id"))
	}
	s.Description = appliance.CleanText(r.notes())
	r.platform()
	if err := r.processors(); err != nil {
		return appliance.Machine{}, err
	}
	if err := r.memory(); err != nil {
		return appliance.Machine{}, err
	}
	r.devices()
	r.state(stem)
	r.rest()
	return r.Finish(), nil
}

// notes are what the user wrote about the machine.
func (r *reader) notes() string {
	if text := r.config.text("properties", "notes"); text != "" {
		return text
	}
	return r.config.find("notes").text()
}

// platform reads the generation: firmware, and with it the board.
func (r *reader) platform() {
	r.second = r.config.text("properties", "subtype") == "1"
	s := r.Spec()
	s.Firmware.Type = api.BIOS
	if r.second {
		secure := r.config.find("secure_boot_enabled")
		r.UEFI(secure.isOn())
		if secure == nil {
			r.Notef("secure boot", "the description does not say whether it was on; it is off")
		}
		r.Board(machine.BoardQ35)
	}
	if r.config.find("tpm_enabled").isOn() {
		r.TPM("")
	}
	switch first := r.config.find("boot").text("device0"); strings.ToLower(first) {
	case "", "harddrive", "default", "optical":
	default:
		r.Notef("boot order", "it began with %s; here disks, optical drives and adapters are tried in this order", first)
	}
}

func (r *reader) processors() error {
	cpu := r.config.child("settings", "processors")
	count, err := cpu.number(1, "count")
	if err != nil {
		return err
	}
	if count < 1 || count > 4096 {
		return fmt.Errorf("%d CPUs are no hardware", count)
	}
	r.CPUs(int(count), 0)
	for _, setting := range []struct{ key, usual, what string }{
		{"limit", "100000", "limit"}, {"reservation", "0", "reservation"}, {"weight", "100", "weight"},
	} {
		if value := cpu.text(setting.key); value != "" && value != setting.usual {
			r.Notef("CPU", "the %s of %s is not taken over", setting.what, value)
		}
	}
	return nil
}

// maxMemory is more memory, in MiB, than any machine has.
const maxMemory = 64 << 20

func (r *reader) memory() error {
	bank := r.config.child("settings", "memory", "bank")
	size, err := bank.number(512, "size")
	if err != nil {
		return err
	}
	if size < 1 || size > maxMemory {
		return fmt.Errorf("%d MiB of memory are no hardware", size)
	}
	r.Spec().Memory.Size = api.Size(size) * api.MiB
	if bank.isOn("dynamic_memory_enabled") {
		least, most := bank.text("reservation"), bank.text("limit")
		bounds := ""
		if least != "" && most != "" {
			bounds = fmt.Sprintf(", between %s and %s MiB", least, most)
		}
		r.Notef("memory", "it was dynamic%s; here it has the %d MiB that it started with", bounds, size)
	}
	return nil
}

// state notes a saved state.
func (r *reader) state(id string) {
	for _, name := range []string{path.Join(machinesDir, id, id+".vsv"), path.Join(id, id+".vsv")} {
		if _, err := fs.Stat(r.files, name); err == nil {
			r.Notef("saved state", "the machine ran, or was saved; what it had in memory cannot be taken over, and it starts anew")
			return
		}
	}
}
