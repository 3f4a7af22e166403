package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/importer"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/snapshot"
	"github.com/panalvm/panal/internal/task"
)

// importJob is an import that has been understood.
type importJob struct {
	request   api.ImportRequest
	dir       string // of the pool that machines are put into
	source    *importer.Source
	trust     importer.Trust
	machines  []plannedMachine
	arrival   *importer.Arrival  // of what comes through a pipe; nil of what lies in files
	claims    *claims            // of names that no other import may take
	interrupt func() error       // ends reading what comes through a pipe
	after     func() error       // gives back what the arrival was read from
	integrity importer.Integrity // once all was carried in
	claimed   []string
	kept      folder.Folder // where its disks are kept, to be resumed; "" for nowhere
	outline   bool          // nothing is to be made: disks that cannot be had are shown as such
}

// plannedMachine is a machine that an import makes.
type plannedMachine struct {
	record  inventory.Record
	from    appliance.Machine
	content map[string]appliance.Disk // by drive
	formats map[string]string         // of contents, by drive
	// snapshots are those that come along, parents first; current is the ID of the one
	// that the present state came after.
	snapshots []plannedSnapshot
	current   string
	lacking   map[string]string // disks that cannot be had, by drive, and why; in an outline only
	notes     []string
	begun     bool            // its folder is made
	carried   map[string]bool // drives that are made
}

// openImport opens a source and decides what is to be made of it; for an outline
// also if disks of it cannot be had.
func (m *Manager) openImport(ctx context.Context, request api.ImportRequest, outline bool) (*importJob, error) {
	if importer.IsPacked(request.Source) {
		return m.openPacked(ctx, request)
	}
	dir, err := m.Pools().directory(ctx, request.Pool)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", request.Source, err)
	}
	trust, err := trustOf(request.Trust)
	if err != nil {
		return nil, err
	}
	source, err := importer.OpenEncrypted(request.Source, request.Passphrase, choicesOf(request), request.Allow...)
	if err != nil {
		return nil, err
	}
	return m.planImport(ctx, &importJob{request: request, dir: dir, source: source, trust: trust, claims: &m.claims, outline: outline})
}

func choicesOf(request api.ImportRequest) appliance.Choices {
	return appliance.Choices{Deployment: request.Deployment, Properties: request.Properties, Locale: request.Locale}
}

// planImport decides what is to be made of a source. After an error the source
// is closed.
func (m *Manager) planImport(ctx context.Context, job *importJob) (*importJob, error) {
	names, err := m.takenNames(ctx)
	if err == nil {
		err = job.unknownNetworks()
	}
	for _, from := range job.source.Appliance.Machines {
		if err != nil {
			break
		}
		var planned plannedMachine
		planned, err = m.planMachine(ctx, job, from, names)
		job.machines = append(job.machines, planned)
	}
	if err != nil {
		job.close()
		return nil, err
	}
	job.tellShared()
	return job, nil
}

// tellShared notes disks that several machines have: here each has its own.
func (job *importJob) tellShared() {
	first := map[string]string{}
	for _, m := range job.source.Appliance.Machines {
		for _, d := range m.Disks {
			drive := driveNamed(m.Spec.Drives, d.Drive)
			if d.File == "" || drive == nil || drive.Kind != api.Disk {
				continue
			}
			other, found := first[d.File]
			if !found {
				first[d.File] = m.Spec.Name
				continue
			}
			text := "each machine gets a copy of its own of it, and what one writes the other does not see"
			if job.request.InPlace {
				text = "both machines stand on it, each writes into a differencing image of its own, and what one writes the other does not see"
			}
			job.source.Appliance.Notes = append(job.source.Appliance.Notes, appliance.Notef("disk "+d.File, "%s and %s have it; %s", other, m.Spec.Name, text))
		}
	}
}

// takenNames are the names and UUIDs of all machines.
func (m *Manager) takenNames(ctx context.Context) (map[string]bool, error) {
	taken := map[string]bool{}
	_, _, err := m.inv.List(ctx, func(s *api.Summary) bool {
		taken[s.Name], taken[s.UUID] = true, true
		return false
	})
	return taken, err
}

