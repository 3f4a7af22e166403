// Package cpumodel knows the models of x86_64 processors that machines can have beyond those that QEMU names: the levels of the
// x86-64 psABI, and the baseline of several hosts, which is the most that a machine can have to run on each of them. It is pure;
// features are named as QEMU names them.
package cpumodel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoBaseline is hosts that have nothing in common to run one machine on.
var ErrNoBaseline = errors.New("the hosts have no baseline")

// level is a level of the psABI and what it has beyond the one before.
type level struct {
	name  string
	flags []string
}

// levels are from the x86-64 psABI, version 1.0, table 3.1, by QEMU's names (abm is LZCNT, pni SSE3; xsave carries OSXSAVE, which
// the guest's system sets). syscall is SCE there.
func levels() []level {
	return []level{
		{"x86-64-v1", []string{"cmov", "cx8", "fpu", "fxsr", "mmx", "sse", "sse2", "syscall"}},
		{"x86-64-v2", []string{"cx16", "lahf-lm", "pni", "popcnt", "sse4.1", "sse4.2", "ssse3"}},
		{"x86-64-v3", []string{"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}},
		{"x86-64-v4", []string{"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"}},
	}
}

// Flags are all features that a level has, sorted; false for a name that is no level.
func Flags(name string) ([]string, bool) {
	var all []string
	for _, l := range levels() {
		all = append(all, l.flags...)
		if l.name == name {
			slices.Sort(all)
			return all, true
		}
	}
	return nil, false
}

// Level is the highest level that so many features make; empty for none.
func Level(flags []string) string {
	highest := ""
	for _, l := range levels() {
		for _, flag := range l.flags {
			if !slices.Contains(flags, flag) {
				return highest
			}
		}
		highest = l.name
	}
	return highest
}

// Missing are the features of a level that are not among flags.
func Missing(name string, flags []string) []string {
	wanted, _ := Flags(name)
	return slices.DeleteFunc(wanted, func(flag string) bool { return slices.Contains(flags, flag) })
}

// Arguments is a level as QEMU takes it: its simplest 64-bit model, and what that lacks. What the simplest model has beyond the level
// and hosts may not (svm, of AMD's) is taken away, so that what follows can bring it back: with QEMU, -svm would win over any +svm.
func Arguments(name string) (string, bool) {
	flags, ok := Flags(name)
	if !ok {
		return "", false
	}
	return "qemu64,svm=off,+" + strings.Join(flags, ",+"), true
}

// Canonical is a feature's name as QEMU writes it first, from what Linux calls it in /proc/cpuinfo or from QEMU's other names for it.
func Canonical(flag string) string {
	switch flag {
	case "sse4_1", "sse4-1":
		return "sse4.1"
	case "sse4_2", "sse4-2":
		return "sse4.2"
	case "sse3":
		return "pni"
	case "pclmuldq":
		return "pclmulqdq"
	case "xd":
		return "nx"
	case "i64":
		return "lm"
	case "lzcnt":
		return "abm"
	}
	return strings.ReplaceAll(flag, "_", "-")
}

// Host is what a host can give to machines.
type Host struct {
	Name  string
	Flags []string // canonical
}

// inHost are features of the virtual machine's own, or of how it is run, that a baseline does not name.
var inHost = []string{"hypervisor", "svm", "vmx", "npt", "arat", "monitor", "cr8legacy", "pmu"}

// Baseline is the most that machines can have which are to run on each of the hosts: as the value of cpu.model, the highest level that all have,
// with the features beyond it that all have.
func Baseline(hosts []Host) (string, error) {
	if len(hosts) == 0 {
		return "", fmt.Errorf("%w: there are none", ErrNoBaseline)
	}
	common := slices.Clone(hosts[0].Flags)
	for _, h := range hosts {
		if Level(h.Flags) == "" {
			return "", fmt.Errorf("%w: %s tells of no features of x86_64, or lacks %s", ErrNoBaseline, h.Name, strings.Join(Missing("x86-64-v1", h.Flags), ", "))
		}
		common = slices.DeleteFunc(common, func(flag string) bool { return !slices.Contains(h.Flags, flag) })
	}
	name := Level(common)
	base, _ := Flags(name)
	extra := slices.DeleteFunc(common, func(flag string) bool {
		return slices.Contains(base, flag) || slices.Contains(simplest, flag) || slices.Contains(inHost, flag)
	})
	slices.Sort(extra)
	extra = slices.Compact(extra)
	if len(extra) == 0 {
		return name, nil
	}
	return name + ",+" + strings.Join(extra, ",+"), nil
}

// simplest is what QEMU's model qemu64 has beyond the first level.
var simplest = []string{
	"apic", "clflush", "de", "lm", "mca", "mce", "msr", "mtrr", "nx", "pae", "pat", "pge", "pse", "pse36", "sep", "tsc",
}
