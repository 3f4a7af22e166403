package manager

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/importer"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/task"
)

// importJob is an import that has been understood.
type importJob struct {
	request  api.ImportRequest
	source   *importer.Source
	trust    importer.Trust
	machines []plannedMachine
}

// plannedMachine is a machine that an import makes.
type plannedMachine struct {
	record  inventory.Record
	from    appliance.Machine
	content map[string]appliance.Disk // by drive
	formats map[string]string         // of contents, by drive
	notes   []string
}

// openImport opens a source and decides what is to be made of it.
func (m *Manager) openImport(ctx context.Context, request api.ImportRequest) (*importJob, error) {
	trust, err := trustOf(request.Trust)
	if err != nil {
		return nil, err
	}
	source, err := importer.Open(request.Source, appliance.Choices{
		Deployment: request.Deployment, Properties: request.Properties, Locale: request.Locale,
	}, request.Allow...)
	if err != nil {
		return nil, err
	}
	job := &importJob{request: request, source: source, trust: trust}
	names, err := m.takenNames(ctx)
	if err == nil {
		err = job.unknownNetworks()
	}
	for _, from := range source.Appliance.Machines {
		if err != nil {
			break
		}
		var planned plannedMachine
		planned, err = m.planMachine(ctx, job, from, names)
		job.machines = append(job.machines, planned)
	}
	if err != nil {
		_ = source.Close()
		return nil, err
	}
	return job, nil
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
	planned := plannedMachine{from: from, content: map[string]appliance.Disk{}, formats: map[string]string{}}
	for _, note := range from.Notes {
		planned.notes = append(planned.notes, note.String())
	}
	spec := machine.Clone(from.Spec)
	job.identify(&spec, taken)
	job.connect(&spec, from.Networks)
	if job.request.CPUs > 0 {
		spec.CPU = api.CPU{Count: job.request.CPUs}
	}
	if job.request.Memory > 0 {
		spec.Memory.Size = job.request.Memory
	}
	if n := len(from.Snapshots); n > 0 {
		planned.notes = append(planned.notes, fmt.Sprintf("snapshots: the %d that it has are not taken along, only its present state", n))
	}
	for _, d := range from.Disks {
		if err := m.planDisk(ctx, job, &planned, &spec, d); err != nil {
			return planned, err
		}
	}
	spec, wrong := machine.Assign(spec, job.request.Set)
	spec = machine.Complete(spec, m.defaults())
	if wrong = append(wrong, machine.Validate(spec)...); len(wrong) > 0 {
		return planned, problem.Invalid(wrong, "import %s: what would be made of the machine %s is not valid", job.request.Source, spec.Name)
	}
	planned.record = inventory.Record{Machine: api.Machine{Spec: spec}}
	return planned, nil
}

// planDisk looks at the content of a drive.
func (m *Manager) planDisk(ctx context.Context, job *importJob, planned *plannedMachine, spec *api.Spec, d appliance.Disk) error {
	i := slices.IndexFunc(spec.Drives, func(drive api.Drive) bool { return drive.Name == d.Drive })
	if i < 0 {
		return fmt.Errorf("drive %s: the description has content for it, and no such drive", d.Drive)
	}
	drive := &spec.Drives[i]
	planned.content[d.Drive] = d
	ref, plain := job.source.Ref(d)
	if d.File == "" {
		drive.Size = api.Size(d.Size)
		return nil
	}
	if !plain && d.Compression == "" && d.Parts == 0 || plain {
		format, size, err := job.source.Look(ctx, d, m.machinesDir())
		if err != nil {
			return err
		}
		planned.formats[d.Drive], drive.Size = format, api.Size((size+511)&^511)
	}
	planned.reconcile(drive, d, job.request.InPlace)
	if job.request.InPlace {
		if !plain {
			return problem.New(api.KindUnsupported, "import it without --in-place",
				"import %s: %s is compressed or cut into parts, and cannot be used where it lies", job.request.Source, d.File)
		}
		drive.Source, drive.Format = ref.Path, planned.formats[d.Drive]
		if drive.Kind == api.Disk {
			drive.Mode = api.Overlay
		}
	}
	return nil
}

// reconcile settles what the file of a disk and the description say about its
// size: a copy gets the larger one, as the guest expects, and nothing is cut off.
func (p *plannedMachine) reconcile(drive *api.Drive, d appliance.Disk, inPlace bool) {
	described := api.Size((d.Size + 511) &^ 511)
	switch {
	case drive.Kind != api.Disk || described == 0 || drive.Size == 0 || described == drive.Size:
	case described > drive.Size && !inPlace:
		drive.Size = described
	default:
		p.notes = append(p.notes, fmt.Sprintf("disk %s: it has the %d bytes of its file, and not the %d of the description", d.Drive, drive.Size, d.Size))
	}
}

// identify gives a machine its name and UUID. The description's are kept where
// they are free.
func (job *importJob) identify(spec *api.Spec, taken map[string]bool) {
	switch only := len(job.source.Appliance.Machines) == 1; {
	case job.request.Name != "" && only:
		spec.Name = job.request.Name
	case job.request.Name != "":
		spec.Name = appliance.CleanName(job.request.Name + "-" + spec.Name)
	}
	if job.request.Name == "" || len(job.source.Appliance.Machines) > 1 {
		base := spec.Name
		for n := 2; taken[spec.Name]; n++ {
			spec.Name = fmt.Sprintf("%.56s-%d", base, n)
		}
	}
	if parsed, err := uuid.Parse(spec.UUID); err != nil || job.request.NewUUID || taken[parsed.String()] {
		spec.UUID = uuid.NewString()
	}
	taken[spec.Name], taken[spec.UUID] = true, true
}

// connect connects adapters as the user wants: what the description called its
// networks is not known here.
func (job *importJob) connect(spec *api.Spec, networks map[string]string) {
	for i := range spec.Adapters {
		if to, found := job.request.Networks[networks[spec.Adapters[i].Name]]; found {
			spec.Adapters[i].Network = to
		}
	}
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
			return problem.New(api.KindInvalid, "it has "+strings.Join(names, ", "), "import %s: there is no network %q in it", job.request.Source, from)
		}
	}
	return nil
}

// agreed refuses to go on while a licence is not agreed to, or a property that
// has to be set is not.
func (job *importJob) agreed() error {
	a := job.source.Appliance
	if len(a.Licences) > 0 && !job.request.AcceptEULA {
		return problem.New(api.KindRefused, "read it with `panal import --dry-run`, and agree with --accept-eula",
			"import %s: it comes with a licence that has not been agreed to", job.request.Source)
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
	for _, l := range a.Licences {
		plan.Licences = append(plan.Licences, api.Licence{Machine: l.Machine, Text: l.Text})
	}
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
		plan.Machines = append(plan.Machines, job.machines[i].plan())
	}
	return plan
}

func (p *plannedMachine) plan() api.PlannedMachine {
	out := api.PlannedMachine{Spec: p.record.Spec, Networks: p.from.Networks, Notes: p.notes}
	for _, d := range p.from.Disks {
		out.Disks = append(out.Disks, api.PlannedDisk{Drive: d.Drive, File: d.File, Format: p.formats[d.Drive], Size: sizeOf(p.record.Spec, d.Drive)})
	}
	for _, s := range p.from.Snapshots {
		out.Snapshots = append(out.Snapshots, s.Name)
	}
	return out
}

func sizeOf(spec api.Spec, drive string) api.Size {
	if d := driveNamed(spec.Drives, drive); d != nil {
		return d.Size
	}
	return 0
}
