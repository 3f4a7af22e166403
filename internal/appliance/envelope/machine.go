package envelope

import (
	"errors"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/vbox"
	"github.com/panalvm/panal/ovf"
)

// machine reads one machine.
func (r *reader) machine(system *ovf.VirtualSystem) (appliance.Machine, error) {
	hw := ovf.First[*ovf.VirtualHardwareSection](system.Sections)
	if hw == nil {
		return appliance.Machine{}, errors.New("it has no VirtualHardwareSection")
	}
	b := &builder{reader: r, Builder: appliance.NewBuilder(system.ID), hardware: hw}
	b.title(system)
	b.describe(system)
	b.operatingSystem(system)
	b.firmware()
	if raw := system.VirtualBoxMachine(); raw != nil {
		text, err := raw.XML()
		if err != nil {
			return appliance.Machine{}, err
		}
		if err := vbox.Platform(text, b.Builder); err != nil {
			return appliance.Machine{}, err
		}
	}
	if err := b.items(); err != nil {
		return appliance.Machine{}, err
	}
	b.otherSections(system)
	return b.Finish(), nil
}

// builder puts one machine together.
type builder struct {
	*appliance.Builder
	*reader
	hardware    *ovf.VirtualHardwareSection
	controllers map[string]place // by instance ID
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
	if name == "" {
		return
	}
	b.Spec().Labels = map[string]string{"os": name}
	if strings.HasPrefix(strings.ToLower(name), "win") || strings.Contains(strings.ToLower(name), "microsoft windows") {
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
	if s := ovf.First[*ovf.BootDeviceSection](system.Sections); s != nil {
		b.notef("boot order", "disks, optical drives and adapters are tried in this order, not in that of the description")
	}
	for range ovf.All[*ovf.ResourceAllocationSection](system.Sections) {
		b.notef("resources", "reservations and limits of collections are not taken over")
	}
	if s := ovf.First[*ovf.EnvironmentFilesSection](system.Sections); s != nil {
		b.notef("environment files", "they are not handed to the guest")
	}
}
