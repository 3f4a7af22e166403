package disktest

import (
	"fmt"
	"strings"
	"testing"
)

// TestARightFormatPasses runs the suite on a format without a bug.
func TestARightFormatPasses(t *testing.T) {
	Run(t, toySubject(""))
}

// TestAWrongFormatFails has for each bug the check that must find it.
func TestAWrongFormatFails(t *testing.T) {
	for _, c := range []struct {
		bug   bug
		check string
	}{
		{"new image holds rubbish", "new"},
		{"describes another format", "new"},
		{"reads beyond the end", "read"},
		{"no EOF", "read"},
		{"reads with alignment", "read"},
		{"finds damage everywhere", "read"},
		{"maps unallocated as zero", "chain"},
		{"maps data elsewhere", "map"},
		{"maps too far", "map"},
		{"Map allocates", "map"},
		{"says it can write", "read-only"},
		{"says nothing of read-only", "read-only"},
		{"opening marks the file", "read-only"},
		{"dumps nothing", "read-only"},
		{"panics on short files", "truncated"},
		{"leaks a file when opening fails", "truncated"},
		{"writes what fits", "range"},
		{"discards its neighbour", "range"},
		{"grows over old content", "resize"},
		{"grows over old content", "model"},
		{"copies blocks without a lock", "concurrent/child"},
		{"copies blocks without a lock", "concurrent"},
		{"zero shows the parent", "chain"},
		{"zero shows the parent", "model/child"},
		{"discard shows the parent", "hidden"},
		{"zero shows the parent", "hidden"},
		{"discard shows the parent", "model/child"},
		{"no copy on write", "chain"},
		{"no copy on write", "model/child"},
		{"leaves the parent open", "chain"},
		{"leaves the parent open", "alone"},
		{"does not miss its parent", "alone"},
		{"zeroes whole blocks only", "model"},
		{"discards its neighbour", "model"},
		{"Sync does nothing", "crash"},
		{"pointers before data", "crash/new"},
		{"points before it writes", "crash/new"},
		{"forgets the second sync", "crash"},
		{"uses freed blocks at once", "crash"},
		{"uses freed blocks at once", "crash/child"},
		{"Resize is not durable", "crash"},
		{"the stream is empty", "stream"},
		{"Encode overwrites", "compress"},
		{"Append loses the last block", "compress"},
		{"says it freed more", "compact"},
		{"compact loses a block", "compact"},
		{"compact points before it moves", "compact"},
		{"SetUUID writes nothing", "uuid"},
		{"SetParent writes nothing", "parent"},
	} {
		t.Run(string(c.bug)+"/"+c.check, func(t *testing.T) {
			for range 20 { // two writers may miss each other
				if err := try(toySubject(c.bug), c.check); err != nil {
					t.Log(err.Error()[max(0, len(err.Error())-300):])
					return
				}
			}
			t.Errorf("a format that %q passes the check %q", c.bug, c.check)
		})
	}
}

// try runs one check. A panic is a failure of it.
func try(s Subject, name string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	for _, c := range checks() {
		if c.name == name {
			if !c.applies(s) {
				return nil
			}
			return c.run(s)
		}
	}
	for _, p := range properties() {
		for seed := 0; p.name == name && seed < 200; seed++ {
			if err := p.run(s, operations(s, 30).Example(seed)); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestEveryCheckAppliesToTheToy sees to it that no check goes untested.
func TestEveryCheckAppliesToTheToy(t *testing.T) {
	for _, c := range checks() {
		if !c.applies(toySubject("")) {
			t.Errorf("the check %s never runs on the format that tests the suite", c.name)
		}
	}
}

// TestHostile has for each limit a format that breaks it.
func TestHostile(t *testing.T) {
	seed := make([]byte, toyBlocks+toyBlock)
	copy(seed, toyHeader(100_000, "", ""))
	if err := Hostile(toySubject("").Formats, seed); err != nil {
		t.Errorf("a right format: %v", err)
	}
	greedy, busy, rubbish := append([]byte(nil), seed...), append([]byte(nil), seed...), make([]byte, 20000)
	greedy[101], busy[102] = 17, 1
	for i := range rubbish {
		rubbish[i] = 0xff
	}
	for b, data := range map[bug][]byte{
		"allocates what a header says":    greedy,
		"reads for ever":                  busy,
		"panics on rubbish":               rubbish,
		"leaks a file when opening fails": rubbish,
		"reads beyond the end":            seed,
	} {
		if err := hostile(toySubject(b), data); err == nil {
			t.Errorf("a format that %s survives", b)
		}
	}
}

func hostile(s Subject, data []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return Hostile(s.Formats, data)
}

func FuzzToy(f *testing.F) {
	seed := make([]byte, toyBlocks+toyBlock)
	copy(seed, toyHeader(100_000, "", ""))
	Fuzz(f, toySubject("").Formats, seed, []byte(strings.Repeat("x", 1000)))
}

func FuzzToyOps(f *testing.F) { FuzzOps(f, toySubject("")) }
