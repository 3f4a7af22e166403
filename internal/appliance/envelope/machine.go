package envelope

import (
	"errors"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/vbox"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/ovf"
)

// machine reads one machine.
func (r *reader) machine(system *ovf.VirtualSystem) (appliance.Machine, error) {
	hw := ovf.First[*ovf.VirtualHardwareSection](system.Sections)
	if hw == nil {
		return appliance.Machine{}, errors.New("it has no VirtualHardwareSection")
	}
	b := &builder{reader: r, Builder: appliance.NewBuilder(system.ID), hardware: hw, own: ownSettings(system, hw)}
	b.platform(b.own)
	b.title(system)
	b.describe(system)
	b.operatingSystem(system)
	b.firmware()
	var section []byte
	if raw := system.VirtualBoxMachine(); raw != nil {
		var err error
		if section, err = raw.XML(); err != nil {
			return appliance.Machine{}, err
		}
		if err := vbox.Platform(section, b.Builder); err != nil {
			return appliance.Machine{}, err
		}
	}
	if err := b.items(); err != nil {
		return appliance.Machine{}, err
	}
	if section != nil {
		before := len(b.Machine().Notes)
		if err := vbox.Beside(section, b.Builder); err != nil {
			return appliance.Machine{}, err
		}
		b.onlyOnce(before)
	}
	b.otherSections(system)
	b.rest(system)
	m := b.Machine()
	*m = b.Finish()
	m.Spec = b.apply(m.Spec, b.own)
	m.Environment, m.Transports = b.environment(system.ID), hw.Transport
	return *m, nil
}

// besideItems are what both items and VirtualBox's section tell of, by what the section calls it.
var besideItems = map[string]ovf.ResourceType{"sound card": ovf.SoundCard, "USB controller": ovf.USBController, "parallel port": ovf.ParallelPort}

// onlyOnce takes back what VirtualBox's section told, from a note on, of devices that are items too,
// which were told as such.
func (b *builder) onlyOnce(from int) {
	m := b.Machine()
	m.Notes = slices.DeleteFunc(m.Notes, func(n appliance.Note) bool {
		kind := besideItems[n.Subject]
		return kind != 0 && slices.Contains(m.Notes[from:], n) &&
			slices.ContainsFunc(b.hardware.Items, func(i ovf.Item) bool {
				return i.ResourceType == kind && !slices.Contains([]string{"min", "max"}, i.Bound)
			})
	})
}

// environment is what the guest can be told of its properties.
func (b *builder) environment(id string) *api.Environment {
	env := b.env.Environment(id, b.values)
	if env == nil || len(b.out.Properties) == 0 {
		return nil
	}
	out := &api.Environment{ID: env.ID, Properties: byKey(env.Properties)}
	for _, other := range env.Entities {
		out.Entities = append(out.Entities, api.Entity{Name: other.ID, Properties: byKey(other.Properties)})
	}
	for _, p := range b.out.Properties {
		if p.Secret && !slices.Contains(out.Secrets, p.Key) {
			out.Secrets = append(out.Secrets, p.Key)
		}
	}
	return out
}

func byKey(list []ovf.EnvironmentProperty) map[string]string {
	properties := map[string]string{}
	for _, p := range list {
		properties[p.Key] = p.Value
	}
	return properties
}

// builder puts one machine together.
type builder struct {
	*appliance.Builder
	*reader
	hardware    *ovf.VirtualHardwareSection
	own         []setting         // Panal's
	controllers map[string]place  // by instance ID
	named       map[string]string // drives and adapters, by instance ID
	screens     int
}

// notef notes something of the machine.
func (b *builder) notef(subject, format string, args ...any) {
	b.Builder.Notef(subject, format, args...)
}

// title names the machine.
func (b *builder) title(system *ovf.VirtualSystem) {
	identifier := ""
	if b.hardware.System != nil {
		identifier = b.hardware.System.Identifier
	}
	b.Name(first(b.text.Text(system.Title), identifier, system.ID))
}

// describe collects what is written about the machine.
func (b *builder) describe(system *ovf.VirtualSystem) {
	var parts []string
	for s := range ovf.All[*ovf.ProductSection](system.Sections) {
		product := strings.TrimSpace(b.text.Text(s.Product) + " " + first(b.text.Text(s.FullVersion), b.text.Text(s.Version)))
		if vendor := b.text.Text(s.Vendor); product != "" && vendor != "" {
			product += " (" + vendor + ")"
		}
		if product != "" {
			parts = append(parts, product)
		}
	}
	for s := range ovf.All[*ovf.AnnotationSection](system.Sections) {
		parts = append(parts, b.text.Text(s.Annotation))
	}
	if s := b.hardware.System; s != nil {
		for _, note := range s.Notes {
			parts = append(parts, b.text.Text(note))
		}
	}
	b.Spec().Description = appliance.CleanText(strings.Join(parts, "\n\n"))
}

// operatingSystem says what runs in the machine, in the name that the program
// has for it that wrote the descriptor.
func (b *builder) operatingSystem(system *ovf.VirtualSystem) {
	s := ovf.First[*ovf.OperatingSystemSection](system.Sections)
	if s == nil {
		return
	}
	name := appliance.CleanLabel(first(s.VMwareType(), s.VirtualBoxType(), b.text.Text(s.Description)))
	if name == "other" { // which says nothing
		return
	}
	b.System(name)
	if appliance.IsWindows(name) {
		b.Spec().RTC.Base = "localtime"
	}
}

// firmware reads VMware's settings.
func (b *builder) firmware() {
	s := b.Spec()
	s.Firmware.Type = api.BIOS
	if value, _ := ovf.ConfigValue(b.hardware.Extra, "firmware"); strings.EqualFold(value, "efi") {
		secure, _ := ovf.ConfigValue(b.hardware.Extra, "bootOptions.efiSecureBootEnabled")
		b.UEFI(strings.EqualFold(secure, "true"))
	}
	if value, said := ovf.ConfigValue(b.hardware.Extra, "motherboardLayout"); said {
		b.Board(map[bool]machine.Board{true: machine.BoardPC, false: machine.BoardQ35}[strings.EqualFold(value, "i440bxHostBridge")])
	}
	b.xen()
	families := strings.Join(b.hardware.SystemTypes(), " ")
	if strings.Contains(families, "vmx-") {
		s.Display.Video = "vmware"
	}
}

// otherSections notes what other sections ask for.
func (b *builder) otherSections(system *ovf.VirtualSystem) {
	if s := ovf.First[*ovf.InstallSection](system.Sections); s != nil {
		b.notef("installation", "it is to be started once to install its software, and stops then; nothing here starts it for that")
	}
	b.bootOrder(system)
	if s := ovf.First[*ovf.EnvironmentFilesSection](system.Sections); s != nil {
		b.notef("environment files", "they are not handed to the guest")
	}
}
