package qemu

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/testenv"
)

// The ROM is tried under TCG, which exists everywhere: it must come to its end
// there, and be found too slow for KVM.
func TestProbeGuestRuns(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the probe guest is of x86_64")
	}
	p := kvmProbe{binary: needQEMU(t, api.X8664), accelerator: "tcg", device: "/dev/null", limit: time.Minute}
	result, err := p.run(context.Background())
	if err != nil || result.said != "RPLE" || exitStatus(result.ended) != romExit || result.words != "" {
		t.Fatalf("got %+v, %v", result, err)
	}
	t.Logf("the loop took %v, natively %v", result.loop, nativeLoop())
	if result.loop <= 0 {
		t.Error("the loop took no time")
	}
}

func TestProbeGuestIsBuiltFromItsSource(t *testing.T) {
	assembler, objcopy := testenv.Need(t, "as"), testenv.Need(t, "objcopy")
	object, binary := filepath.Join(t.TempDir(), "rom.o"), filepath.Join(t.TempDir(), "rom.bin")
	for _, args := range [][]string{
		{assembler, "--64", "-o", object, "testdata/kvmrom.S"},
		{objcopy, "-O", "binary", "-j", ".text", object, binary},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	built, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if string(built) != string(romCode) {
		t.Errorf("testdata/kvmrom.S becomes\n% x\nbut kvmrom.go has\n% x", built, romCode)
	}
}

func TestKVMVerdictOnThisComputer(t *testing.T) {
	begin := time.Now()
	v := ProbeKVM(context.Background(), needQEMU(t, api.X8664), nil)
	took := time.Since(begin)
	t.Logf("%v: %+v", took, v)
	if v.Why == "" {
		t.Error("no reason is given")
	}
	if v.Usable && (v.Guest == 0 || v.Native == 0) {
		t.Error("usable, but nothing was measured")
	}
}

// fakeQEMU is a program in QEMU's place.
func fakeQEMU(t *testing.T, script string) kvmProbe {
	t.Helper()
	program := filepath.Join(t.TempDir(), "qemu")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return kvmProbe{binary: program, accelerator: "kvm", device: "/dev/kvm", limit: time.Minute}
}

func TestVerdicts(t *testing.T) {
	hang := fakeQEMU(t, "printf RP; exec tail -f /dev/null")
	hang.limit = 200 * time.Millisecond
	for name, test := range map[string]struct {
		probe  kvmProbe
		usable bool
		why    string
	}{
		"fast":       {fakeQEMU(t, "printf RPL; printf E; exit 33"), true, "at the host's speed"},
		"hangs":      {hang, false, "hangs when it enters 64-bit mode"},
		"crashes":    {fakeQEMU(t, "printf RPL; echo emulation failure >&2; exit 1"), false, "ends in a plain loop in 64-bit mode: exit status 1 emulation failure"},
		"refuses":    {fakeQEMU(t, "echo Could not access KVM kernel module: Permission denied >&2; exit 1"), false, "group kvm"},
		"not run":    {kvmProbe{binary: "/nonexistent"}, false, "could not be started"},
		"wrong exit": {fakeQEMU(t, "printf RPLE; exit 0"), false, "after its last instruction"},
	} {
		if name == "not run" {
			test.probe.limit = time.Minute
		}
		v := test.probe.verdict(context.Background())
		if v.Usable != test.usable || !strings.Contains(v.Why, test.why) {
			t.Errorf("%s: got %+v, want %q", name, v, test.why)
		}
	}
}

func TestASlowGuestIsOfNoUse(t *testing.T) {
	v := Verdict{Native: time.Second, Guest: 4 * time.Second}
	if v.judgeSpeed(); v.Usable || !strings.Contains(v.Why, "4.0 times") {
		t.Errorf("got %+v", v)
	}
}

func TestObstacles(t *testing.T) {
	dir := t.TempDir()
	if why := (kvmProbe{device: filepath.Join(dir, "kvm")}).obstacle(); !strings.Contains(why, "modprobe kvm_intel") {
		t.Errorf("without a device: %q", why)
	}
	if why := (kvmProbe{device: "/dev/null"}).obstacle(); why != "" {
		t.Errorf("with a device that opens: %q", why)
	}
	if os.Geteuid() == 0 {
		return // root may open everything
	}
	locked := filepath.Join(dir, "locked")
	if err := os.WriteFile(locked, nil, 0); err != nil {
		t.Fatal(err)
	}
	if why := (kvmProbe{device: locked}).obstacle(); !strings.Contains(why, "usermod -aG kvm") {
		t.Errorf("without permission: %q", why)
	}
}
