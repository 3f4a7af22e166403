package cli_test

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// writeEndless makes a VDI of 64 GiB in two files' worth of room: all its blocks
// lie at the same place. To read it takes longer than any test waits.
func writeEndless(t *testing.T, path string) {
	t.Helper()
	if out, err := exec.Command("panal", "disk", "create", path, "--size", "64G").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	header := make([]byte, 512)
	if _, err := f.ReadAt(header, 0); err != nil {
		t.Fatal(err)
	}
	const mapAt, dataAt, blocks = 0x154, 0x158, 0x180 // of VDI 1.1's header
	table := make([]byte, 4*binary.LittleEndian.Uint32(header[blocks:]))
	block := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(block)
	for off, p := range map[uint32][]byte{
		binary.LittleEndian.Uint32(header[mapAt:]):  table, // each block is the first in the file
		binary.LittleEndian.Uint32(header[dataAt:]): block,
	} {
		if _, err := f.WriteAt(p, int64(off)); err != nil {
			t.Fatal(err)
		}
	}
}

// conversion starts a conversion without end on a terminal, and returns when
// its progress bar shows that it is in the midst.
func conversion(t *testing.T, to string, options ...string) (*exec.Cmd, *terminal, string) {
	t.Helper()
	dir := t.TempDir()
	writeEndless(t, filepath.Join(dir, "endless.vdi"))
	term := newTerminal(t)
	c := command(t, daemon(t, "", nil), append([]string{"disk", "convert", "endless.vdi", to}, options...)...)
	c.Dir = dir
	onTerminal(t, term, c)
	term.expect(`convert endless.vdi .*━`)
	term.expect(`[0-9.]+[MG] of 64G, [0-9.]+[MG]/s, [0-9hms]+ left`)
	return c, term, dir
}

// left are the names in a directory besides the source.
func left(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "endless.vdi" {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}

func TestInterruptedConversionLeavesNothing(t *testing.T) {
	for to, format := range map[string]string{
		"out.vdi": "vdi", "out.vmdk": "vmdk:streamOptimized", "parts.vmdk": "vmdk:twoGbMaxExtentSparse", "out.qcow2": "qcow2",
	} {
		t.Run(format, func(t *testing.T) {
			c, term, dir := conversion(t, to, "--to", format)
			if names := left(t, dir); names != "" {
				t.Errorf("before it is complete there are %s", names)
			}
			if err := c.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			_ = c.Wait()
			if code := c.ProcessState.ExitCode(); code != 1 {
				t.Errorf("the exit code is %d", code)
			}
			term.expect(`panal: convert endless.vdi to ` + to + `: interrupted; nothing was left behind`)
			if names := left(t, dir); names != "" {
				t.Errorf("it left %s", names)
			}
		})
	}
}

func TestKilledConversionLeavesNothing(t *testing.T) {
	c, _, dir := conversion(t, "out.vmdk", "--to", "vmdk:monolithicFlat")
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if names := left(t, dir); names != "" {
		t.Errorf("it left %s", names)
	}
}

// TestInterruptedReplacementKeepsTheOld shows that --force takes nothing away
// before there is something to put in its place.
func TestInterruptedReplacementKeepsTheOld(t *testing.T) {
	dir := t.TempDir()
	writeEndless(t, filepath.Join(dir, "endless.vdi"))
	old := filepath.Join(dir, "old.raw")
	if err := os.WriteFile(old, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	term := newTerminal(t)
	c := command(t, daemon(t, "", nil), "disk", "convert", "endless.vdi", "old.raw", "--force")
	c.Dir = dir
	onTerminal(t, term, c)
	term.expect(`convert endless.vdi .*━`)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if content, err := os.ReadFile(old); err != nil || string(content) != "precious" {
		t.Errorf("the old file holds %q, %v", content, err)
	}
	if names := left(t, dir); names != "old.raw" {
		t.Errorf("there are %s", names)
	}
}

// TestInterruptWhileStandardInputIsSilent shows that ^C ends a command that
// waits for a pipe.
func TestInterruptWhileStandardInputIsSilent(t *testing.T) {
	c := command(t, daemon(t, "", nil), "disk", "info", "-")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	defer reader.Close()
	c.Stdin = reader
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds is taken only by a command that is reading.
	if _, err := writer.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != 1 {
		t.Errorf("the exit code is %d", code)
	}
}
