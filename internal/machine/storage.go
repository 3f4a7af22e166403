package machine

import (
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
)

// completeStorage gives every drive a name, a kind, a mode, a controller and a
// port, and makes the controllers that are wanted and missing.
func completeStorage(s *api.Spec) {
	nameControllers(s)
	for i := range s.Drives {
		completeDrive(s, i)
	}
	st := &storage{spec: s, board: BoardOf(s.Architecture, s.MachineType)}
	st.makeNamed()
	st.placeAll()
}

func nameControllers(s *api.Spec) {
	for i := range s.Controllers {
		trait, known := controllerTraits[s.Controllers[i].Type]
		if s.Controllers[i].Name == "" && known {
			s.Controllers[i].Name = unusedName(trait.prefix, taken(s))
		}
		s.Controllers[i].Hardware = hardwareOf(s.Controllers[i])
	}
}

func hasController(s *api.Spec) func(string) bool {
	return func(name string) bool {
		return slices.ContainsFunc(s.Controllers, func(c api.Controller) bool { return c.Name == name })
	}
}

func completeDrive(s *api.Spec, i int) {
	drive := &s.Drives[i]
	if drive.Kind == "" {
		drive.Kind = kindOf(s, *drive)
	}
	if drive.Name == "" {
		drive.Name = unusedName(drivePrefix(drive.Kind), taken(s))
	}
	setDefault(&drive.Mode, defaultMode(*drive))
	switch {
	case drive.Kind == api.Optical:
		setDefault(&drive.Mode, api.ReadOnly)
	case drive.Source == "":
		setDefault(&drive.Mode, api.Own) // a new image is the machine's own
	default:
		setDefault(&drive.Mode, api.Overlay)
	}
}

// drivePrefix begins the default names of drives; it is none of a controller's.
func drivePrefix(kind api.DriveKind) string {
	switch kind {
	case api.Optical:
		return "optical"
	case api.FloppyDiskette:
		return "diskette"
	}
	return "disk"
}

// kindOf guesses what sort of medium a drive takes.
func kindOf(s *api.Spec, drive api.Drive) api.DriveKind {
	if kind, _ := typeOfController(s, drive.Controller); kind == api.Floppy {
		return api.FloppyDiskette
	}
	if strings.HasSuffix(strings.ToLower(drive.Source), ".iso") {
		return api.Optical
	}
	return api.Disk
}

// typeOfController returns the type of a controller that is there, or that its
// name stands for.
func typeOfController(s *api.Spec, name string) (api.ControllerType, bool) {
	for _, c := range s.Controllers {
		if c.Name == name {
			return c.Type, true
		}
	}
	return typeOfName(name)
}

// storage places drives on controllers.
type storage struct {
	spec  *api.Spec
	board Board
}

// makeNamed makes the controllers that drives name, that are not there, and
// whose names say what they are: sata1, nvme0.
func (st *storage) makeNamed() {
	for _, drive := range st.spec.Drives {
		if drive.Controller == "" || hasController(st.spec)(drive.Controller) {
			continue
		}
		if kind, known := typeOfName(drive.Controller); known {
			st.make(kind, drive.Controller)
		}
	}
}

// make adds a controller, unless there are as many of its type as there can
// be, and reports whether it did.
func (st *storage) make(kind api.ControllerType, name string) bool {
	same := 0
	for _, c := range st.spec.Controllers {
		if c.Type == kind {
			same++
		}
	}
	if same >= controllerTraits[kind].most || len(st.spec.Controllers) >= MaxControllers {
		return false
	}
	made := api.Controller{Name: name, Type: kind}
	made.Hardware = hardwareOf(made)
	st.spec.Controllers = append(st.spec.Controllers, made)
	return true
}

// placeAll finds controllers for drives without one and ports for drives
// without one. Ports that the spec names are taken from the start.
func (st *storage) placeAll() {
	for i := range st.spec.Drives {
		drive := &st.spec.Drives[i]
		if drive.Controller == "" {
			drive.Controller = st.find(drive.Kind)
		}
		if drive.Port == nil && drive.Controller != "" {
			drive.Port = st.freePort(drive.Controller, drive.Kind)
		}
	}
}

// find returns the controller for a drive: one of a preferred type with a free
// port, else any that takes it, else a new one. Empty means none can be had.
func (st *storage) find(kind api.DriveKind) string {
	wanted := preferred(st.board, kind)
	for _, controllerType := range wanted {
		if name, found := st.withFreePort(kind, func(c api.Controller) bool { return c.Type == controllerType }); found {
			return name
		}
	}
	takes := func(c api.Controller) bool { return slices.Contains(controllerTraits[c.Type].kinds, kind) }
	if name, found := st.withFreePort(kind, takes); found {
		return name
	}
	for _, controllerType := range wanted {
		name := unusedName(controllerTraits[controllerType].prefix, taken(st.spec))
		if PortsOf(st.board, controllerType) > 0 && st.make(controllerType, name) {
			return name
		}
	}
	return ""
}

func (st *storage) withFreePort(kind api.DriveKind, fits func(api.Controller) bool) (string, bool) {
	for _, c := range st.spec.Controllers {
		if fits(c) && c.Name != "" && st.freePort(c.Name, kind) != nil {
			return c.Name, true
		}
	}
	return "", false
}

// freePort returns the lowest free port of a controller, nil if there is none.
// An optical drive on IDE is looked for on the second channel first, where
// computers have it.
func (st *storage) freePort(controller string, drive api.DriveKind) *int {
	kind, _ := typeOfController(st.spec, controller)
	ports := PortsOf(st.board, kind)
	for n := range ports {
		port := n
		if kind == api.IDE && drive == api.Optical {
			port = (n + ports/2) % ports
		}
		taken := func(d api.Drive) bool { return d.Controller == controller && d.Port != nil && *d.Port == port }
		if !slices.ContainsFunc(st.spec.Drives, taken) {
			return &port
		}
	}
	return nil
}
