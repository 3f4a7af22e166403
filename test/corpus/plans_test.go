package corpus_test

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/appliancetest"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/internal/importer"
	"github.com/panalvm/panal/test/harness"
)

// applianceFolders are the folders of the corpus that hold descriptions of
// machines, and what lies beside them.
var applianceFolders = []string{"hdd", "hyperv", "libvirt", "ova", "ovf", "vbox", "vmx"}

// TestPlans asks a daemon what it would make of every file of the corpus that
// describes a machine, or lies beside one: the golden file has the answers.
// Most descriptions come without their disks; what would be made if those were
// there is asked about stand-ins.
func TestPlans(t *testing.T) {
	files := disktest.CorpusFiles(t, "") // skips where there is none
	c := daemonClient(t)
	said := answers{of: map[string][]string{}}
	for _, f := range files {
		if !slices.Contains(applianceFolders, f.Format) {
			continue
		}
		var out strings.Builder
		refused := tellPlan(t, &out, c, f.Path)
		if made := standIns(t, f.Path); refused && made.description != "" {
			fmt.Fprintf(&out, "with %s:\n", strings.Join(made.disks, ", "))
			tellPlan(t, &out, c, made.description)
		}
		said.add(f.Name, out.String())
	}
	appliancetest.Golden(t, "testdata/plans.golden", said.String())
}

// answers are what was said of which files: many are variants of each other.
type answers struct {
	texts []string // in the order in which they came
	of    map[string][]string
}

func (a *answers) add(name, text string) {
	if a.of[text] == nil {
		a.texts = append(a.texts, text)
	}
	a.of[text] = append(a.of[text], name)
}

// String has each answer once, under the names of its files.
func (a *answers) String() string {
	var out strings.Builder
	for _, text := range a.texts {
		for _, name := range a.of[text] {
			fmt.Fprintf(&out, "== %s\n", name)
		}
		out.WriteString(text)
	}
	return out.String()
}

// daemonClient is a client of a daemon in a home of its own.
func daemonClient(t *testing.T) *client.Client {
	t.Helper()
	program, err := harness.Panal()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(harness.Clean)
	home := harness.NewHome(t)
	if _, err := home.Start(program, ""); err != nil {
		t.Fatal(err)
	}
	c := home.Client()
	t.Cleanup(c.Close)
	return c
}

// tellPlan writes what would be made of a file, and tells whether it is refused.
func tellPlan(t *testing.T, out *strings.Builder, c *client.Client, path string) (refused bool) {
	t.Helper()
	plan, err := c.PlanImport(context.Background(), api.ImportRequest{Source: path})
	if err != nil {
		if p, ok := errors.AsType[*api.Problem](err); !ok || p.Kind == api.KindInternal {
			t.Errorf("%s: %v", path, err)
		}
		fmt.Fprintf(out, "refused: %s\n", withoutFolder(err.Error(), path))
		return true
	}
	for _, m := range plan.Machines {
		for _, d := range m.Disks {
			if d.Problem != "" { // the rest of such a plan is told with what stands in for its disks
				why := withoutFolder(d.Problem, path)
				if !strings.HasPrefix(why, "image ") {
					why = "import FILE: " + why
				}
				fmt.Fprintf(out, "refused: %s\n", why)
				return true
			}
		}
	}
	described := descriptionOf(path)
	fmt.Fprintf(out, "%s %q by %q; %s\n", plan.Kind, plan.Name, plan.Producer,
		strings.TrimSuffix(plan.Integrity, ": nothing tells whether it is whole"))
	if n := len(plan.Deployments) + len(plan.Properties) + len(plan.Licences); n > 0 {
		fmt.Fprintf(out, "%d deployments, %d properties, %d licences\n", len(plan.Deployments), len(plan.Properties), len(plan.Licences))
	}
	for i := range plan.Machines {
		tellMachine(out, &plan.Machines[i], described)
	}
	for _, note := range plan.Notes {
		fmt.Fprintf(out, "! %s\n", note)
	}
	return false
}

// withoutFolder is a text without the folder that a file is in.
func withoutFolder(text, path string) string {
	dir := filepath.Dir(path)
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		text = strings.ReplaceAll(text, real, dir)
	}
	text = strings.ReplaceAll(text, path, "FILE")
	return strings.ReplaceAll(strings.ReplaceAll(text, dir+"/", ""), dir, "DIR")
}

// descriptionOf is the text of a description in lower case; empty for what is
// too large to be one.
func descriptionOf(path string) string {
	if info, err := os.Stat(path); err != nil || info.Size() > 8<<20 {
		return ""
	}
	text, _ := os.ReadFile(path) // a folder has none
	return strings.ToLower(string(text))
}

