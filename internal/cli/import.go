package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

// importFlags are the flags of import, as they were typed.
type importFlags struct {
	passphrase                                    string // the file that it is in
	name, pool, memory, deployment, locale, trust string
	cpus                                          int
	networks, properties, set, allow              []string
	dryRun, acceptEULA, inPlace, newUUID          bool
	start, detach, adapt, remote                  bool
	stream, resume                                bool
}

func (a *app) importCommand() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use:   "import THING",
		Short: "Make machines of what another program wrote",
		Long: `Make machines of what another program wrote:

  an OVF or OVA        FILE.ovf, FILE.ova, or the folder that an OVF is in
  VirtualBox           FILE.vbox, or its folder
  VMware               FILE.vmx, or its folder
  Hyper-V              the folder of an export, or its FILE.vmcx or FILE.xml
  Parallels            FILE.pvm, the folder with config.pvs
  libvirt              FILE.xml, as "virsh dumpxml" writes it
  XenServer, XCP-ng    FILE.xva, also compressed
  a pipe               -, /dev/stdin or a FIFO: an OVA, an XVA or a disk
  a disk alone         in any format of "panal disk formats"

The hardware becomes what comes nearest, on the same kinds of controllers, with
the same MAC addresses, and what is lost or different is said. The disks are
copied in; with --in-place they stay where they are, and are never written:
what the machine writes goes into its own folder. Their content is drawn in in
the background, while the machine runs or not, that of its snapshots, too, and
then they are needed no more. With --stream=false the machine stands on them for
good. "panal stream" goes on with what was cancelled.

What comes through a pipe, and what is compressed by gzip or zstd as a whole, is
read once from its beginning to its end, and written straight into the machine's
own disks; only what that cannot be done with is put together first, and said.

A manifest is checked before anything can be started, and so is its signature.
Nothing stays behind of an import that fails or is cancelled, unless --resume
says so: then what is copied of disks is kept, and the same command goes on
there, if the source is still the same. The error says where it is.

--dry-run shows what would be made.`,
		Example: `  panal import appliance.ova
  panal import appliance.ova --dry-run
  panal import appliance.ova --name web --property org.example.size=big --accept-eula
  panal import ~/"VirtualBox VMs"/web --in-place --start
  ssh esx.example cat web.ova | panal import -
  curl -s https://example.org/disk.img.gz | panal import - --name web
  panal import big.ova --resume
  panal import old.vmx --network "VM Network"=none`,
		Args: cobra.ExactArgs(1),
	}
	f.register(a, c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("cpus") && f.cpus < 1 {
			return usageError{"--cpus must be 1 or more"}
		}
		request, err := f.request(args[0])
		if err != nil {
			return err
		}
		content, err := a.openPipe(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if content != nil {
			defer content.Close()
			return a.importPipe(cmd.Context(), args[0], content, request, f)
		}
		if f.dryRun {
			return a.planImport(cmd.Context(), args[0], request)
		}
		return a.importMachines(cmd.Context(), args[0], request, f)
	}
	return c
}