// planMachine decides what one machine becomes.
func (m *Manager) planMachine(ctx context.Context, job *importJob, from appliance.Machine, taken map[string]bool) (plannedMachine, error) {
	planned := plannedMachine{from: from, content: map[string]appliance.Disk{}, formats: map[string]string{}, carried: map[string]bool{}, lacking: map[string]string{}}
	for _, note := range from.Notes {
		if note.Subject == appliance.SubjectName && job.request.Name != "" {
			continue // it is called otherwise
		}
		planned.notes = append(planned.notes, note.String())
	}
	spec := machine.Clone(from.Spec)
	adapted := job.adapt(&spec)
	planned.dropOutdated(spec)
	if err := job.identify(&spec, taken); err != nil {
		return planned, err
	}
	job.connect(&spec, from.Networks)
	after := len(planned.notes) // of these notes come those of networks
	planned.notes = append(planned.notes, adapted...)
	planned.notes = append(planned.notes, job.tellGuest(&spec, from)...)
	if job.request.CPUs > 0 {
		spec.CPU = api.CPU{Count: job.request.CPUs}
	}
	if job.request.Memory > 0 {
		spec.Memory.Size = job.request.Memory
	}
	if job.request.Remote {
		job.source.AllowRemote()
	}
	if err := job.shared(from); err != nil {
		return planned, err
	}
	for _, d := range from.Disks {
		if err := m.planDisk(ctx, job, &planned, &spec, d); err != nil && !job.lack(&planned, &spec, d, err) {
			return planned, err
		}
	}
	connected := machine.Clone(spec)
	spec, wrong := machine.Assign(spec, job.request.Set)
	spec = machine.Complete(spec, m.defaults())
	if wrong = append(wrong, machine.Validate(spec)...); len(wrong) > 0 {
		return planned, problem.Invalid(wrong, "import %s: what would be made of the machine %s is not valid", job.request.Source, spec.Name)
	}
	planned.notes = slices.Insert(planned.notes, after, job.tellNetworks(connected, spec, from.Networks)...)
	planned.record = inventory.Record{Machine: api.Machine{Spec: spec}, Streaming: job.request.InPlace && job.request.Stream}
	planned.tellStaying()
	m.planSnapshots(ctx, job, &planned)
	return planned, nil
}

// tellStaying notes what is not drawn in of an import in place, and needed for good: media that are only read, and
// disks that throw away what is written to them.
func (p *plannedMachine) tellStaying() {
	for _, drive := range p.record.Spec.Drives {
		mode := machine.WriteModeOf(drive)
		if p.record.Streaming && drive.Source != "" && (drive.Mode != api.Overlay || mode != api.Normal && mode != api.Writethrough) {
			p.notes = append(p.notes, fmt.Sprintf("drive %s: %s is not drawn in, and has to stay where it is for as long as it is in the drive", drive.Name, drive.Source))
		}
	}
}

// planDisk looks at the content of a drive.
func (m *Manager) planDisk(ctx context.Context, job *importJob, planned *plannedMachine, spec *api.Spec, d appliance.Disk) error {
	i := slices.IndexFunc(spec.Drives, func(drive api.Drive) bool { return drive.Name == d.Drive })
	if i < 0 {
		return fmt.Errorf("drive %s: the description has content for it, and no such drive", d.Drive)
	}
	drive := &spec.Drives[i]
	d = planned.believed(d)
	planned.content[d.Drive] = d
	ref, plain := job.source.Ref(d)
	if d.File == "" {
		drive.Size = api.Size(d.Size)
		return nil
	}
	if job.cannotLook(d) {
		drive.Size, planned.formats[d.Drive] = api.Size((max(d.Size, 1)+511)&^511), d.Format
	} else if plain || d.Encryption != "" || d.Remote && !job.request.Remote {
		format, size, err := job.source.Look(ctx, d, job.dir)
		if gone := job.dispensable(drive.Kind, err); gone != nil {
			planned.empty(d, gone)
			return nil
		}
		if err != nil {
			return err
		}
		planned.formats[d.Drive], drive.Size = format, api.Size((size+511)&^511)
	}
	if !plain && (d.Encryption == "" || job.request.Passphrase != "") && job.arrival == nil {
		var err error
		if planned.formats[d.Drive], err = job.source.Peek(ctx, d); err != nil {
			return err
		}
	}
	if length := job.source.Length(d); d.Length > 0 && length >= 0 && length != d.Length {
		planned.notes = append(planned.notes, fmt.Sprintf("file %s: it has %d bytes, and the description says %d", d.File, length, d.Length))
	}
	planned.reconcile(drive, d, job.request.InPlace)
	if job.request.InPlace {
		if !plain {
			return problem.New(api.KindUnsupported, "import it without --in-place",
				"import %s: %s is elsewhere, compressed, encrypted or cut into parts, and cannot be used where it lies", job.request.Source, d.File)
		}
		drive.Source, drive.Format = ref.Path, planned.formats[d.Drive]
		if drive.Kind == api.Disk {
			drive.Mode = api.Overlay
		}
	}
	return nil
}

