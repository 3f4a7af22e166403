package disktest

import (
	"flag"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/disk"
)

// check is one thing that images must do.
type check struct {
	name string
	// applies tells whether the subject can do what is checked.
	applies func(s Subject) bool
	run     func(s Subject) error
}

func writes(s Subject) bool   { return s.variant().Write }
func parents(s Subject) bool  { return s.variant().Parent && !s.NoParent }
func creates(s Subject) bool  { return s.variant().Create }
func streams(s Subject) bool  { return s.variant().Stream }
func children(s Subject) bool { return writes(s) && parents(s) }

// compresses tells whether new images take compressed blocks.
func compresses(s Subject) bool {
	return creates(s) && has[disk.Compressor](s)
}

func compacts(s Subject) bool   { return writes(s) && has[disk.Compacter](s) }
func identified(s Subject) bool { return writes(s) && has[disk.Identified](s) }
func reparents(s Subject) bool  { return children(s) && has[disk.Reparenter](s) }

// has tells whether new images implement an interface.
func has[I any](s Subject) bool {
	img, err := newWorld(s).create("probe", s.Size)
	if err != nil {
		return true // the check will say what is wrong
	}
	_, ok := img.(I)
	return img.Close() == nil && ok
}

// checks are all but the random ones.
func checks() []check {
	return []check{
		{"new", creates, checkNew},
		{"read", creates, checkRead},
		{"map", creates, checkMap},
		{"read-only", creates, checkReadOnly},
		{"truncated", creates, checkTruncated},
		{"range", writes, checkRange},
		{"resize", writes, checkResize},
		{"concurrent", writes, checkConcurrent},
		{"concurrent/child", children, checkConcurrentChild},
		{"chain", children, checkChain},
		{"hidden", children, checkHidden},
		{"alone", children, checkAlone},
		{"alone/zeros", children, checkAloneZeros},
		{"crash", writes, checkCrash},
		{"crash/new", writes, checkCrashNew},
		{"crash/child", children, checkCrashChild},
		{"stream", streams, checkStream},
		{"compress", compresses, checkCompress},
		{"compact", compacts, checkCompact},
		{"uuid", identified, checkUUID},
		{"parent", reparents, checkSetParent},
	}
}

// properties are the random checks: what operations do to an image is what
// they do to a slice of bytes.
func properties() []property {
	return []property{
		{"model", writes, follow},
		{"model/child", children, followChild},
	}
}

// property is what images must do under any operations.
type property struct {
	name    string
	applies func(s Subject) bool
	run     func(s Subject, ops []op) error
}

// on is the property as rapid tries it.
func (p property) on(s Subject) func(*rapid.T) {
	sequences := operations(s, 30)
	return func(t *rapid.T) {
		if err := p.run(s, sequences.Draw(t, "operations")); err != nil {
			t.Fatal(err)
		}
	}
}

// Thorough tells whether tests are to take their time: PANAL_THOROUGH is set.
// Else rare subjects are left out, and properties are tried a few times only,
// so that everybody can run the tests before every change.
func Thorough() bool { return os.Getenv("PANAL_THOROUGH") != "" }

// fewChecks is how often a property is tried unless the tests are thorough or
// -rapid.checks says otherwise.
const fewChecks = "15"

// pace sets how often properties are tried.
func pace(t *testing.T) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	if Thorough() || checks.Value.String() != checks.DefValue {
		return
	}
	if err := checks.Value.Set(fewChecks); err != nil {
		t.Fatal(err)
	}
}

// Run runs all checks that apply to a subject.
func Run(t *testing.T, s Subject) {
	s = s.withDefaults()
	if s.Rare && !Thorough() {
		t.Skip("tried when PANAL_THOROUGH is set")
	}
	pace(t)
	if _, err := s.Format.Variant(s.Variant); err != nil {
		t.Fatal(err)
	}
	for _, c := range checks() {
		if !c.applies(s) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			s.skip(t, c.name)
			if err := c.run(s); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, p := range properties() {
		if !p.applies(s) {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			s.skip(t, p.name)
			rapid.Check(t, p.on(s))
		})
	}
}

// skip skips a check that the subject excuses itself from.
func (s Subject) skip(t *testing.T, name string) {
	t.Helper()
	if reason, ok := s.Skip[name]; ok {
		t.Skipf("%s: %s", s.kind(), reason)
	}
}

// FuzzOps is a fuzz target that does random operations on an image and
// compares with a slice of bytes.
func FuzzOps(f *testing.F, s Subject) {
	s = s.withDefaults()
	f.Fuzz(rapid.MakeFuzz(property{run: follow}.on(s)))
}
