package ovf_test

import (
	"archive/tar"
	"bytes"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/ovf"
)

var update = flag.Bool("update", false, "renew the golden files")

// descriptor is a descriptor of the corpus, and what another reader saw in it.
type descriptor struct {
	name, facts string
	text        []byte
}

// descriptors lists all of the corpus, also those in archives.
func descriptors(t *testing.T) []descriptor {
	t.Helper()
	facts := ovfFacts(t)
	var all []descriptor
	for _, kind := range []string{"ovf", "ova"} {
		for _, f := range disktest.CorpusFiles(t, kind) {
			text, err := os.ReadFile(f.Path)
			if err != nil {
				t.Fatal(err)
			}
			switch strings.ToLower(filepath.Ext(f.Name)) {
			case ".ova", ".tar":
				for name, inner := range inArchive(text) {
					all = append(all, descriptor{f.Name + "/" + name, facts[f.Name], inner})
				}
			case ".mf", ".vmdk", ".iso", ".raw", ".md", ".ini", ".expected":
			default:
				all = append(all, descriptor{f.Name, facts[f.Name], text})
			}
		}
	}
	if len(all) < 500 {
		t.Errorf("the corpus has only %d descriptors", len(all))
	}
	return all
}

func inArchive(p []byte) map[string][]byte {
	found := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(p))
	for {
		h, err := r.Next()
		if err != nil {
			return found
		}
		if strings.HasSuffix(h.Name, ".ovf") {
			found[h.Name], _ = io.ReadAll(r)
		}
	}
}

// ovfFacts reads the column of the corpus' table.
func ovfFacts(t *testing.T) map[string]string {
	t.Helper()
	name := os.Getenv("PANAL_CORPUS_INDEX")
	if name == "" {
		name = filepath.Join(disktest.CorpusDir(t), "INDEX.tsv")
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma, r.FieldsPerRecord = '\t', -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	file, column := -1, -1
	for i, title := range rows[0] {
		switch title {
		case "file":
			file = i
		case "ovf_facts":
			column = i
		}
	}
	facts := map[string]string{}
	for _, row := range rows[1:] {
		facts[row[file]] = row[column]
	}
	return facts
}

// TestCorpus says in one line what is seen in each descriptor, or why it is
// refused.
func TestCorpus(t *testing.T) {
	var b strings.Builder
	for _, d := range descriptors(t) {
		env, err := ovf.Parse(bytes.NewReader(d.text))
		fmt.Fprintf(&b, "%s\t", d.name)
		if err != nil {
			fmt.Fprintf(&b, "refused: %v\n", err)
			continue
		}
		fmt.Fprintln(&b, summary(env))
	}
	golden(t, "testdata/corpus.golden", b.String())
}

// summary is what an envelope has, in one line.
func summary(env *ovf.Envelope) string {
	items := 0
	for _, s := range env.Systems() {
		for h := range ovf.All[*ovf.VirtualHardwareSection](s.Sections) {
			items += len(h.Items)
		}
	}
	found := map[ovf.Severity]int{}
	for _, f := range ovf.Check(env) {
		found[f.Severity]++
	}
	return fmt.Sprintf("%s machines=%d items=%d files=%d disks=%d networks=%d configurations=%d languages=%d errors=%d warnings=%d notes=%d",
		env.Version, len(env.Systems()), items, len(env.Files), len(env.Disks()), len(env.Networks()), len(env.Configurations()),
		len(env.Languages()), found[ovf.Error], found[ovf.Warning], found[ovf.Note])
}

func golden(t *testing.T, name, have string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(have), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(have, "\n")); diff != "" {
		t.Errorf("%s differs:\n%s", name, diff)
	}
}

// TestCorpusFacts compares with what another reader saw.
func TestCorpusFacts(t *testing.T) {
	compared := 0
	for _, d := range descriptors(t) {
		env, err := ovf.Parse(bytes.NewReader(d.text))
		if err != nil || !strings.Contains(d.facts, "OVF") || strings.HasSuffix(d.name, "inside_content.ovf") {
			continue // the last has a disk section where none may be, which is left unread
		}
		compared++
		if wrong := against(env, d.facts); wrong != "" {
			t.Errorf("%s: %s; the table says %s", d.name, wrong, d.facts)
		}
	}
	t.Logf("%d descriptors compared", compared)
	if compared < 450 {
		t.Errorf("only %d descriptors were compared", compared)
	}
}

var fact = regexp.MustCompile(`^(OVF\d|disks=|VS=|VSC=|DeploymentOption|vbox:Machine)(.*)$`)