func (f *importFlags) register(a *app, c *cobra.Command) {
	flags := c.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.dryRun, "dry-run", false, "only tell what would be made")
	flags.BoolVar(&f.inPlace, "in-place", false, "leave the disks where they are, and write differencing images over them")
	flags.BoolVar(&f.stream, "stream", true, "with --in-place, draw the content in in the background; then the original is needed no more")
	flags.StringArrayVar(&f.allow, "allow", nil, "a directory that disks may lie in, besides beside the description; may be repeated")
	flags.StringVar(&f.name, "name", "", "the machine's name; with several machines what their names begin with")
	a.poolFlag(c, &f.pool)
	flags.IntVar(&f.cpus, "cpus", 0, "number of CPUs, instead of what the description says")
	flags.StringVar(&f.memory, "memory", "", "memory, such as 512M or 4G, instead of what the description says")
	flags.StringArrayVar(&f.networks, "network", nil, "FROM=TO: what takes the place of a network: user or none; may be repeated")
	flags.StringArrayVar(&f.properties, "property", nil, "KEY=VALUE of the appliance's properties; may be repeated")
	flags.StringVar(&f.deployment, "deployment", "", "the configuration to take, of those that the description offers")
	flags.StringVar(&f.locale, "locale", "", "language of texts that there are several of, such as de-DE")
	flags.BoolVar(&f.remote, "remote", false, "fetch disks that lie elsewhere, over HTTP or HTTPS")
	flags.BoolVar(&f.adapt, "adapt", false, "give machines virtio hardware, where their guests are known to start with it")
	flags.BoolVar(&f.acceptEULA, "accept-eula", false, "agree to the licences")
	flags.StringVar(&f.trust, "trust", "", "a PEM file with authorities: refuse what is not signed by one whom they vouch for")
	flags.StringArrayVar(&f.set, "set", nil, "any value of the spec: KEY=VALUE; may be repeated")
	flags.StringVar(&f.passphrase, "passphrase-file", "", "decrypt with the passphrase in the first line of this file; otherwise a terminal is asked")
	flags.BoolVar(&f.newUUID, "new-uuid", false, "give machines UUIDs of their own, even where the description's are free")
	flags.BoolVar(&f.resume, "resume", false, "keep what is copied of disks when it fails, is cancelled or cut off; the same command goes on there")
	flags.BoolVar(&f.start, "start", false, "start the machines")
	addDetach(c, &f.detach)
}

// request makes the request of the flags.
func (f *importFlags) request(thing string) (api.ImportRequest, error) {
	request := api.ImportRequest{
		Name: f.name, Pool: f.pool, CPUs: f.cpus, Set: f.set, Deployment: f.deployment, Locale: f.locale,
		AcceptEULA: f.acceptEULA, Adapt: f.adapt, Remote: f.remote, InPlace: f.inPlace, Stream: f.inPlace && f.stream, NewUUID: f.newUUID, Resume: f.resume,
	}
	var err error
	if request.Source, err = absolute(thing); err != nil {
		return request, err
	}
	for _, dir := range f.allow {
		if dir, err = absolute(dir); err != nil {
			return request, err
		}
		request.Allow = append(request.Allow, dir)
	}
	if f.resume && f.inPlace {
		return request, usageError{"--resume and --in-place contradict each other: what stays in place goes on by itself"}
	}
	if f.detach && f.start {
		return request, usageError{"--detach and --start contradict each other"}
	}
	if f.memory != "" {
		if request.Memory, err = api.ParseSize(f.memory); err != nil {
			return request, usageError{"--memory: " + err.Error()}
		}
		if request.Memory <= 0 {
			return request, usageError{"--memory must be more than nothing, such as 512M"}
		}
	}
	if request.Networks, err = pairs("--network", "FROM=TO", f.networks); err != nil {
		return request, err
	}
	if request.Properties, err = pairs("--property", "KEY=VALUE", f.properties); err != nil {
		return request, err
	}
	if f.passphrase != "" {
		if request.Passphrase, err = readPassphrase(f.passphrase); err != nil {
			return request, failed("import", thing, err)
		}
	}
	if f.trust != "" {
		if request.Trust, err = readText(f.trust); err != nil {
			return request, failed("import", thing, err)
		}
	}
	return request, nil
}

// maxText bounds the files that go along with a request.
const maxText = 256 << 10

// readText reads a file that goes along with a request: a licence, a key.
func readText(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxText {
		return "", fmt.Errorf("%s is no file of at most %d KiB", path, maxText>>10)
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

// pairs reads what is given as KEY=VALUE.
func pairs(flag, form string, list []string) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, text := range list {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return nil, usageError{fmt.Sprintf("%s takes %s, not %q", flag, form, text)}
		}
		out[key] = value
	}
	return out, nil
}

