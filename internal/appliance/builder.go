package appliance

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
)

// Builder puts a machine together, in the order of the description that is
// being read. What does not fit is moved or left out, and a note says so.
type Builder struct {
	m          Machine
	board      machine.Board // empty until the description decides
	controller map[api.ControllerType]int
	left       int // drives that are left out
	boot       []string
	bootRest   bool // the others are tried after those of boot
}

// NewBuilder begins a machine by its ID in the appliance. It has one CPU,
// no adapters and no serial lines until they are added.
func NewBuilder(id string) *Builder {
	b := &Builder{controller: map[api.ControllerType]int{}}
	b.m.ID = id
	b.m.Networks = map[string]string{}
	b.m.Spec.Architecture = api.X8664
	b.m.Spec.Adapters = []api.Adapter{}
	b.m.Spec.Serials = []api.Serial{}
	return b
}

// Spec is what has been put together so far, to be added to. Controllers, drives and
// adapters are added by the builder's methods.
func (b *Builder) Spec() *api.Spec { return &b.m.Spec }

// Machine is the machine so far, for what is no hardware.
func (b *Builder) Machine() *Machine { return &b.m }

// Notef adds a note.
func (b *Builder) Notef(subject, format string, args ...any) {
	b.m.Notes = append(b.m.Notes, Notef(subject, format, args...))
}

// SubjectName is the subject of notes about a machine's name.
const SubjectName = "name"

// Name gives the machine the nearest name that a machine can have.
func (b *Builder) Name(name string) {
	b.m.Spec.Name = CleanName(name)
	if b.m.Spec.Name != name {
		b.Notef(SubjectName, "%q cannot be a machine's name here; it is called %q", name, b.m.Spec.Name)
	}
}

// maxText and maxLabel are how long, in bytes, a description and a label's
// value can be.
const (
	maxText  = 16 << 10
	maxLabel = 255
)

// CleanText is a text as a description can hold it: without control
// characters, and not too long.
func CleanText(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "�"), "\r\n", "\n")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
	return shorten(strings.TrimSpace(text), maxText)
}

// CleanLabel is a text as the value of a label.
func CleanLabel(text string) string {
	return shorten(strings.Join(strings.Fields(CleanText(text)), " "), maxLabel)
}

// shorten cuts a text behind a whole character.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// maxName is how many characters a machine's name can have.
const maxName = 63

// CleanName returns the nearest name that a machine can have.
func CleanName(name string) string {
	var allowed strings.Builder
	for _, r := range strings.TrimSpace(name) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" ._-+()@", r) {
			allowed.WriteRune(r)
		} else {
			allowed.WriteByte('-')
		}
	}
	runes := []rune(strings.TrimLeft(allowed.String(), " ._-+()@"))
	if len(runes) > maxName {
		runes = runes[:maxName]
	}
	clean := strings.TrimSpace(string(runes))
	if _, err := uuid.Parse(clean); err == nil {
		return "machine " + clean // by itself it would mean the machine of that UUID
	}
	return cmp.Or(clean, "machine")
}

// CPUs sets the number of CPUs, and the cores of a socket where the
// description says it; 0 where it does not.
func (b *Builder) CPUs(count, cores int) {
	b.m.Spec.CPU.Count = count
	switch {
	case cores <= 0 || count <= 0:
	case count%cores != 0:
		b.Notef("CPU", "%d CPUs are no whole number of sockets of %d cores; the topology is left to Panal", count, cores)
	default:
		b.m.Spec.CPU.Sockets, b.m.Spec.CPU.Cores, b.m.Spec.CPU.Threads = count/cores, cores, 1
	}
}

// LimitCPU bounds the CPU time of the machine, in MHz. It returns false for what is no limit.
func (b *Builder) LimitCPU(megahertz int64) bool {
	limit := api.CPUTime(strconv.FormatInt(megahertz, 10) + "MHz")
	if _, _, err := limit.Parse(); err != nil {
		return false
	}
	b.m.Spec.CPU.Limit = limit
	return true
}

// Threads says how many of a socket's CPUs are threads of one core.
func (b *Builder) Threads(threads int) {
	cpu := &b.m.Spec.CPU
	switch {
	case threads <= 1:
	case cpu.Cores == 0 || cpu.Cores%threads != 0:
		b.Notef("CPU", "%d threads of a core do not fit its sockets; the topology is left to Panal", threads)
	default:
		cpu.Cores, cpu.Threads = cpu.Cores/threads, threads
	}
}

