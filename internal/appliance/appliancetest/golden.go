// Package appliancetest helps to test readers of dialects.
package appliancetest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/machine"
)

var update = flag.Bool("update", false, "write golden files anew")

// Corpus reads every file of the corpus of a format whose name ends in suffix,
// and compares what became of them with a golden file: a paragraph each. Every
// machine that comes out has to be one that the daemon would take.
//
// summary is [Summary], or [Brief] for a corpus of hundreds.
func Corpus(t *testing.T, format, suffix, golden string, summary func(*appliance.Appliance) string, read func(path string) (*appliance.Appliance, error)) {
	t.Helper()
	var out strings.Builder
	for _, file := range disktest.CorpusFiles(t, format) {
		if !strings.HasSuffix(file.Name, suffix) {
			continue
		}
		fmt.Fprintf(&out, "== %s\n", file.Name)
		a, err := read(file.Path)
		if err != nil {
			fmt.Fprintf(&out, "refused: %s\n", strings.ReplaceAll(err.Error(), filepath.Dir(file.Path)+"/", ""))
			continue
		}
		out.WriteString(summary(a))
		for _, m := range a.Machines {
			Valid(t, file.Name, m.Spec)
		}
	}
	Golden(t, golden, out.String())
}

// Golden compares text with the content of a file.
func Golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s is no longer true; -update writes it anew (- there, + now):\n%s", path, diff)
	}
}

// Valid reports what the daemon would refuse of a spec.
func Valid(t *testing.T, name string, spec api.Spec) {
	t.Helper()
	spec = machine.Clone(spec)
	for i := range spec.Drives {
		if spec.Drives[i].Kind == api.Disk && spec.Drives[i].Size == 0 {
			spec.Drives[i].Size = api.GiB // its content says it, which only an import looks at
		}
	}
	complete := machine.Complete(spec, machine.Defaults{Architecture: api.X8664, UUID: "0d26f28e-95dc-4a46-9a3f-511ebcdeb1a2"})
	for _, wrong := range machine.Validate(complete) {
		t.Errorf("%s: %s %s", name, wrong.Field, wrong.Message)
	}
}

// Summary is an appliance in lines that a person can check.
func Summary(a *appliance.Appliance) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s %q by %q\n", a.Kind, a.Name, a.Producer)
	for _, d := range a.Deployments {
		fmt.Fprintf(&out, "deployment %s %q\n", d.ID, d.Label)
	}
	for _, p := range a.Properties {
		fmt.Fprintf(&out, "property %s %s = %q\n", p.Key, p.Type, p.Value)
	}
	for _, l := range a.Licences {
		fmt.Fprintf(&out, "licence of %d characters\n", len(l.Text))
	}
	notes(&out, "", a.Notes)
	for _, m := range a.Machines {
		summarize(&out, m)
	}
	return out.String()
}

// Brief is an appliance in a line for each machine, and its notes' subjects.
func Brief(a *appliance.Appliance) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s; %d deployments, %d properties, %d licences; %s\n", a.Producer, len(a.Deployments), len(a.Properties), len(a.Licences), subjects(a.Notes))
	for _, m := range a.Machines {
		s := m.Spec
		fmt.Fprintf(&out, "  %q %s %s %d CPUs %d MiB:", s.Name, s.MachineType, s.Firmware.Type, s.CPU.Count, s.Memory.Size/api.MiB)
		for _, d := range s.Drives {
			fmt.Fprintf(&out, " %s@%s", d.Name, d.Controller)
		}
		for _, a := range s.Adapters {
			fmt.Fprintf(&out, " %s", a.Model)
		}
		fmt.Fprintf(&out, "; %s\n", subjects(m.Notes))
	}
	return out.String()
}

func subjects(notes []appliance.Note) string {
	var list []string
	for _, n := range notes {
		list = append(list, n.Subject)
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}

func summarize(out *strings.Builder, m appliance.Machine) {
	s := m.Spec
	fmt.Fprintf(out, "machine %q %s %s %s cpus=%d memory=%d MiB\n", s.Name, s.Architecture, s.MachineType, s.Firmware.Type, s.CPU.Count, s.Memory.Size/api.MiB)
	for _, extra := range []any{s.TPM, s.Labels, s.Kernel, optional(s.OS)} {
		if text, _ := json.Marshal(extra); string(text) != "null" {
			fmt.Fprintf(out, "  %s\n", text)
		}
	}
	for _, c := range s.Controllers {
		fmt.Fprintf(out, "  controller %s %s\n", c.Name, c.Type)
	}
	for _, d := range s.Drives {
		port := -1
		if d.Port != nil {
			port = *d.Port
		}
		fmt.Fprintf(out, "  drive %s %s on %s port %d%s\n", d.Name, d.Kind, d.Controller, port, content(m.Disks, d.Name))
	}
	for _, a := range s.Adapters {
		fmt.Fprintf(out, "  adapter %s %s %s on %q %s\n", a.Name, a.Model, a.MAC, m.Networks[a.Name], a.Network)
	}
	if len(s.Boot.Order) > 0 {
		fmt.Fprintf(out, "  tried first: %s\n", strings.Join(s.Boot.Order, ", "))
	}
	if len(s.Serials) > 0 {
		fmt.Fprintf(out, "  serial lines: %d\n", len(s.Serials))
	}
	if m.Start != (appliance.Start{}) {
		fmt.Fprintf(out, "  start %+v\n", m.Start)
	}
	for _, snap := range m.Snapshots {
		fmt.Fprintf(out, "  snapshot %s %q on %q of %s, %d disks\n", snap.ID, snap.Name, snap.Parent, snap.Taken.Format("2006-01-02"), len(snap.Disks))
	}
	if m.Current != "" {
		fmt.Fprintf(out, "  current %s\n", m.Current)
	}
	notes(out, "  ", m.Notes)
}

// content is what a drive holds, in a few words.
func content(disks []appliance.Disk, drive string) string {
	for _, d := range disks {
		if d.Drive == drive {
			d.Drive = ""
			text, _ := json.Marshal(d)
			var fields map[string]any
			_ = json.Unmarshal(text, &fields)
			for key, value := range fields {
				if value == "" || value == 0.0 || value == nil || value == false {
					delete(fields, key)
				}
			}
			text, _ = json.Marshal(fields)
			return " " + string(text)
		}
	}
	return " empty"
}

func notes(out *strings.Builder, indent string, notes []appliance.Note) {
	for _, n := range notes {
		fmt.Fprintf(out, "%s! %s\n", indent, n)
	}
}

// optional is nil for an empty text.
func optional(text string) any {
	if text == "" {
		return nil
	}
	return text
}
