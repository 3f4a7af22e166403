// Package dist holds what a distribution installs beside the binary: systemd units and the users they need. These tests
// let systemd judge them.
package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/cgroup"
	"github.com/panalvm/panal/internal/testenv"
)

// prepare copies units to a folder of the test, with the binary replaced by one that is there. It returns their paths.
func prepare(t *testing.T, kind string) []string {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	units, err := filepath.Glob(filepath.Join("systemd", kind, "panal.*"))
	if err != nil || len(units) != 2 {
		t.Fatalf("found the units %v (%v), want a service and a socket", units, err)
	}
	dir := t.TempDir()
	var copies []string
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Base(unit))
		// Systemd 254 brought the key; older ones, as Debian 12's, ignore it with the warning that would fail the test.
		plain := strings.Replace(string(text), "DelegateSubgroup="+cgroup.Leaf+"\n", "", 1)
		if strings.HasSuffix(unit, ".service") && plain == string(text) {
			t.Errorf("%s does not start the daemon in the group %s, beside which it makes others", unit, cgroup.Leaf)
		}
		text = []byte(strings.ReplaceAll(plain, "/usr/bin/panal", binary))
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		copies = append(copies, path)
	}
	return copies
}

// verify returns what systemd says against units, empty if nothing.
func verify(t *testing.T, kind string, units []string) string {
	t.Helper()
	analyze := testenv.Need(t, "systemd-analyze")
	command := exec.Command(analyze, append([]string{"--" + kind, "--man=no", "--recursive-errors=no", "verify"}, units...)...)
	command.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir(), "HOME="+t.TempDir())
	output, err := command.CombinedOutput()
	if err != nil {
		return string(output) + err.Error()
	}
	return string(output)
}

func TestUnitsPassSystemdsVerification(t *testing.T) {
	for _, kind := range []string{"system", "user"} {
		t.Run(kind, func(t *testing.T) {
			if said := verify(t, kind, prepare(t, kind)); said != "" {
				t.Errorf("systemd-analyze verify:\n%s", said)
			}
		})
	}
}

// TestVerificationNoticesMistakes makes sure that silence above means something.
func TestVerificationNoticesMistakes(t *testing.T) {
	units := prepare(t, "system")
	service := slices.IndexFunc(units, func(path string) bool { return filepath.Ext(path) == ".service" })
	text, err := os.ReadFile(units[service])
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "KillMode=process", "KillMode=proces", 1))
	if err := os.WriteFile(units[service], text, 0o644); err != nil {
		t.Fatal(err)
	}
	if said := verify(t, "system", units); !strings.Contains(said, "proces\n") {
		t.Errorf("a misspelt KillMode passed: %q", said)
	}
}

// TestSysusersMakesTheUsers lets systemd-sysusers work on an empty root.
func TestSysusersMakesTheUsers(t *testing.T) {
	root := runSysusers(t)
	for file, want := range map[string]string{
		"etc/passwd": `(?m)^panal-qemu:.*:/var/lib/panal:.*nologin$`,
		"etc/group":  `(?ms)^panal:.*^kvm:[^\n]*:panal-qemu$|^kvm:[^\n]*:panal-qemu$.*^panal:`,
	} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Error(err)
			continue
		}
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("%s does not match %s:\n%s", file, want, text)
		}
	}
}

// runSysusers applies our file to a root of the test's own, and returns it.
func runSysusers(t *testing.T) string {
	t.Helper()
	sysusers := testenv.Need(t, "systemd-sysusers")
	config, err := filepath.Abs("sysusers.d/panal.conf")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(sysusers, "--root="+root, config).CombinedOutput(); err != nil {
		t.Fatalf("systemd-sysusers: %v\n%s", err, output)
	}
	return root
}
