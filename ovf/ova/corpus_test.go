package ova_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/ovf/ova"
)

var update = flag.Bool("update", false, "renew the golden files")

// TestCorpus goes through the archives that other programs made, as a stream
// and in place, and says what it finds.
func TestCorpus(t *testing.T) {
	var b strings.Builder
	seen := 0
	facts := ovfFacts(t)
	for _, kind := range []string{"ova", "ovf"} {
		for _, f := range disktest.CorpusFiles(t, kind) {
			if ext := filepath.Ext(f.Name); ext != ".ova" && ext != ".tar" {
				continue
			}
			seen++
			text, err := os.ReadFile(f.Path)
			if err != nil {
				t.Fatal(err)
			}
			streamed, members := stream(t, text)
			fmt.Fprintf(&b, "%s\t%s\n", f.Name, streamed)
			if inPlace := inPlace(t, text); inPlace != streamed {
				t.Errorf("%s: as a stream %s\nin place %s", f.Name, streamed, inPlace)
			}
			against(t, f.Name, facts[f.Name], members, streamed)
		}
	}
	if seen < 19 {
		t.Errorf("the corpus has only %d archives", seen)
	}
	golden(t, "testdata/corpus.golden", b.String())
}

// stream reads an archive in one pass, through a reader that cannot do more.
func stream(t *testing.T, text []byte) (string, []string) {
	t.Helper()
	r, err := ova.NewReader(io.MultiReader(bytes.NewReader(text)), ova.Options{KeepGoing: true})
	if err != nil {
		return "refused: " + err.Error(), nil
	}
	defer r.Close()
	var members []string
	for {
		m, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "refused: " + err.Error(), members
		}
		members = append(members, m.Name)
		if n, err := io.Copy(io.Discard, m); err != nil || n != m.Size {
			t.Errorf("%s: %d bytes of %d, %v", m.Name, n, m.Size, err)
		}
	}
	report, err := r.Verify(ova.Trust{})
	return describe(len(members), report, err), members
}

func inPlace(t *testing.T, text []byte) string {
	t.Helper()
	a, err := ova.Open(bytes.NewReader(text), int64(len(text)), ova.Limits{})
	if err != nil {
		return "refused: " + err.Error()
	}
	if _, err := a.Envelope(); err != nil {
		t.Error(err)
	}
	report, err := a.Verify(t.Context(), ova.Trust{})
	return describe(len(a.Members()), report, err)
}

// describe is what is known of an archive, in one line.
func describe(members int, report *ova.Report, err error) string {
	line := fmt.Sprintf("members=%d", members)
	switch {
	case report.Manifest == nil:
		line += " no manifest"
	default:
		line += fmt.Sprintf(" %v verified=%d unlisted=%d", report.Manifest.Algorithms(), len(report.Verified), len(report.Unlisted))
	}
	if err != nil {
		line += fmt.Sprintf(" wrong=%d", len(strings.Split(err.Error(), "\n")))
	}
	for _, f := range report.Findings {
		line += "; " + f.String()
	}
	return line
}

var (
	memberFact   = regexp.MustCompile(`members=([^;]*)`)
	manifestFact = regexp.MustCompile(`manifest (SHA\d+) ok=(\d+) bad=(\d+) missing=(\d+)`)
)

// against compares with what another reader saw. It did not know manifests in
// the form of sha1sum.
func against(t *testing.T, name, facts string, members []string, described string) {
	t.Helper()
	if m := memberFact.FindStringSubmatch(facts); m != nil && members != nil {
		if have := strings.Join(members, ","); !strings.HasPrefix(have, m[1]) {
			t.Errorf("%s: the members are %s; the table says %s", name, have, m[1])
		}
	}
	if m := manifestFact.FindStringSubmatch(facts); m != nil {
		if want := fmt.Sprintf("[%s] verified=%s ", m[1], m[2]); !strings.Contains(described, want) || strings.Contains(described, "wrong") {
			t.Errorf("%s: %s; the table says %s", name, described, m[0])
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
	columns := map[string]int{}
	for i, title := range rows[0] {
		columns[title] = i
	}
	facts := map[string]string{}
	for _, row := range rows[1:] {
		facts[row[columns["file"]]] = row[columns["ovf_facts"]]
	}
	return facts
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
