package runner

import (
	"errors"
	"os"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/qemu"
)

func TestBranchKeepsTheInstantOfAllDrives(t *testing.T) {
	b := newBench(t)
	b.disk("a", b.image("a.qcow2", ""))
	b.disk("b", b.image("b.qcow2", ""))
	b.start()
	b.fill("a", 1, 0, 2)
	b.fill("b", 2, 0, 2)
	a1, b1 := b.image("a1.qcow2", "a.qcow2"), b.image("b1.qcow2", "b.qcow2")
	if err := b.Branch(t.Context(), []Overlay{{Drive: "a", Path: a1}, {Drive: "b", Path: b1}}); err != nil {
		t.Fatal(err)
	}
	b.io("a", "flush")
	b.io("b", "flush")
	was := b.digest(b.path("a.qcow2")) + b.digest(b.path("b.qcow2"))
	b.fill("a", 3, 1, 2)
	b.fill("b", 4, 1, 2)
	b.adopt() // the names of nodes mean the same to another daemon
	a2 := b.image("a2.qcow2", "a1.qcow2")
	if err := b.Branch(t.Context(), []Overlay{{Drive: "a", Path: a2}}); err != nil {
		t.Fatal(err)
	}
	b.fill("a", 5, 2, 2)
	if written, err := b.Written(t.Context(), "a", a2); !written || err != nil {
		t.Errorf("the drive does not write its newest image: %v", err)
	}
	b.sees("a", a2, 1, 0, 1)
	b.sees("a", a2, 3, 1, 1)
	b.sees("a", a2, 5, 2, 2)
	b.sees("b", b1, 4, 1, 2)
	if is := b.digest(b.path("a.qcow2")) + b.digest(b.path("b.qcow2")); is != was {
		t.Error("an image has changed that overlays stand on")
	}
}

func TestBranchKeepsTheDialsOfADrive(t *testing.T) {
	b := newBench(t)
	b.disk("a", b.image("a.qcow2", ""))
	b.start()
	a1 := b.image("a1.qcow2", "a.qcow2")
	dials := api.Drive{Name: "a", Cache: api.CacheUnsafe, DetectZeroes: "on"}
	if err := b.Branch(t.Context(), []Overlay{{Drive: "a", Path: a1, Dials: dials}}); err != nil {
		t.Fatal(err)
	}
	var nodes []struct {
		Name         string `json:"node-name"`
		DetectZeroes string `json:"detect_zeroes"`
		Cache        struct {
			NoFlush bool `json:"no-flush"`
		} `json:"cache"`
	}
	if err := b.monitor.Execute(t.Context(), "query-named-block-nodes", map[string]any{}, &nodes); err != nil {
		t.Fatal(err)
	}
	above := qemu.NodeName("a", a1)
	for _, node := range nodes {
		isNew := node.Name == above || node.Name == qemu.FileNodeName(above)
		if node.Cache.NoFlush != isNew || (node.DetectZeroes == "on") != (node.Name == above) {
			t.Errorf("the new image is %s, and there is %+v", above, node)
		}
	}
}

func TestBranchIsOfAllDrivesOrNone(t *testing.T) {
	b := newBench(t)
	b.disk("a", b.image("a.qcow2", ""))
	b.disk("b", b.image("b.qcow2", ""))
	b.paused = false // QEMU closes descriptors only while the CPUs run
	b.start()
	a1, small := b.image("a1.qcow2", "a.qcow2"), b.path("small.qcow2")
	b.tool("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "b.qcow2", "-F", "qcow2", small, "1M")
	tests := map[string][]Overlay{
		"an image is not there":     {{Drive: "a", Path: a1}, {Drive: "b", Path: b.path("none.qcow2")}},
		"an image is too small":     {{Drive: "a", Path: a1}, {Drive: "b", Path: small}},
		"there is no such drive":    {{Drive: "a", Path: a1}, {Drive: "c", Path: small}},
		"a drive is written twice":  {{Drive: "a", Path: a1}, {Drive: "a", Path: a1}},
		"an image is in use":        {{Drive: "a", Path: a1}, {Drive: "b", Path: b.path("a.qcow2")}},
		"an image is no qcow2 file": {{Drive: "a", Path: a1}, {Drive: "b", Path: os.Args[0]}},
	}
	for name, overlays := range tests {
		if err := b.Branch(t.Context(), overlays); err == nil {
			t.Errorf("%s: it is done", name)
		}
		nodes, err := b.monitor.QueryBlockNodes(t.Context())
		if err != nil || len(nodes) != 4 {
			t.Errorf("%s: QEMU has %d nodes: %v", name, len(nodes), err)
		}
		sets, err := b.monitor.QueryFDSets(t.Context())
		if err != nil || len(sets) != 3 { // of two disks and a serial line's log
			t.Errorf("%s: QEMU has %d descriptor sets: %v", name, len(sets), err)
		}
	}
	if err := b.Branch(t.Context(), []Overlay{{Drive: "b", Path: small}}); !errors.Is(err, errWrongSize) {
		t.Errorf("the guest's disk changes its size: %v", err)
	}
	if err := b.Branch(t.Context(), []Overlay{{Drive: "a", Path: a1}}); err != nil {
		t.Errorf("after failures: %v", err)
	}
}