// dropOutdated drops the notes of hardware that is not there any more, as the machine got other one.
func (p *plannedMachine) dropOutdated(spec api.Spec) {
	for _, note := range p.from.Notes {
		if note.Outdated(spec) {
			p.notes = slices.DeleteFunc(p.notes, func(told string) bool { return told == note.String() })
		}
	}
}

// lack notes in an outline that a disk cannot be had; false where that is no outline's to bear.
func (job *importJob) lack(planned *plannedMachine, spec *api.Spec, d appliance.Disk, err error) bool {
	p := problem.Of(err)
	drive := driveNamed(spec.Drives, d.Drive)
	if !job.outline || p.Kind != api.KindUnreadable || drive == nil {
		return false
	}
	text := strings.TrimPrefix(p.Detail, "import "+job.source.Path()+": ")
	if p.Help != "" {
		text += " (" + p.Help + ")"
	}
	planned.lacking[d.Drive] = text
	drive.Source, drive.Size = "", api.Size((max(planned.believed(d).Size, 1)+511)&^511)
	delete(planned.content, d.Drive)
	return true
}

// lacks tells whether disks of an outline cannot be had.
func (job *importJob) lacks() bool {
	return slices.ContainsFunc(job.machines, func(m plannedMachine) bool { return len(m.lacking) > 0 })
}

// shared refuses a machine with one disk on several drives: each would get a
// copy of its own, and the guest would see two where it had one.
func (job *importJob) shared(from appliance.Machine) error {
	on := map[string]string{}
	for _, d := range from.Disks {
		if d.File == "" || d.Format == "raw" && strings.HasSuffix(strings.ToLower(d.File), ".iso") {
			continue
		}
		key := d.File + "\x00" + d.Snapshot
		if first := on[key]; first != "" {
			return problem.New(api.KindUnsupported, "take one of the drives out of the description",
				"import %s: %s is on the drives %s and %s of the machine %s, and one disk cannot be on two", job.request.Source, d.File, first, d.Drive, from.Spec.Name)
		}
		on[key] = d.Drive
	}
	return nil
}

// dispensable is why the medium of a drive cannot be had, if the machine can do
// without: what was in the drive when it was last used. What an appliance comes
// with belongs to it.
func (job *importJob) dispensable(drive api.DriveKind, err error) *api.Problem {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || drive == api.Disk || job.source.Appliance.Kind == appliance.KindOVF || p.Kind != api.KindUnreadable && p.Kind != api.KindRefused {
		return nil
	}
	return p
}

// empty leaves a drive without the medium that it had.
func (p *plannedMachine) empty(d appliance.Disk, why *api.Problem) {
	delete(p.content, d.Drive)
	p.from.Disks = slices.DeleteFunc(slices.Clone(p.from.Disks), func(of appliance.Disk) bool { return of.Drive == d.Drive })
	p.notes = append(p.notes, fmt.Sprintf("drive %s: it is empty; %s, which was in it, cannot be had (%s)", d.Drive, d.File, why.Help))
}

// largestDisk is how large a description may make a disk beyond what its file
// holds: no format that packages have disks in can have more.
const largestDisk = 64 << 40

// believed is the content of a drive without a size that cannot be meant: the file's
// own counts then.
func (p *plannedMachine) believed(d appliance.Disk) appliance.Disk {
	if d.File != "" && d.Size > largestDisk {
		p.notes = append(p.notes, fmt.Sprintf("disk %s: it has the size of its file, and not the %d bytes of the description, which is more than such disks can have", d.Drive, d.Size))
		d.Size = 0
	}
	return d
}