// TPM gives the machine a TPM, of version 2.0 unless it is another.
func (b *Builder) TPM(version string) {
	b.m.Spec.TPM = &api.TPM{Version: cmp.Or(version, "2.0")}
	b.Notef("TPM", "it is a new one: what the old one kept (BitLocker's key, for one) cannot be taken over")
}

// UEFI gives the machine UEFI, with variables of its own.
func (b *Builder) UEFI(secureBoot bool) {
	b.m.Spec.Firmware = api.Firmware{Type: api.UEFI, SecureBoot: secureBoot}
	b.Notef("firmware variables", "boot entries and keys are not taken over; boot entries are found anew")
}

// Board says what the machine is built on, where the description tells.
func (b *Builder) Board(board machine.Board) { b.board = board }

// Controller adds a controller and returns its name, for [Builder.Drive]. There is one
// of IDE at most, with four ports: the two of each channel. Adding it again returns it again.
func (b *Builder) Controller(kind api.ControllerType) string {
	if n := b.controller[kind]; n > 0 && (kind == api.IDE || kind == api.Floppy || kind == api.USB || kind == api.VirtioBlk) {
		return controllerName(kind, 0)
	}
	name := controllerName(kind, b.controller[kind])
	b.controller[kind]++
	b.m.Spec.Controllers = append(b.m.Spec.Controllers, api.Controller{Name: name, Type: kind})
	return name
}

func controllerName(kind api.ControllerType, n int) string {
	return machine.ControllerPrefix(kind) + strconv.Itoa(n)
}

// maxDrives is how many drives are taken from a description: more than there is
// room for in any machine.
const maxDrives = 256

// Drive adds a drive on a port of a controller that was added, and the content
// that it has; its Drive is filled in, and nil
// leaves the drive empty. A negative port is any. It returns the drive's name. A
// drive too many is left out, and its name is empty.
func (b *Builder) Drive(kind api.DriveKind, controller string, port int, content *Disk) string {
	if n := len(b.m.Spec.Drives); n >= maxDrives {
		if b.left++; b.left == 1 {
			b.Notef("drives", "a machine has %d at most; the others are left out", maxDrives)
		}
		return ""
	}
	drive := api.Drive{Kind: kind, Controller: controller, Name: b.driveName(kind)}
	if port >= 0 {
		drive.Port = &port
	}
	drive.Mode = api.Own
	if kind == api.Optical {
		drive.Mode = api.ReadOnly
	}
	if content != nil {
		if kind == api.Disk {
			drive.Size = sectors(content.Size)
		}
		content.Drive = drive.Name
		b.m.Disks = append(b.m.Disks, *content)
	}
	b.m.Spec.Drives = append(b.m.Spec.Drives, drive)
	return drive.Name
}

// SSD tells the guest that a drive does not rotate.
func (b *Builder) SSD(drive string) {
	b.change(drive, func(d *api.Drive) { d.SSD = true })
}

// Writes says what becomes of what is written to a disk.
func (b *Builder) Writes(drive string, mode api.WriteMode) {
	b.change(drive, func(d *api.Drive) { d.WriteMode = mode })
}

func (b *Builder) change(drive string, change func(*api.Drive)) {
	for i := range b.m.Spec.Drives {
		if b.m.Spec.Drives[i].Name == drive {
			change(&b.m.Spec.Drives[i])
		}
	}
}

// sectors is a size in whole sectors. One that has no room for that is left as
// it is, to be refused as too large.
func sectors(size int64) api.Size {
	if size > math.MaxInt64-511 {
		return api.Size(size)
	}
	return api.Size((size + 511) &^ 511)
}

func (b *Builder) driveName(kind api.DriveKind) string {
	prefix := map[api.DriveKind]string{api.Disk: "disk", api.Optical: "optical", api.FloppyDiskette: "diskette"}[kind]
	n := 0
	for _, d := range b.m.Spec.Drives {
		if d.Kind == kind {
			n++
		}
	}
	return prefix + strconv.Itoa(n)
}

