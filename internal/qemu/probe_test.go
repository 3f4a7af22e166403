package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/testenv"
)

var architectures = []api.Architecture{api.X8664, api.AArch64, api.RISCV64}

// needQEMU returns the path of an architecture's QEMU.
func needQEMU(t testing.TB, arch api.Architecture) string {
	return testenv.Need(t, "qemu-system-"+string(arch))
}

func TestProbe(t *testing.T) {
	for _, arch := range architectures {
		t.Run(string(arch), func(t *testing.T) {
			binary := needQEMU(t, arch)
			begin := time.Now()
			caps, err := Probe(context.Background(), binary)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%v: version %s, %d machine types, %d CPU models, %d devices, accelerators %v", time.Since(begin),
				caps.Version, len(caps.MachineTypes), len(caps.CPUModels), len(caps.Devices), caps.Accelerators)
			if caps.Architecture != arch || caps.Version == "" || !caps.HasDevice("virtio-blk-pci") {
				t.Errorf("got %+v", caps)
			}
			for _, alias := range map[api.Architecture][]string{
				api.X8664: {"q35", "pc"}, api.AArch64: {"virt"}, api.RISCV64: {"virt"},
			}[arch] {
				if m, err := caps.ResolveMachine(alias); err != nil || m.MaxCPUs < 8 {
					t.Errorf("%s: %+v, %v", alias, m, err)
				}
			}
			if !caps.HasCPUModel("max") && !caps.HasCPUModel("rv64") {
				t.Errorf("no general CPU model among %v", caps.CPUModels)
			}
		})
	}
}

func TestProbeOfSomethingElse(t *testing.T) {
	script := filepath.Join(t.TempDir(), "qemu")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho out of order >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Probe(context.Background(), script)
	if err == nil || !strings.Contains(err.Error(), "out of order") || !strings.Contains(err.Error(), script) {
		t.Errorf("got %v", err)
	}
}

func TestResolveMachineSaysWhatThereIs(t *testing.T) {
	caps := Capabilities{MachineTypes: []MachineType{{Name: "pc-q35-7.2", Alias: "q35"}, {Name: "pc-q35-7.1"}, {Name: "microvm"}}}
	if m, err := caps.ResolveMachine("q35"); err != nil || m.Name != "pc-q35-7.2" {
		t.Errorf("q35 is %v, %v", m, err)
	}
	_, err := caps.ResolveMachine("pc-q35-9.0")
	var unsupported *UnsupportedError
	if !errors.As(err, &unsupported) || unsupported.Field != "machineType" || !strings.Contains(err.Error(), "pc-q35-7.2, pc-q35-7.1") {
		t.Errorf("got %v", err)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if _, err := os.Stat("/usr/libexec/qemu-kvm"); err == nil {
		t.Skip("/usr/libexec/qemu-kvm would be found")
	}
	_, err := Find(api.X8664)
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Package != "qemu-system-x86" {
		t.Errorf("on an empty PATH: %v", err)
	}
	program := filepath.Join(dir, "kvm")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if found, err := Find(api.X8664); found != program {
		t.Errorf("found %q, %v", found, err)
	}
	if _, err := Find("vax"); err == nil {
		t.Error("found a QEMU for a vax")
	}
}

// fixtureCaps are the capabilities that the golden files are made with: what
// Debian 12's QEMU has, as far as Panal asks for it.
func fixtureCaps(t testing.TB, arch api.Architecture) Capabilities {
	t.Helper()
	var caps Capabilities
	data, err := os.ReadFile(filepath.Join("testdata", "capabilities", string(arch)+".json"))
	if err == nil {
		err = json.Unmarshal(data, &caps)
	}
	if err != nil {
		t.Fatal(err)
	}
	return caps
}
