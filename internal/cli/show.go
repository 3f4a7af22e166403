package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a machine: its hardware and its state",
		Long: `Show a machine. --json prints everything; edit that and give it to
"panal set NAME --file", or to "panal create --file" on another host.`,
		Example: `  panal show web
  panal show web --json | jq .status.state`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeMachine,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return failed("show", args[0], err)
			}
			machine, err := c.Get(cmd.Context(), args[0])
			if err != nil {
				return failed("show", args[0], err)
			}
			if a.json {
				return a.printJSON(machine)
			}
			if a.quiet {
				fmt.Fprintln(a.out, machine.Status.State)
				return nil
			}
			a.printMachine(machine)
			return nil
		},
	}
}

// printMachine writes a page about a machine.
func (a *app) printMachine(m api.Machine) {
	a.heading(m.Spec.Name)
	a.facts(identity(m))
	a.heading("State")
	a.facts(a.status(m.Status))
	a.heading("Hardware")
	a.facts(hardware(m.Spec))
	a.printDrives(m.Spec.Drives)
	a.printAdapters(m.Spec.Adapters)
	a.printEnvironment(m.Spec.Environment)
	if len(m.Status.Warnings) > 0 {
		a.heading("Warnings")
		for _, warning := range m.Status.Warnings {
			fmt.Fprintln(a.out, "  "+printable(warning))
		}
	}
}

// printEnvironment writes what a guest is told by the CD of its appliance; of a secret, that it is one.
func (a *app) printEnvironment(e *api.Environment) {
	if e == nil || len(e.Properties) == 0 {
		return
	}
	a.heading("Properties")
	for _, key := range slices.Sorted(maps.Keys(e.Properties)) {
		fmt.Fprintf(a.out, "  %s\n", printable(key+"="+e.Properties[key]))
	}
}

// fact is a line of the page: nothing is written of one without a value.
type fact struct{ name, value string }

// facts writes lines.
func (a *app) facts(facts []fact) {
	for _, f := range facts {
		if f.value != "" {
			fmt.Fprintf(a.out, "  %-12s %s\n", f.name, f.value)
		}
	}
}

// heading begins a part of the page.
func (a *app) heading(title string) {
	if a.colours() {
		title = text.Bold.Sprint(title)
	}
	fmt.Fprintln(a.out, title)
}

// identity is what a machine is called and where it is.
func identity(m api.Machine) []fact {
	labels := make([]string, 0, len(m.Spec.Labels))
	for _, name := range slices.Sorted(maps.Keys(m.Spec.Labels)) {
		labels = append(labels, printable(name+"="+m.Spec.Labels[name]))
	}
	description := strings.Split(strings.TrimSpace(m.Spec.Description), "\n")
	for i := range description {
		description[i] = printable(description[i])
	}
	return []fact{
		{"UUID", m.Spec.UUID},
		{"description", strings.Join(description, "\n"+strings.Repeat(" ", 15))},
		{"labels", strings.Join(labels, ", ")},
		{"folder", m.Folder},
		{"created", ago(m.Created)},
		{"autostart", describeAutostart(m.Spec.Autostart)},
		{"restart", describeRestart(m.Spec.Restart)},
		{"snapshots", describeSchedule(m)},
	}
}

// status is what a machine is doing.
func (a *app) status(s api.Status) []fact {
	facts := []fact{
		{"state", fmt.Sprintf("%s for %s", a.stateText(s.State), span(time.Since(s.Since)))},
		{"task", s.Task},
	}
	if s.PID > 0 {
		facts = append(facts, fact{"process", fmt.Sprintf("%d, %s, %s", s.PID, s.Accelerator, s.MachineType)},
			fact{"CPUs", describePlugged(s)},
			fact{"agent", map[bool]string{true: "connected", false: "not connected"}[s.Agent]},
			fact{"display", s.VNC})
	}
	if s.PID > 0 && s.Memory != nil {
		facts = append(facts, fact{"memory", describeMemoryStatus(*s.Memory)})
	}
	if s.Started != nil {
		facts = append(facts, fact{"started", ago(*s.Started)})
	}
	if s.Resets > 0 {
		facts = append(facts, fact{"resets", fmt.Sprint(s.Resets)})
	}
	if s.LastEnd != nil {
		facts = append(facts, fact{"last end", describeEnd(*s.LastEnd)})
	}
	if s.NextRestart != nil {
		facts = append(facts, fact{"restart", fmt.Sprintf("in %s, attempt %d", span(time.Until(*s.NextRestart)), s.Restarts+1)})
	}
	return facts
}

