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
	if len(m.Status.Warnings) > 0 {
		a.heading("Warnings")
		for _, warning := range m.Status.Warnings {
			fmt.Fprintln(a.out, "  "+printable(warning))
		}
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
			fact{"agent", map[bool]string{true: "connected", false: "not connected"}[s.Agent]},
			fact{"display", s.VNC})
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
		{"memory", s.Memory.Size.String()},
		{"display", strings.Trim(s.Display.Type+", "+s.Display.Video, ", ")},
		{"clock", s.RTC.Base},
		{"boot order", strings.Join(s.Boot.Order, ", ")},
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
