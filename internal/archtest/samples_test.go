package archtest

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// sample is a module small enough to be read: file names and their text.
type sample map[string]string

func (s sample) load(t *testing.T) *tree {
	t.Helper()
	sources := fstest.MapFS{"go.mod": {Data: []byte("module example.org/sample\n")}}
	for name, text := range s {
		sources[name] = &fstest.MapFile{Data: []byte(text)}
	}
	loaded, err := load(sources)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// whats joins what was found, so that a test can compare it at a glance.
func whats(found []finding) string {
	var lines []string
	for _, f := range found {
		lines = append(lines, fmt.Sprintf("%s:%d: %s", f.pos.Filename, f.pos.Line, f.what))
	}
	return strings.Join(lines, "\n")
}

func expect(t *testing.T, found []finding, want string) {
	t.Helper()
	if got := whats(found); got != want {
		t.Errorf("found:\n%s\nwant:\n%s", got, want)
	}
}

func TestLoadSkipsWhatIsNotOfTheModule(t *testing.T) {
	loaded := sample{
		"a/a.go":                 "package a",
		"a/testdata/broken.go":   "no Go at all",
		".cache/hidden.go":       "no Go at all",
		"build/made.go":          "no Go at all",
		"web/node_modules/x.go":  "no Go at all",
		"tools/go.mod":           "module example.org/sample/tools",
		"tools/another.go":       "no Go at all",
		"a/building/building.go": "package building",
	}.load(t)
	var paths []string
	for _, p := range loaded.packages {
		paths = append(paths, p.path)
	}
	if got := strings.Join(paths, " "); got != "./a ./a/building" {
		t.Errorf("loaded %s, want ./a ./a/building", got)
	}
}

func TestPatterns(t *testing.T) {
	cases := []struct {
		pattern, path string
		want          bool
	}{
		{"os/...", "os", true},
		{"os/...", "os/exec", true},
		{"os/...", "oswald", false},
		{"./disk", "./disk/raw", false},
		{"./disk/vhd/...", "./disk/vhdx", false},
		{"./...", "./internal/state", true},
		{"./...", ".", true},
		{"./...", "example.org/other", false},
		{"./...test", "./disk/disktest", true},
		{"./...test", "./internal/testenv", false},
	}
	for _, c := range cases {
		if got := pattern(c.pattern).MatchString(c.path); got != c.want {
			t.Errorf("pattern %s and %s: %v, want %v", c.pattern, c.path, got, c.want)
		}
	}
}

// TestRules shows for every rule an import that breaks it and, where it has an exception, one that does not.
func TestRules(t *testing.T) {
	cases := []struct {
		name, file, imports string
		rule                string // of what is broken, empty if nothing is
	}{
		{"a library using internals", "disk/d.go", "./internal/state", "libraries stand alone"},
		{"disk using what is above it", "disk/d.go", "./disk/window", "disk is the lowest"},
		{"an image knowing appliances", "disk/nbd/n.go", "./ovf", "disk knows only disks"},
		{"an envelope knowing archives", "ovf/o.go", "./ovf/ova", "ovf below ovf/ova"},
		{"an archive knowing envelopes", "ovf/ova/o.go", "./ovf", ""},
		{"an appliance knowing the client", "ovf/ova/o.go", "./client", "ovf knows only appliances"},
		{"the interface knowing its client", "api/a.go", "./client", "api is only types"},
		{"the client using the interface", "client/c.go", "./api", ""},
		{"the client using disks", "client/c.go", "./disk", "client knows only the interface"},
		{"one format using another", "disk/vdi/v.go", "./disk/vmdk", "one format never imports another"},
		{"a format using its own part", "disk/vmdk/v.go", "./disk/vmdk/descriptor", ""},
		{"a format asking for the list", "disk/vmdk/v.go", "./disk/formats", "one format never imports another"},
		{"a decorator knowing a format", "disk/window/w.go", "./disk/raw", "disk/formats is the list of formats"},
		{"the list of formats", "disk/formats/f.go", "./disk/raw", ""},
		{"a machine reading files", "internal/machine/m.go", "os", "machine is pure"},
		{"a machine running programs", "internal/machine/m.go", "os/exec", "machine is pure"},
		{"a machine with an address", "internal/machine/m.go", "net/netip", ""},
		{"a machine of the wire's types", "internal/machine/m.go", "./api", ""},
		{"a machine in the store", "internal/machine/m.go", "./internal/state", "machine is pure"},
		{"a test of machines reading files", "internal/machine/m_test.go", "os", ""},
		{"a plan that looks", "internal/plan/place/p.go", "net/http", "plan is pure"},
		{"arguments from the host", "internal/qemu/args.go", "os", "qemu is pure but for probing"},
		{"probing the host", "internal/qemu/probe_kvm.go", "os", ""},
		{"the protocol keeping state", "internal/qmp/q.go", "./internal/state", "qemu decides nothing"},
		{"the command line in the store", "internal/cli/c.go", "./internal/state", "clients know only the interface"},
		{"the store using tasks", "internal/state/s.go", "./internal/task", "the daemon's layers"},
		{"media using pools", "internal/media/m.go", "./internal/pool/dir", ""},
		{"a pool using the server", "internal/pool/dir/d.go", "./internal/server", "the daemon's layers"},
		{"the server using the runner", "internal/server/s.go", "./internal/runner", ""},
		{"etcd where it belongs", "internal/state/etcdstate/e.go", "go.etcd.io/etcd/client/v3", ""},
		{"etcd elsewhere", "internal/task/t.go", "go.etcd.io/etcd/client/v3", "etcd has one place"},
		{"huma elsewhere", "internal/task/t.go", "github.com/danielgtaylor/huma/v2", "huma has one place"},
		{"cobra elsewhere", "internal/daemon/d.go", "github.com/spf13/cobra", "cobra has one place"},
		{"cobra in the command line", "internal/cli/c.go", "github.com/spf13/cobra", ""},
		{"QMP elsewhere", "internal/server/s.go", "./internal/qmp", "QMP has its speakers"},
		{"QMP in the runner", "internal/runner/r.go", "./internal/qmp", ""},
		{"testing in the program", "internal/task/t.go", "testing", "no tests in the program"},
		{"testing in a suite", "internal/state/statetest/s.go", "testing", ""},
	}
	broken := map[string]bool{}
	for _, c := range cases {
		imports := c.imports
		if own, ok := strings.CutPrefix(imports, "./"); ok {
			imports = "example.org/sample/" + own
		}
		found := checkImports(sample{c.file: fmt.Sprintf("package p\n\nimport %q\n", imports)}.load(t), rules())
		if (c.rule == "") != (len(found) == 0) || !hasRule(found, c.rule) {
			t.Errorf("%s: found %v, want broken: %q", c.name, found, c.rule)
		}
		broken[c.rule] = true
	}
	for _, r := range rules() {
		if !broken[r.name] {
			t.Errorf("no case shows that the rule %q can be broken", r.name)
		}
		if r.because == "" || r.instead == "" {
			t.Errorf("the rule %q gives no reason or no advice", r.name)
		}
	}
}

func hasRule(found []finding, name string) bool {
	for _, f := range found {
		if f.rule == name {
			return true
		}
	}
	return name == ""
}

func TestReachNamesTheWay(t *testing.T) {
	found := checkImports(sample{
		"internal/cli/c.go":     "package cli\n\nimport _ \"example.org/sample/internal/between\"\n",
		"internal/between/b.go": "package between\n\nimport _ \"example.org/sample/internal/task\"\n",
		"internal/task/t.go":    "package task\n",
	}.load(t), rules())
	expect(t, found, "internal/cli/c.go:3: ./internal/cli imports ./internal/between, which leads to ./internal/task")
}

func TestMessageTellsRuleReasonAndRemedy(t *testing.T) {
	text := finding{rule: "a rule", what: "a deed", because: "a reason", instead: "a remedy"}.String()
	for _, want := range []string{"a rule", "a deed", "a reason", "a remedy"} {
		if !strings.Contains(text, want) {
			t.Errorf("the message lacks %q:\n%s", want, text)
		}
	}
}

func TestPackageComments(t *testing.T) {
	expect(t, checkPackageComments(sample{
		"good/good.go":        "// Package good is described.\npackage good\n",
		"good/more.go":        "package good\n",
		"bad/bad.go":          "package bad\n",
		"bad/bad_test.go":     "// Package bad is described only in a test.\npackage bad\n",
		"tested/only_test.go": "// Package tested has nothing but tests.\npackage tested\n",
	}.load(t)), "bad/bad.go:1: ./bad has no package comment")
}

func TestInterfaceComments(t *testing.T) {
	expect(t, checkInterfaceComments(sample{"p/p.go": `package p

type Store interface {
	error
	// Get gets.
	Get()
	Put() // not above it
}

type hidden interface{ Get() }

func f(interface{ Get() }) {}
`}.load(t)), "p/p.go:7: Store.Put has no comment")
}

func TestPackageNames(t *testing.T) {
	expect(t, checkPackageNames(sample{
		"ring/ring.go":     "package ring\n",
		"util/all.go":      "package util\n",
		"strings2/more.go": "package helpers\n",
	}.load(t)), "strings2/more.go:1: ./strings2 is named helpers\nutil/all.go:1: ./util is named util")
}

func TestSizes(t *testing.T) {
	long := "package p\n\nfunc long() {\n" + strings.Repeat("\t_ = 0\n", maxFunctionLines-1) + "}\n"
	fits := strings.Replace(long, "\t_ = 0\n", "", 1)
	large := "package p\n" + strings.Repeat("\n", maxFileLines)
	expect(t, checkSizes(sample{
		"p/long.go":       long,
		"p/fits.go":       fits,
		"p/table_test.go": long,
		"p/large.go":      large,
		"p/generated.go":  "// Code generated by hand. DO NOT EDIT.\n\n" + large,
	}.load(t)), "p/large.go:1: p/large.go has 701 lines\np/long.go:3: long has 101 lines")
}

func TestSleeps(t *testing.T) {
	sleeping := "package p\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n"
	expect(t, checkSleeps(sample{
		"p/p.go":             sleeping,
		"p/p_test.go":        sleeping,
		"p/renamed_test.go":  "package p\n\nimport clock \"time\"\n\nvar f = clock.Sleep\n",
		"p/bubble_test.go":   "package p\n\nimport (\n\t\"testing/synctest\"\n\t\"time\"\n)\n\nfunc g() { synctest.Test(nil, func() { time.Sleep(1) }) }\n",
		"disk/disktest/d.go": sleeping,
	}.load(t)), "disk/disktest/d.go:5: this test sleeps\np/p_test.go:5: this test sleeps\np/renamed_test.go:5: this test sleeps")
}

func TestInit(t *testing.T) {
	expect(t, checkInit(sample{
		"p/p.go": "package p\n\nfunc init() {}\n\ntype engine struct{}\n\nfunc (engine) init() {}\n",
	}.load(t)), "p/p.go:3: p/p.go has one")
}