// Adapter adds a network adapter, connected to a network of a name, and
// returns its name. MAC may be empty, or written in any of the usual ways. An
// adapter too many is left out, and its name is empty.
func (b *Builder) Adapter(model api.AdapterModel, mac, network string, connected bool) string {
	if n := len(b.m.Spec.Adapters); n == machine.MaxAdapters {
		b.Notef("network adapter", "a machine has %d at most; the one on %q is left out", n, network)
		return ""
	}
	a := api.Adapter{Name: "net" + strconv.Itoa(len(b.m.Spec.Adapters)), Model: model, Network: "user"}
	if !connected {
		a.Network = "none"
	}
	b.m.Spec.Adapters = append(b.m.Spec.Adapters, a)
	b.MAC(len(b.m.Spec.Adapters)-1, mac)
	b.m.Networks[a.Name] = network
	return a.Name
}

// MAC gives an adapter its address, written in any of the usual ways, unless it is empty or the
// adapter has one.
func (b *Builder) MAC(adapter int, mac string) {
	a := &b.m.Spec.Adapters[adapter]
	if mac == "" || a.MAC != "" {
		return
	}
	clean, ok := cleanMAC(mac)
	switch {
	case ok && !b.hasMAC(clean):
		a.MAC = clean
	case ok:
		b.Notef("network adapter "+a.Name, "%s is the address of another one already; it gets a new one", clean)
	default:
		b.Notef("network adapter "+a.Name, "%q is no MAC address that an adapter can have; it gets a new one", mac)
	}
}

func (b *Builder) hasMAC(mac string) bool {
	return slices.ContainsFunc(b.m.Spec.Adapters, func(a api.Adapter) bool { return a.MAC == mac })
}

// cleanMAC writes a MAC address as Panal does; false for what is none, or is
// of a group.
func cleanMAC(mac string) (string, bool) {
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(":-. ", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, mac)
	value, err := strconv.ParseUint(digits, 16, 48)
	if err != nil || len(digits) != 12 || value == 0 || value>>40&1 != 0 {
		return "", false
	}
	pairs := make([]string, 0, 6)
	for i := 0; i < 12; i += 2 {
		pairs = append(pairs, digits[i:i+2])
	}
	return strings.Join(pairs, ":"), true
}

// What stands for all devices of a kind in a boot order.
const (
	BootDisks    = "(disks)"
	BootOptical  = "(optical drives)"
	BootFloppies = "(floppy drives)"
	BootNetwork  = "(adapters)"
)

// BootOrder says what the firmware tries, in order: names of drives and adapters, and
// the kinds above. Empty words are left out. With rest, what is not named is tried
// after it; otherwise it isn't tried.
func (b *Builder) BootOrder(order []string, rest bool) { b.boot, b.bootRest = order, rest }