// reconcile settles what the file of a disk and the description say about its
// size: a copy gets the larger one, as the guest expects, and nothing is cut off.
func (p *plannedMachine) reconcile(drive *api.Drive, d appliance.Disk, inPlace bool) {
	described := api.Size((d.Size + 511) &^ 511)
	switch {
	case drive.Kind != api.Disk || described == 0 || drive.Size == 0 || described == drive.Size:
	case described > drive.Size && !inPlace:
		p.notes = append(p.notes, fmt.Sprintf("disk %s: its file holds %d bytes, and the description says %d; the rest is zeros", d.Drive, drive.Size, d.Size))
		drive.Size = described
	default:
		p.notes = append(p.notes, fmt.Sprintf("disk %s: it has the %d bytes of its file, and not the %d of the description", d.Drive, drive.Size, d.Size))
	}
}

// settle is reconcile of a disk whose size shows only when its content has been read: of what is compressed, cut into
// parts, or comes from elsewhere. What was told of it is not told again.
func (p *plannedMachine) settle(drive *api.Drive, d appliance.Disk, size int64) {
	if size == 0 {
		return
	}
	told := slices.Clone(p.notes)
	drive.Size = api.Size((size + 511) &^ 511)
	p.reconcile(drive, d, false)
	if n := len(p.notes); n > len(told) && slices.Contains(told, p.notes[n-1]) {
		p.notes = told
	}
}

// connect connects adapters as the user wants: what the description called its
// networks is not known here.
func (job *importJob) connect(spec *api.Spec, networks map[string]string) {
	for i := range spec.Adapters {
		a := &spec.Adapters[i]
		from := networks[a.Name]
		a.NetworkName = networkName(from)
		if to, chosen := job.request.Networks[from]; chosen {
			a.Network = to
		}
	}
}

// networkName is what an adapter notes of the network that it was on, so that an export can say it.
func networkName(from string) string {
	from = appliance.CleanLabel(from)
	if slices.Contains([]string{"nat", "user", "none", "null"}, strings.ToLower(from)) || !machine.IsNetworkName(from) {
		return "" // what a network is when there is no other word for it
	}
	return from
}

// tellNetworks tells of adapters that are not connected to what they were on, but for those that the user
// has said something of: by a network, or by a value of the spec, which was connected before those were set.
func (job *importJob) tellNetworks(connected, spec api.Spec, networks map[string]string) (notes []string) {
	for _, a := range spec.Adapters {
		from := networks[a.Name]
		before := slices.IndexFunc(connected.Adapters, func(b api.Adapter) bool { return b.Name == a.Name })
		_, chosen := job.request.Networks[from]
		switch {
		case chosen, before < 0, job.setsNetwork(before, a.Name):
		case a.Network == "none":
			if from != "" && from != "none" && !strings.EqualFold(from, "null") {
				notes = append(notes, fmt.Sprintf("network adapter %s: it was on %q and not plugged in; it is not connected", a.Name, from))
			}
		case !isNAT(from):
			notes = append(notes, fmt.Sprintf("network adapter %s: it was on %q, which is not known here, and is behind NAT of its own (user); --network chooses another", a.Name, from))
		}
	}
	return notes
}

// setsNetwork tells whether the user sets the network of an adapter as a value of the spec.
func (job *importJob) setsNetwork(place int, name string) bool {
	return slices.ContainsFunc(job.request.Set, func(assignment string) bool {
		key, _, _ := strings.Cut(assignment, "=")
		return slices.Contains([]string{"adapters." + name + ".network", fmt.Sprintf("adapters.%d.network", place)}, strings.TrimSpace(key))
	})
}

// isNAT tells whether a network was what adapters are connected to here by default: VirtualBox and VMware
// call it NAT, Parallels shared, and libvirt default.
func isNAT(network string) bool {
	return slices.Contains([]string{"", "nat", "user", "shared", "default"}, strings.ToLower(network))
}

// unknownNetworks refuses networks that no machine was connected to.
func (job *importJob) unknownNetworks() error {
	known := map[string]bool{}
	for _, m := range job.source.Appliance.Machines {
		for _, network := range m.Networks {
			known[network] = true
		}
	}
	for from := range job.request.Networks {
		if !known[from] {
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, fmt.Sprintf("%q", name))
			}
			slices.Sort(names)
			has := strings.Join(names, ", ")
			if has == "" {
				has = "none"
			}
			return problem.New(api.KindInvalid, "it has "+has, "import %s: there is no network %q in it", job.request.Source, from)
		}
	}
	return nil
}

// explain says which import it was that failed, once.
func (job *importJob) explain(err error) error {
	prefix := fmt.Sprintf("import %s: ", job.source.Path())
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return fmt.Errorf("%s%w", prefix, err)
	}
	named := problem.Of(err)
	named.Detail = prefix + strings.ReplaceAll(named.Detail, prefix, "")
	named.Errors = p.Errors
	return named
}