// against says what differs from facts.
func against(env *ovf.Envelope, facts string) string {
	known := map[string]string{}
	for word := range strings.SplitSeq(facts, ";") {
		if m := fact.FindStringSubmatch(strings.TrimSpace(word)); m != nil {
			known[m[1]] = m[2]
		}
	}
	collections, vbox := 0, false
	for _, c := range env.Content {
		collections += countCollections(c)
	}
	for _, s := range env.Systems() {
		vbox = vbox || s.VirtualBoxMachine() != nil
	}
	have := map[string]string{"disks=": fmt.Sprint(len(env.Disks())), "VS=": fmt.Sprint(len(env.Systems())), "VSC=": fmt.Sprint(collections)}
	if env.Version == ovf.Version09 {
		delete(have, "VS=") // that reader looks for elements by their later names
		delete(have, "VSC=")
	}
	for key, value := range have {
		if want, ok := known[key]; ok && want != value {
			return fmt.Sprintf("%s%s", key, value)
		}
	}
	if _, ok := known["DeploymentOption"]; env.Version != ovf.Version09 && ok != (ovf.First[*ovf.DeploymentOptionSection](env.Sections) != nil) {
		return fmt.Sprintf("configurations are %v", env.Configurations())
	}
	if _, ok := known["vbox:Machine"]; ok != vbox {
		return fmt.Sprintf("vbox:Machine is %v", vbox)
	}
	return ""
}

func countCollections(c ovf.Content) int {
	n := 0
	if c, ok := c.(*ovf.Collection); ok {
		n = 1
		for _, inner := range c.Content {
			n += countCollections(inner)
		}
	}
	return n
}

// TestCorpusRoundTrip writes what it read: it reads the same again.
func TestCorpusRoundTrip(t *testing.T) {
	for _, d := range descriptors(t) {
		env, err := ovf.Parse(bytes.NewReader(d.text))
		if err != nil {
			continue
		}
		if diff := roundTrip(env); diff != "" {
			t.Errorf("%s: %s", d.name, diff)
		}
	}
}

// roundTrip writes and reads an envelope, and says what became different.
func roundTrip(env *ovf.Envelope) string {
	version := max(env.Version, ovf.Version10)
	var b bytes.Buffer
	if err := ovf.Write(&b, env, version); err != nil {
		return fmt.Sprintf("writing: %v", err)
	}
	again, err := ovf.Parse(bytes.NewReader(b.Bytes()))
	if err != nil {
		return fmt.Sprintf("reading what was written: %v\n%s", err, b.Bytes())
	}
	if again.Version != version && version != ovf.Version11 {
		return fmt.Sprintf("the version became %s", again.Version)
	}
	arrange(env)
	if reflect.DeepEqual(parts(env), parts(again)) {
		return ""
	}
	return cmp.Diff(env, again, cmpopts.IgnoreUnexported(ovf.Envelope{}), cmpopts.EquateEmpty(),
		cmpopts.IgnoreFields(ovf.Envelope{}, "Version", "Declared"))
}

// parts is what an envelope has but for its version.
func parts(env *ovf.Envelope) []any {
	return []any{env.Lang, env.Files, env.Sections, env.Content, env.Strings, env.Attrs, env.Extra, env.ExtraFiles}
}

// arrange puts items as version 2 wants them.
func arrange(env *ovf.Envelope) {
	if env.Version < ovf.Version20 {
		return
	}
	for _, s := range env.Systems() {
		for h := range ovf.All[*ovf.VirtualHardwareSection](s.Sections) {
			var sorted []ovf.Item
			for _, kind := range []ovf.ItemKind{ovf.ResourceItem, ovf.EthernetPortItem, ovf.StorageItem} {
				for _, i := range h.Items {
					if i.Kind == kind {
						sorted = append(sorted, i)
					}
				}
			}
			h.Items = sorted
		}
	}
}

// TestCorpusPositiveAndNegative looks at the descriptors that another program's
// tests are to accept, and those that they are to refuse.
func TestCorpusPositiveAndNegative(t *testing.T) {
	for _, d := range descriptors(t) {
		positive, negative := strings.Contains(d.name, "~Pos~"), strings.Contains(d.name, "~Neg~")
		if !positive && !negative {
			continue
		}
		bad, errs := 1, 0
		if env, err := ovf.Parse(bytes.NewReader(d.text)); err == nil {
			bad, errs = judge(env)
		}
		if positive && errs > 0 {
			t.Errorf("%s has %d errors", d.name, errs)
		}
		if negative && bad == 0 && !blameless(d.name) {
			t.Errorf("nothing is wrong with %s", d.name)
		}
	}
}

// judge counts warnings and errors, and errors; but for names that lead out of
// the package, as those of these tests do.
func judge(env *ovf.Envelope) (bad, errs int) {
	for _, f := range ovf.Check(env) {
		if strings.Contains(f.Text, "leads out of the package") || strings.Contains(f.Text, "is absolute") {
			continue
		}
		if f.Severity >= ovf.Warning {
			bad++
		}
		if f.Severity == ovf.Error {
			errs++
		}
	}
	return bad, errs
}

// blameless tells of descriptors that are refused for what is not in them, as
// what the disks hold, or that lack only what may be left out.
func blameless(name string) bool {
	for _, what := range []string{
		"valid_no_disk_in_server.ovf", "invalid_zero_capacity.ovf", "no_version_num.ovf",
		"invalid_createType_disk.ovf", "invalid_delta_reference_disk.ovf", "not_in_order_disks.ovf", "invalid_no_version.ovf", "invalid_ref_size_null.ovf",
	} {
		if strings.HasSuffix(name, what) {
			return true
		}
	}
	return false
}
