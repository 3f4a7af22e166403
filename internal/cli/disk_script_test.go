package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/testenv"
)

// makeImage writes a raw disk: image FILE SIZE [OFFSET=TEXT]…, where TEXT fills
// 4 KiB. What no text is given for is a hole.
func makeImage(ts *testscript.TestScript, _ bool, args []string) {
	size, err := disk.ParseSize(args[1])
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	ts.Check(f.Truncate(size))
	for _, content := range args[2:] {
		offset, text, _ := strings.Cut(content, "=")
		at, err := disk.ParseSize(offset)
		ts.Check(err)
		const room = 4096
		_, err = f.WriteAt([]byte(strings.Repeat(text, room/len(text)+1)[:room]), at)
		ts.Check(err)
	}
}

// cut makes a file shorter: cut FILE SIZE.
func cut(ts *testscript.TestScript, _ bool, args []string) {
	size, err := disk.ParseSize(args[1])
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

// poke changes bytes of a file: poke FILE OFFSET HEX.
func poke(ts *testscript.TestScript, _ bool, args []string) {
	at, err := strconv.ParseInt(args[1], 0, 64)
	ts.Check(err)
	var bytes []byte
	_, err = fmt.Sscanf(args[2], "%x", &bytes)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	_, err = f.WriteAt(bytes, at)
	ts.Check(err)
}

// files wants a directory to hold these names and no others: files DIR NAME…
func files(ts *testscript.TestScript, _ bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	var have []string
	for _, e := range entries {
		have = append(have, e.Name())
	}
	if got, want := strings.Join(have, " "), strings.Join(args[1:], " "); got != want {
		ts.Fatalf("%s holds %q, want %q", args[0], got, want)
	}
}

// has is the condition [has:PROGRAM], and [namespaces]: whether a test may mount
// file systems of its own. In CI every program must be there.
func has(condition string) (bool, error) {
	if condition == "namespaces" {
		return exec.Command("unshare", "-rm", "true").Run() == nil, nil
	}
	program, found := strings.CutPrefix(condition, "has:")
	if !found {
		return false, fmt.Errorf("there is no condition %q", condition)
	}
	_, err := exec.LookPath(program)
	if err != nil && testenv.InCI() {
		return false, err
	}
	return err == nil, nil
}