// tellMachine writes a machine in a few lines.
func tellMachine(out *strings.Builder, m *api.PlannedMachine, described string) {
	s := m.Spec
	fmt.Fprintf(out, "  %q %s %s %s%s %dx%dx%d %s %s %s", s.Name, s.Architecture, s.MachineType, s.Firmware.Type, extras(s),
		s.CPU.Sockets, s.CPU.Cores, s.CPU.Threads, s.Memory.Size, s.Display.Video, s.RTC.Base)
	files := map[string]api.PlannedDisk{}
	for _, d := range m.Disks {
		files[d.Drive] = d
	}
	types := map[string]api.ControllerType{}
	for _, c := range s.Controllers {
		types[c.Name] = c.Type
	}
	for _, d := range s.Drives {
		fmt.Fprintf(out, "\n    %s %s", d.Name, place(d, types))
		if from, found := files[d.Name]; found {
			fmt.Fprintf(out, " %s %s %s", d.Size, cmp.Or(from.Format, "new"), from.File)
		}
	}
	for _, a := range s.Adapters {
		fmt.Fprintf(out, "\n    %s %s %s %s on %q", a.Name, a.Model, addressOf(a, described), a.Network, m.Networks[a.Name])
	}
	if len(s.Serials) > 0 {
		fmt.Fprintf(out, "\n    %d serial lines", len(s.Serials))
	}
	for _, note := range m.Notes {
		if !strings.HasPrefix(note, "file ") || !strings.Contains(note, " bytes, and the description says ") { // a stand-in's has another length
			fmt.Fprintf(out, "\n    ! %s", note)
		}
	}
	out.WriteString("\n")
}

// extras are what few machines have.
func extras(s api.Spec) string {
	text := ""
	if s.Firmware.SecureBoot {
		text += "+secureboot"
	}
	if s.TPM != nil {
		text += "+tpm" + s.TPM.Version
	}
	return text
}

// place is where a drive is: the type of the controller tells more than its name.
func place(d api.Drive, types map[string]api.ControllerType) string {
	if d.Port == nil {
		return d.Controller
	}
	return fmt.Sprintf("%s:%d (%s)", d.Controller, *d.Port, types[d.Controller])
}

// addressOf is an adapter's address, or that it has got a new one.
func addressOf(a api.Adapter, described string) string {
	for _, separator := range []string{":", "-", ""} {
		if strings.Contains(described, strings.ReplaceAll(strings.ToLower(a.MAC), ":", separator)) {
			return a.MAC
		}
	}
	return "new"
}

// standIn is a description whose disks have been made up.
type standIn struct {
	description string   // where its copy is; empty when there is nothing to stand in for
	disks       []string // what was made
}

// standIns copies a description to an empty folder, with empty disks beside it
// as the description says they are. Absolute paths become names.
func standIns(t *testing.T, path string) standIn {
	t.Helper()
	source, err := importer.Open(path, appliance.Choices{})
	if err != nil {
		return standIn{} // it is refused for what it is
	}
	defer source.Close()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := workDir(t)
	var made standIn
	for _, m := range source.Appliance.Machines {
		for _, d := range m.Disks {
			if d.File == "" || d.Remote || d.Encryption != "" {
				continue
			}
			if filepath.IsAbs(d.File) {
				text = []byte(strings.ReplaceAll(string(text), d.File, filepath.Base(d.File)))
				d.File = filepath.Base(d.File)
			}
			if !filepath.IsLocal(d.File) || slices.Contains(made.disks, d.File) {
				continue
			}
			makeDisk(t, dir, d)
			made.disks = append(made.disks, d.File)
		}
	}
	if len(made.disks) > 0 {
		made.description = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(made.description, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

// makeDisk makes an empty disk of the kind that a description says.
func makeDisk(t *testing.T, dir string, d appliance.Disk) {
	t.Helper()
	path := filepath.Join(dir, d.File)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	format := cmp.Or(d.Format, strings.TrimPrefix(strings.ToLower(filepath.Ext(strings.TrimSuffix(d.File, ".gz"))), "."))
	if _, _, err := disk.Find(formats.All(), format); err != nil {
		format = "raw"
	}
	m := diskfile.Make{Format: format, Size: cmp.Or((d.Size+511)&^511, 1<<20)}
	image := path + ".whole"
	if _, err := (diskfile.Place{}).Create(image, m); err != nil {
		t.Fatalf("%s: %v", d.File, err)
	}
	if d.Compression == "gzip" {
		compress(t, image)
	}
	if d.Parts > 0 {
		path += ".000000000"
	} else if d.Compression == "" {
		lengthen(t, image, d.Length)
	}
	if err := os.Rename(image, path); err != nil {
		t.Fatal(err)
	}
}

// lengthen makes a file as long as its description says: one that is shorter would have been cut off.
func lengthen(t *testing.T, path string, length int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil && info.Size() < length {
		err = os.Truncate(path, length)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// compress compresses a file.
func compress(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := gzip.NewWriter(file)
	_, err = w.Write(content)
	if err := errors.Join(err, w.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
}