// describePlugged tells CPUs that are plugged in from those that the guest uses.
func describePlugged(s api.Status) string {
	if s.CPUs == 0 {
		return ""
	}
	text := fmt.Sprintf("%d plugged in", s.CPUs)
	if s.CPUsOnline > 0 {
		text += fmt.Sprintf(", %d in use", s.CPUsOnline)
	}
	return text
}

// describeEnd is how and when a run ended.
func describeEnd(end api.End) string {
	words := map[api.EndReason]string{
		api.EndGuestShutdown: "the guest shut down",
		api.EndGuestPanic:    "the guest panicked",
		api.EndStopped:       "powered off by command",
		api.EndSaved:         "saved by command",
		api.EndKilled:        "QEMU was killed from outside",
		api.EndFailed:        "QEMU failed",
		api.EndHostRestart:   "the host restarted",
	}
	text := words[end.Reason]
	if text == "" {
		text = string(end.Reason)
	}
	if end.Detail != "" {
		text += ": " + printable(end.Detail)
	}
	return text + ", " + ago(end.Time)
}

// hardware is what a machine is made of, but for drives and adapters.
func hardware(s api.Spec) []fact {
	facts := []fact{
		{"machine", fmt.Sprintf("%s, %s", s.Architecture, s.MachineType)},
		{"firmware", describeFirmware(s)},
		{"CPUs", describeCPU(s.CPU)},
		{"memory", describeMemory(s.Memory)},
		{"display", strings.Trim(s.Display.Type+", "+s.Display.Video, ", ")},
		{"clock", s.RTC.Base},
		{"boot order", strings.Join(s.Boot.Order, ", ")},
	}
	if text := describeCPUTime(s.CPU); text != "" {
		facts = append(facts, fact{"CPU time", text})
	}
	if s.TPM != nil {
		facts = append(facts, fact{"TPM", s.TPM.Version})
	}
	if s.Kernel != nil {
		facts = append(facts, fact{"kernel", s.Kernel.Image}, fact{"initrd", s.Kernel.Initrd}, fact{"command line", printable(s.Kernel.CommandLine)})
	}
	for _, serial := range s.Serials {
		facts = append(facts, fact{serial.Name, "keeps " + serial.LogSize.String() + " of output"})
	}
	return facts
}

func describeFirmware(s api.Spec) string {
	if s.Firmware.SecureBoot {
		return string(s.Firmware.Type) + " with secure boot"
	}
	return string(s.Firmware.Type)
}

func describeCPU(c api.CPU) string {
	text := fmt.Sprint(c.Count)
	if c.Maximum > c.Count {
		text += fmt.Sprintf(" of at most %d", c.Maximum)
	}
	text += fmt.Sprintf(" (%s, %s, %s), ", plural(int64(c.Sockets), "socket"), plural(int64(c.Cores), "core"), plural(int64(c.Threads), "thread"))
	return text + "model " + cmp.Or(c.Model, "default")
}

// describeMemoryStatus says how the memory of a running guest stands.
func describeMemoryStatus(m api.MemoryStatus) string {
	text := m.Assigned.String() + " now"
	if m.Plugged > 0 {
		text += fmt.Sprintf(", %s plugged in", m.Plugged)
	}
	if m.Ballooned > 0 {
		text += fmt.Sprintf(", %s in the balloon", m.Ballooned)
	}
	if m.Step != nil {
		text += fmt.Sprintf("; %s %s: %s", m.Step.Action, ago(m.Step.Time), printable(m.Step.Reason))
	}
	return text
}

// describeMemory says what memory a machine has and how it can move.
func describeMemory(m api.Memory) string {
	text := m.Size.String()
	if m.Minimum > 0 && m.Minimum < m.Size {
		text += fmt.Sprintf(", at least %s", m.Minimum)
	}
	if m.Maximum > m.Size {
		text += fmt.Sprintf(", at most %s", m.Maximum)
	}
	if m.Start > 0 && m.Start != m.Size {
		text += fmt.Sprintf(", boots with %s", m.Start)
	}
	if m.Balloon > 0 {
		text += fmt.Sprintf(", %s of it taken by the balloon", m.Balloon)
	}
	return text + describeHostMemory(m)
}