// agreed refuses to go on while a licence is not agreed to, or a property that
// has to be set is not.
func (job *importJob) agreed() error {
	a := job.source.Appliance
	if len(a.Licences) > 0 && !job.request.AcceptEULA {
		refused := problem.New(api.KindRefused, "read it with `panal import --dry-run`, and agree with --accept-eula",
			"import %s: it comes with a licence that has not been agreed to", job.request.Source)
		refused.Licences = licencesOf(a)
		return refused
	}
	if job.request.Passphrase == "" && job.encrypted() {
		return problem.New(api.KindRefused, "give the passphrase with --passphrase-file", "import %s: it is encrypted", job.request.Source)
	}
	for _, p := range a.Properties {
		if p.Required && p.Value == "" {
			return problem.New(api.KindInvalid, "give it with --property "+p.Key+"=VALUE", "import %s: the property %s has to be set", job.request.Source, p.Key)
		}
	}
	return nil
}

// progress adds up the disks of all machines.
func (job *importJob) progress(r *task.Run) func(drive string) func(done, total int64) {
	var total, before, last int64
	for _, m := range job.machines {
		for _, drive := range m.record.Spec.Drives {
			if d := m.content[drive.Name]; d.File != "" && drive.Source == "" {
				total += int64(drive.Size)
			}
		}
	}
	return func(drive string) func(done, total int64) {
		before += last
		return func(done, size int64) {
			last = size
			r.Report(api.Progress{Step: "copying " + drive, Done: before + done, Total: max(total, before+size), Unit: "bytes"})
		}
	}
}

// plan puts what would be made into words.
func (job *importJob) plan(integrity importer.Integrity) api.ImportPlan {
	a := job.source.Appliance
	plan := api.ImportPlan{
		Kind: string(a.Kind), Producer: a.Producer, Name: a.Name, Deployment: a.Deployment, Integrity: integrity.Text,
		Machines: []api.PlannedMachine{}, Notes: integrity.Findings,
	}
	for _, note := range a.Notes {
		plan.Notes = append(plan.Notes, note.String())
	}
	plan.Licences, plan.Encrypted = licencesOf(a), job.encrypted()
	for _, d := range a.Deployments {
		plan.Deployments = append(plan.Deployments, api.DeploymentOption{ID: d.ID, Label: d.Label, Description: d.Description, Default: d.Default})
	}
	for _, p := range a.Properties {
		property := api.ImportProperty{
			Key: p.Key, Label: p.Label, Description: p.Description, Type: p.Type, Value: p.Value, Required: p.Required, Secret: p.Secret, Fixed: p.Fixed,
		}
		if p.Secret {
			property.Value = ""
		}
		plan.Properties = append(plan.Properties, property)
	}
	for i := range job.machines {
		plan.Machines = append(plan.Machines, job.machines[i].plan(len(job.machines) > 1))
	}
	return plan
}

func licencesOf(a *appliance.Appliance) (all []api.Licence) {
	for _, l := range a.Licences {
		all = append(all, api.Licence{Machine: l.Machine, Text: l.Text})
	}
	return all
}

func (p *plannedMachine) plan(several bool) api.PlannedMachine {
	out := api.PlannedMachine{Spec: machine.Conceal(p.record.Spec), Networks: p.from.Networks, Notes: p.notes}
	for _, d := range p.from.Disks {
		out.Disks = append(out.Disks, api.PlannedDisk{Drive: d.Drive, File: d.File, Format: p.formats[d.Drive], Size: sizeOf(p.record.Spec, d.Drive), Problem: p.lacking[d.Drive]})
	}
	var tree snapshot.Tree
	for _, s := range p.snapshots {
		tree.Snapshots = append(tree.Snapshots, s.node)
	}
	out.Snapshots, out.Snapshot = tree.Ordered(), p.current
	if start := p.from.Start; several {
		out.Start = &api.PlannedStart{Step: start.Order, Seconds: int(start.Delay / time.Second), Guest: start.WaitGuest, Never: start.NoStart}
	}
	return out
}

func sizeOf(spec api.Spec, drive string) api.Size {
	if d := driveNamed(spec.Drives, drive); d != nil {
		return d.Size
	}
	return 0
}
