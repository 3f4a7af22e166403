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
	name, memory, deployment, locale, trust string
	cpus                                    int
	networks, properties, set, allow        []string
	dryRun, acceptEULA, inPlace, newUUID    bool
	start, detach                           bool
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
  Parallels            FILE.pvm, the folder with config.pvs
  libvirt              FILE.xml, as "virsh dumpxml" writes it
  XenServer, XCP-ng    FILE.xva, also compressed
  a disk alone         in any format of "panal disk formats"

The hardware becomes what comes nearest, on the same kinds of controllers, with
the same MAC addresses, and what is lost or different is said. The disks are
copied in; with --in-place they stay where they are, and are never written:
what the machine writes goes into its own folder.

A manifest is checked before anything can be started, and so is its signature.
Nothing stays behind of an import that fails or is cancelled.

--dry-run shows what would be made.`,
		Example: `  panal import appliance.ova
  panal import appliance.ova --dry-run
  panal import appliance.ova --name web --property org.example.size=big --accept-eula
  panal import ~/"VirtualBox VMs"/web --in-place --start
  panal import old.vmx --network "VM Network"=none`,
		Args: cobra.ExactArgs(1),
	}
	f.register(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		request, err := f.request(args[0])
		if err != nil {
			return err
		}
		if f.dryRun {
			return a.planImport(cmd.Context(), args[0], request)
		}
		return a.importMachines(cmd.Context(), args[0], request, f)
	}
	return c
}

func (f *importFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.dryRun, "dry-run", false, "only tell what would be made")
	flags.BoolVar(&f.inPlace, "in-place", false, "leave the disks where they are, and write differencing images over them")
	flags.StringArrayVar(&f.allow, "allow", nil, "a directory that disks may lie in, besides beside the description; may be repeated")
	flags.StringVar(&f.name, "name", "", "the machine's name; with several machines what their names begin with")
	flags.IntVar(&f.cpus, "cpus", 0, "number of CPUs, instead of what the description says")
	flags.StringVar(&f.memory, "memory", "", "memory, such as 512M or 4G, instead of what the description says")
	flags.StringArrayVar(&f.networks, "network", nil, "FROM=TO: what takes the place of a network: user or none; may be repeated")
	flags.StringArrayVar(&f.properties, "property", nil, "KEY=VALUE of the appliance's properties; may be repeated")
	flags.StringVar(&f.deployment, "deployment", "", "the configuration to take, of those that the description offers")
	flags.StringVar(&f.locale, "locale", "", "language of texts that there are several of, such as de-DE")
	flags.BoolVar(&f.acceptEULA, "accept-eula", false, "agree to the licences")
	flags.StringVar(&f.trust, "trust", "", "a PEM file with the authorities whose signatures count, instead of the system's")
	flags.StringArrayVar(&f.set, "set", nil, "any value of the spec: KEY=VALUE; may be repeated")
	flags.BoolVar(&f.newUUID, "new-uuid", false, "give machines UUIDs of their own, even where the description's are free")
	flags.BoolVar(&f.start, "start", false, "start the machines")
	addDetach(c, &f.detach)
}

// request makes the request of the flags.
func (f *importFlags) request(thing string) (api.ImportRequest, error) {
	request := api.ImportRequest{
		Name: f.name, CPUs: f.cpus, Set: f.set, Deployment: f.deployment, Locale: f.locale,
		AcceptEULA: f.acceptEULA, InPlace: f.inPlace, NewUUID: f.newUUID,
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
	if f.cpus < 0 {
		return request, usageError{"--cpus must be 1 or more"}
	}
	if f.detach && f.start {
		return request, usageError{"--detach and --start contradict each other"}
	}
	if f.memory != "" {
		if request.Memory, err = api.ParseSize(f.memory); err != nil {
			return request, usageError{"--memory: " + err.Error()}
		}
	}
	if request.Networks, err = pairs("--network", "FROM=TO", f.networks); err != nil {
		return request, err
	}
	if request.Properties, err = pairs("--property", "KEY=VALUE", f.properties); err != nil {
		return request, err
	}
	if f.trust != "" {
		text, err := os.ReadFile(f.trust)
		if err != nil {
			return request, fmt.Errorf("--trust: %w", err)
		}
		request.Trust = string(text)
	}
	return request, nil
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
	plan, err := a.client.PlanImport(ctx, request)
	if err != nil {
		return failed("import", "", err)
	}
	if len(plan.Licences) > 0 && !request.AcceptEULA {
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
	shown := a.newProgress()
	task, err = a.follow(ctx, task, shown)
	shown.close()
	if err != nil {
		return failed("import", "", err)
	}
	a.warn(thing, task.Warnings)
	for _, m := range plan.Machines {
		if err := a.imported(ctx, m.Spec, f.start); err != nil {
			return err
		}
	}
	return nil
}

// agree shows licences and asks whether the user agrees to them.
func (a *app) agree(licences []api.Licence) (bool, error) {
	for _, l := range licences {
		fmt.Fprintln(a.err, printableText(l.Text))
	}
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

// imported says that a machine was made, and starts it if that is wanted.
func (a *app) imported(ctx context.Context, spec api.Spec, start bool) error {
	done := "imported"
	if start {
		task, err := a.client.Start(context.WithoutCancel(ctx), spec.Name)
		if err != nil {
			return failed("start", spec.Name, err)
		}
		shown := a.newProgress()
		_, err = a.follow(ctx, task, shown)
		shown.close()
		if err != nil {
			return failed("start", spec.Name, err)
		}
		done = "imported and running"
	}
	return a.showCreated(ctx, spec.Name, done)
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
	files := map[string]api.PlannedDisk{}
	for _, d := range m.Disks {
		files[d.Drive] = d
	}
	rows := make([]table.Row, 0, len(s.Drives))
	for _, d := range s.Drives {
		from, size := files[d.Name], ""
		if d.Size > 0 {
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
	a.printNotes(m.Notes)
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