// importMachines asks for the import, waits, and starts the machines if that is wanted.
func (a *app) importMachines(ctx context.Context, thing string, request api.ImportRequest, f importFlags) error {
	if _, err := a.connect(ctx); err != nil {
		return failed("import", thing, err)
	}
	outline := request
	outline.Unverified = true
	plan, err := a.client.PlanImport(ctx, outline)
	if err != nil {
		return failed("import", "", err)
	}
	lacking := lackingOf(plan) != "" // the import says so at once
	if plan.Encrypted && request.Passphrase == "" && isTerminal(a.in) && !lacking {
		given, err := a.askSecrets(ctx, "Passphrase: ")
		if err != nil {
			return failed("import", thing, err)
		}
		request.Passphrase = given[0]
	}
	if len(plan.Licences) > 0 && !request.AcceptEULA && !lacking {
		if request.AcceptEULA, err = a.agree(plan.Licences); err != nil {
			return failed("import", thing, err)
		}
	}
	task, err := a.client.Import(context.WithoutCancel(ctx), request)
	if err != nil {
		return failed("import", "", err)
	}
	if f.detach {
		return a.reportDetached(taskWork{}, []outcome{{task: task}})
	}
	if task, err = a.followShown(ctx, task); err != nil {
		return failed("import", thing, cutOff(task, err, f.resume))
	}
	a.warn(thing, task.Warnings)
	a.sayIntegrity(thing, plan.Kind, task)
	return a.allImported(ctx, plan.Machines, f.start)
}

// cutOff says of an import whose daemon has ended under it what is left of it, and what to do; any other error
// stays as it is, but for the name of what is imported, which is said anyway.
func cutOff(task api.Task, err error, resume bool) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || task.State.Ended() || p.Kind != api.KindUnavailable {
		return err
	}
	said := *p
	said.Detail = "the daemon has ended before it was done; the next one, which any command starts, undoes what was begun"
	said.Help = "import it again then; with --resume what it copied would be kept"
	if resume {
		said.Detail += ", but for what is copied of disks"
		said.Help = "the same command goes on there"
	}
	said.Help += "; the daemon's log may say why it has ended"
	return &said
}

// showLicences prints licences, one that several machines have once.
func (a *app) showLicences(licences []api.Licence) {
	shown := map[string]bool{}
	for _, l := range licences {
		if !shown[l.Text] {
			fmt.Fprintln(a.err, printableText(l.Text))
		}
		shown[l.Text] = true
	}
}

// agree shows licences and asks whether the user agrees to them.
func (a *app) agree(licences []api.Licence) (bool, error) {
	a.showLicences(licences)
	if !isTerminal(a.in) {
		return false, nil // the daemon refuses, and says why
	}
	fmt.Fprint(a.err, "Do you agree? [yes/no] ")
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return strings.EqualFold(strings.TrimSpace(line), "yes"), nil
}

// planImport prints what an import would make.
func (a *app) planImport(ctx context.Context, thing string, request api.ImportRequest) error {
	if _, err := a.connect(ctx); err != nil {
		return failed("import", thing, err)
	}
	plan, err := a.client.PlanImport(ctx, request)
	if err != nil {
		return failed("import", "", err)
	}
	if err := a.showPlan(plan); err != nil {
		return err
	}
	if lacking := lackingOf(plan); lacking != "" {
		return failed("import", thing, errors.New(lacking))
	}
	return nil
}

// lackingOf says which disk of a plan cannot be had, and of how many that is so; empty for none.
func lackingOf(plan api.ImportPlan) string {
	first, count := "", 0
	for _, m := range plan.Machines {
		for _, d := range m.Disks {
			if d.Problem == "" {
				continue
			}
			if count++; count == 1 {
				first = d.Problem
			}
		}
	}
	if count > 1 {
		return fmt.Sprintf("%d of its disks cannot be had: %s", count, first)
	}
	return first
}

// showPlan prints a plan.
func (a *app) showPlan(plan api.ImportPlan) error {
	if a.json {
		return a.printJSON(plan)
	}
	a.printPlan(plan)
	return nil
}

