// Package readme runs what README.md shows, so that it stays true.
package readme

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/test/harness"
)

// step is a command of the tour and the lines it is shown to print.
type step struct {
	command string
	prints  []string
}

// tour reads the console blocks of the README.
func tour(t *testing.T) []step {
	t.Helper()
	file, err := os.Open("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var steps []step
	inside := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			steps = append(steps, step{command: line[2:]})
		default:
			last := &steps[len(steps)-1]
			last.prints = append(last.prints, line)
		}
	}
	return steps
}

// passing is what differs from one run of the tour to the next.
var passing = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`52:54:00(:[0-9a-f]{2}){3}`), "MAC"},
	{regexp.MustCompile(`\b(\d+ (second|minute)s?|moments)( ago)?\b`), "TIME"},
	{regexp.MustCompile(`/\S+/`), "/PLACE/"},
	{regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`), ""},
	{regexp.MustCompile(`\s+`), " "}, // columns follow the widths of what is in them
}

func lasting(text string) string {
	for _, p := range passing {
		text = p.what.ReplaceAllString(text, p.as)
	}
	return strings.TrimSpace(text)
}

func TestTour(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a guest")
	}
	qemuImg := testenv.Need(t, "qemu-img")
	program, err := harness.Panal()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(harness.Clean)
	home := harness.NewHome(t)
	vmdk := filepath.Join(home.Dir, "old-server.vmdk")
	if out, err := exec.Command(qemuImg, "convert", "-O", "vmdk", testenv.DebianGuest(t).Path, vmdk).CombinedOutput(); err != nil {
		t.Fatalf("make the disk: %v\n%s", err, out)
	}
	env := append(os.Environ(), append(home.Env(), "PATH="+harness.Path(program))...)
	for _, step := range tour(t) {
		command := exec.Command("bash", "-c", step.command)
		command.Dir, command.Env = home.Dir, env
		out, _ := command.CombinedOutput() // what it prints tells whether it failed as shown
		got, want := lasting(string(out)), lasting(strings.Join(step.prints, "\n"))
		if tail, found := strings.CutPrefix(want, "…"); found && strings.HasSuffix(got, tail) {
			continue
		}
		if got != want {
			t.Fatalf("$ %s\nprints\n%s\nnot, as the README has it,\n%s", step.command, out, strings.Join(step.prints, "\n"))
		}
	}
}
