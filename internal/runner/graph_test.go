package runner

import (
	"strings"
	"testing"
)

// nul is how arguments are joined in /proc/PID/cmdline.
func line(args ...string) []byte { return []byte(strings.Join(args, "\x00") + "\x00") }

func TestBasesAreTheUnmovableChainsBelowDifferencingImages(t *testing.T) {
	nodes, err := parseNodes(line("qemu", "-blockdev", `{"driver":"file","node-name":"a.2.file"}`,
		"-blockdev", `{"driver":"vhdx","node-name":"a.2","file":"a.2.file"}`,
		"-blockdev", `{"driver":"file","node-name":"a.1.file"}`,
		"-blockdev", `{"driver":"qcow2","node-name":"a.1","file":"a.1.file","backing":"a.2"}`,
		"-blockdev", `{"driver":"file","node-name":"a.file"}`,
		"-blockdev", `{"driver":"qcow2","node-name":"a","file":"a.file","backing":"a.1"}`,
		"-blockdev", `{"driver":"qcow2","node-name":"b","backing":null}`, "-m", "1G"))
	if err != nil {
		t.Fatal(err)
	}
	bases, err := basesOf(nodes)
	if err != nil {
		t.Fatal(err)
	}
	var over []string
	for _, base := range bases {
		over = append(over, base.over.name)
	}
	if strings.Join(over, " ") != "a" {
		t.Fatalf("bases are found below %v, want below a, the image that the drive has", over)
	}
	var closed []string
	for _, node := range bases[0].nodes {
		closed = append(closed, node.name)
	}
	if got := strings.Join(closed, " "); got != "a.2.file a.2 a.1.file a.1" {
		t.Errorf("nodes to close are %s", got)
	}
}

func TestImageThatTheGuestWritesCannotBeClosed(t *testing.T) {
	nodes, err := parseNodes(line("qemu", "-blockdev", `{"driver":"vdi","node-name":"disk0","file":"f"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := basesOf(nodes); err == nil || !strings.Contains(err.Error(), "disk0") {
		t.Errorf("got %v", err)
	}
}

func TestArgumentsThatAreNoJSONAreAnError(t *testing.T) {
	if _, err := parseNodes(line("qemu", "-blockdev", "driver=file")); err == nil {
		t.Error("they were taken")
	}
}