// printPlan writes a plan for people.
func (a *app) printPlan(plan api.ImportPlan) {
	fmt.Fprintf(a.out, "%s: %s", plan.Name, plan.Kind)
	if plan.Producer != "" {
		fmt.Fprintf(a.out, " by %s", printable(plan.Producer))
	}
	fmt.Fprintf(a.out, "\n%s\n", printable(plan.Integrity))
	if plan.Encrypted {
		fmt.Fprintln(a.out, "it is encrypted: importing it takes the passphrase")
	}
	for _, d := range plan.Deployments {
		chosen := " "
		if d.ID == plan.Deployment {
			chosen = "*"
		}
		fmt.Fprintf(a.out, "%s deployment %s: %s\n", chosen, printable(d.ID), printable(d.Label))
	}
	a.printProperties(plan.Properties)
	for i := range plan.Machines {
		a.printPlanned(&plan.Machines[i])
	}
	for _, l := range plan.Licences {
		fmt.Fprintf(a.out, "\nlicence:\n%s\n", printableText(l.Text))
	}
	a.printNotes(plan.Notes)
}

func (a *app) printProperties(properties []api.ImportProperty) {
	rows := make([]table.Row, 0, len(properties))
	for _, p := range properties {
		value := p.Value
		switch {
		case p.Required && value == "":
			value = "(has to be set)"
		case p.Secret:
			value = "(secret)"
		}
		rows = append(rows, table.Row{printable(p.Key), printable(value), p.Type, printable(p.Label)})
	}
	if len(rows) > 0 {
		fmt.Fprintln(a.out)
		a.printTable(table.Row{"PROPERTY", "VALUE", "TYPE", "LABEL"}, rows)
	}
}

func (a *app) printPlanned(m *api.PlannedMachine) {
	s := m.Spec
	fmt.Fprintf(a.out, "\nmachine %s: %s, %s, %s, %d CPUs, %s of memory\n", s.Name, s.Architecture, s.MachineType, s.Firmware.Type, s.CPU.Count, s.Memory.Size)
	if m.Start != nil {
		fmt.Fprintf(a.out, "starts %s\n", startText(*m.Start))
	}
	files := map[string]api.PlannedDisk{}
	for _, d := range m.Disks {
		files[d.Drive] = d
	}
	rows := make([]table.Row, 0, len(s.Drives))
	for _, d := range s.Drives {
		from, size := files[d.Name], ""
		if from.Problem != "" {
			from.Format = "missing"
		} else if d.Size > 0 {
			size = d.Size.String()
		}
		rows = append(rows, table.Row{d.Name, d.Kind, place(d), size, from.Format, printable(from.File)})
	}
	if len(rows) > 0 {
		a.printTable(table.Row{"DRIVE", "KIND", "PLACE", "SIZE", "FORMAT", "FROM"}, rows)
	}
	rows = rows[:0]
	for _, n := range s.Adapters {
		rows = append(rows, table.Row{n.Name, n.Model, n.MAC, n.Network, printable(m.Networks[n.Name])})
	}
	if len(rows) > 0 {
		a.printTable(table.Row{"ADAPTER", "MODEL", "MAC", "NETWORK", "WAS ON"}, rows)
	}
	if len(m.Snapshots) > 0 {
		fmt.Fprint(a.out, drawTree(api.SnapshotTree{Name: "snapshots", Current: m.Snapshot, Snapshots: m.Snapshots}))
	}
	a.printNotes(m.Notes)
	for _, d := range m.Disks {
		if d.Problem != "" {
			a.printNotes([]string{"drive " + d.Drive + ": " + d.Problem})
		}
	}
}

// place is where a drive is attached.
func place(d api.Drive) string {
	if d.Port == nil {
		return d.Controller
	}
	return fmt.Sprintf("%s port %d", d.Controller, *d.Port)
}

func (a *app) printNotes(notes []string) {
	for _, note := range notes {
		fmt.Fprintf(a.out, "! %s\n", printable(note))
	}
}

// printableText is printable for a text of several lines.
func printableText(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = printable(strings.TrimRight(lines[i], "\r"))
	}
	return strings.Join(lines, "\n")
}