// chooseBootOrder puts names in the place of kinds.
func (b *Builder) chooseBootOrder() {
	var order []string
	add := func(name string) {
		if name != "" && !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	kinds := map[string]api.DriveKind{BootDisks: api.Disk, BootOptical: api.Optical, BootFloppies: api.FloppyDiskette}
	for _, word := range b.boot {
		kind, isKind := kinds[word]
		for _, d := range b.m.Spec.Drives {
			if isKind && d.Kind == kind || !isKind && d.Name == word {
				add(d.Name)
			}
		}
		for _, a := range b.m.Spec.Adapters {
			if word == BootNetwork || a.Name == word {
				add(a.Name)
			}
		}
	}
	usual := machine.BootOrder(b.m.Spec)
	if b.bootRest {
		for _, name := range usual {
			add(name)
		}
	}
	if !slices.Equal(order, usual) {
		b.m.Spec.Boot.Order = order
	}
}

// Serial adds a serial line, if there is room for it.
func (b *Builder) Serial() {
	if n := len(b.m.Spec.Serials); n == machine.MaxSerials {
		b.Notef("serial line", "a machine has %d at most; one is left out", n)
		return
	}
	b.m.Spec.Serials = append(b.m.Spec.Serials, api.Serial{Name: "serial" + strconv.Itoa(len(b.m.Spec.Serials))})
}

// Finish chooses a board, finds places for drives whose ports there are not,
// and returns the machine.
func (b *Builder) Finish() Machine {
	b.chooseBoard()
	b.trimControllers()
	for i := range b.m.Spec.Drives {
		b.settle(&b.m.Spec.Drives[i])
	}
	b.chooseBootOrder()
	return b.m
}

// chooseBoard takes what the description said, or else the one that most
// programs' machines are built on: Intel's 440FX family. Secure boot needs
// the other one.
func (b *Builder) chooseBoard() {
	s := &b.m.Spec
	if s.Architecture != api.X8664 {
		b.board = machine.BoardsOf(s.Architecture)[0]
	}
	if b.board == machine.BoardOther {
		b.board = machine.BoardPC
	}
	if s.Firmware.SecureBoot && b.board == machine.BoardPC {
		b.board = machine.BoardQ35
	}
	s.MachineType = string(b.board)
}

// trimControllers turns controllers that the board does not have into ones
// that it has.
func (b *Builder) trimControllers() {
	for i := range b.m.Spec.Controllers {
		c := &b.m.Spec.Controllers[i]
		if machine.PortsOf(b.board, c.Type) > 0 {
			continue
		}
		gone := *c
		b.m.Spec.Controllers = slices.Delete(b.m.Spec.Controllers, i, i+1)
		b.moveDrives(gone)
		b.trimControllers()
		return
	}
}

// moveDrives moves the drives of a controller that the board does not have to
// one that it has.
func (b *Builder) moveDrives(gone api.Controller) {
	now := ""
	for i := range b.m.Spec.Drives {
		drive := &b.m.Spec.Drives[i]
		if drive.Controller != gone.Name {
			continue
		}
		if now == "" {
			instead := machine.PreferredController(b.board)
			b.Notef(string(gone.Type)+" controller", "the %s board, which this machine needs, has none; its drives are on %s instead", b.board, instead)
			now = b.Controller(instead)
		}
		drive.Controller = now
	}
}

// settle moves a drive to a free port if it has none that there is, or has that
// of a drive before it.
func (b *Builder) settle(drive *api.Drive) {
	if drive.Controller == "" {
		return // Panal chooses
	}
	kind := b.kindOf(drive.Controller)
	ports := machine.PortsOf(b.board, kind)
	if drive.Port != nil && *drive.Port < ports && !b.takenBefore(drive) {
		return
	}
	name, port := b.freePort(drive, kind, ports)
	if name == "" {
		b.Notef("drive "+drive.Name, "%s has no port left for it; Panal chooses a place", drive.Controller)
		drive.Controller, drive.Port = "", nil
		return
	}
	if drive.Port != nil {
		b.Notef("drive "+drive.Name, "%s has no free port %d; it is on port %d of %s", drive.Controller, *drive.Port, port, name)
	}
	drive.Controller, drive.Port = name, &port
}

// freePort finds a free port: on the drive's controller, on another of the
// same kind, or on one that it adds.
func (b *Builder) freePort(drive *api.Drive, kind api.ControllerType, ports int) (string, int) {
	names := []string{drive.Controller}
	for _, c := range b.m.Spec.Controllers {
		if c.Type == kind && c.Name != drive.Controller {
			names = append(names, c.Name)
		}
	}
	for _, name := range names {
		for port := range ports {
			if !b.taken(drive, name, port) {
				return name, port
			}
		}
	}
	if ports > 0 && len(b.m.Spec.Controllers) < machine.MaxControllers {
		if name := b.Controller(kind); !slices.Contains(names, name) {
			return name, 0
		}
	}
	return "", 0
}

// takenBefore tells whether a drive before this one has its port.
func (b *Builder) takenBefore(drive *api.Drive) bool {
	for i := range b.m.Spec.Drives {
		d := &b.m.Spec.Drives[i]
		if d == drive {
			return false
		}
		if d.Controller == drive.Controller && d.Port != nil && *d.Port == *drive.Port {
			return true
		}
	}
	return false
}

func (b *Builder) taken(besides *api.Drive, controller string, port int) bool {
	for i := range b.m.Spec.Drives {
		d := &b.m.Spec.Drives[i]
		if d != besides && d.Controller == controller && d.Port != nil && *d.Port == port {
			return true
		}
	}
	return false
}

func (b *Builder) kindOf(controller string) api.ControllerType {
	for _, c := range b.m.Spec.Controllers {
		if c.Name == controller {
			return c.Type
		}
	}
	return ""
}