// describeHostMemory says what the host does with a machine's memory; empty where the spec says nothing of it.
func describeHostMemory(m api.Memory) string {
	var text string
	add := func(set bool, format string, args ...any) {
		if set {
			text += ", " + fmt.Sprintf(format, args...)
		}
	}
	add(m.Reserve > 0, "%s reserved", m.Reserve)
	add(m.Limit > 0, "limited to %s", m.Limit)
	add(m.Reclaim == api.ReclaimOff, "never moved out")
	add(m.Reclaim == api.ReclaimCompress, "compressed, not swapped")
	add(m.Swap > 0, "at most %s moved out", m.Swap)
	add(m.PageSize > 0, "pages of %s", m.PageSize)
	add(m.Locked, "locked")
	add(m.Nodes != "", "from NUMA nodes %s (%s)", m.Nodes, cmp.Or(m.Placement, api.NodesBind))
	return text
}

// describeCPUTime tells how much CPU time a machine gets, and where; empty where the spec says nothing of it.
func describeCPUTime(c api.CPU) string {
	var parts []string
	add := func(name, value string) {
		if value != "" && value != "0" && value != "0%" {
			parts = append(parts, name+" "+value)
		}
	}
	add("cap", fmt.Sprintf("%d%%", c.Cap))
	add("limit", string(c.Limit))
	add("reservation", string(c.Reservation))
	add("shares", fmt.Sprint(c.Shares))
	add("on CPUs", c.Pin)
	add("emulator on", c.PinEmulator)
	add("controllers on", c.PinIOThreads)
	add("NUMA nodes", c.Nodes)
	add("nested virtualization", c.Nested)
	return strings.Join(parts, ", ")
}

func describeAutostart(s api.Autostart) string {
	if !s.Enabled {
		return "no"
	}
	text := fmt.Sprintf("yes, order %d", s.Order)
	if s.Delay > 0 {
		text += fmt.Sprintf(", %s after the one before", plural(int64(s.Delay), "second"))
	}
	return text
}

// describeSchedule says which snapshots are taken by the clock, and when next.
func describeSchedule(m api.Machine) string {
	var kinds []string
	for _, one := range []struct {
		kind string
		kept int
	}{
		{"hourly", m.Spec.Snapshots.Hourly},
		{"daily", m.Spec.Snapshots.Daily},
		{"weekly", m.Spec.Snapshots.Weekly},
		{"monthly", m.Spec.Snapshots.Monthly},
	} {
		if one.kept > 0 {
			kinds = append(kinds, fmt.Sprintf("%s %d", one.kind, one.kept))
		}
	}
	text := strings.Join(kinds, ", ")
	if text != "" && m.Status.Schedule != nil {
		text += "; next " + m.Status.Schedule.Next.Local().Format("2006-01-02 15:04")
	}
	return text
}

func describeRestart(r api.Restart) string {
	if r.MaxAttempts > 0 {
		return fmt.Sprintf("%s, at most %d times", r.Policy, r.MaxAttempts)
	}
	return string(r.Policy)
}

// printDrives writes the drives as a table.
func (a *app) printDrives(drives []api.Drive) {
	if len(drives) == 0 {
		return
	}
	rows := make([]table.Row, len(drives))
	for i, d := range drives {
		place := d.Controller
		if d.Port != nil {
			place += fmt.Sprintf(":%d", *d.Port)
		}
		size := "-"
		if d.Size > 0 {
			size = human(int64(d.Size))
		}
		rows[i] = table.Row{"  " + d.Name, d.Kind, orDash(place), size, orDash(string(d.Mode)), orDash(d.Format), orDash(printable(d.Source))}
	}
	a.heading("Drives")
	a.printTable(table.Row{"  NAME", "KIND", "PLACE", "SIZE", "MODE", "FORMAT", "SOURCE"}, rows)
}

// printAdapters writes the network adapters as a table.
func (a *app) printAdapters(adapters []api.Adapter) {
	if len(adapters) == 0 {
		return
	}
	rows := make([]table.Row, len(adapters))
	for i, n := range adapters {
		network := n.Network
		if n.NetworkName != "" {
			network += fmt.Sprintf(" (%q elsewhere)", n.NetworkName)
		}
		if n.Isolated {
			network += ", isolated"
		}
		forwards := make([]string, len(n.Forwards))
		for j, f := range n.Forwards {
			forwards[j] = fmt.Sprintf("%s:%s:%d → %d", orDash(f.Protocol), orDash(f.HostAddress), f.HostPort, f.GuestPort)
		}
		rows[i] = table.Row{"  " + n.Name, n.Model, n.MAC, network, orDash(strings.Join(forwards, ", "))}
	}
	a.heading("Network adapters")
	a.printTable(table.Row{"  NAME", "MODEL", "MAC", "NETWORK", "FORWARDED PORTS"}, rows)
}
