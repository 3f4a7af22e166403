package cpumodel

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEachLevelHasTheOneBefore(t *testing.T) {
	var before []string
	for _, l := range levels() {
		flags, ok := Flags(l.name)
		if !ok || Level(flags) != l.name || len(Missing(l.name, flags)) > 0 {
			t.Errorf("%s: %v is %q", l.name, flags, Level(flags))
		}
		for _, flag := range before {
			if !slices.Contains(flags, flag) {
				t.Errorf("%s lacks %s", l.name, flag)
			}
		}
		for _, flag := range flags {
			if Canonical(flag) != flag {
				t.Errorf("%s is %s to QEMU", flag, Canonical(flag))
			}
		}
		before = flags
	}
	if _, ok := Flags("x86-64-v5"); ok {
		t.Error("there is no fifth level")
	}
}

func TestLinuxAndQEMUNameTheSame(t *testing.T) {
	cpuinfo := strings.Fields("fpu cx8 cmov mmx fxsr sse sse2 syscall pni ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt xsave avx f16c lahf_lm abm bmi1 avx2 bmi2")
	for i := range cpuinfo {
		cpuinfo[i] = Canonical(cpuinfo[i])
	}
	if got := Level(cpuinfo); got != "x86-64-v3" {
		t.Errorf("a Haswell is %q, and lacks %v of the third level", got, Missing("x86-64-v3", cpuinfo))
	}
}

func TestBaselines(t *testing.T) {
	v3, _ := Flags("x86-64-v3")
	v2, _ := Flags("x86-64-v2")
	for _, c := range []struct {
		name  string
		hosts []Host
		want  string
	}{
		{"one", []Host{{"a", append(slices.Clone(v3), "aes", "hypervisor", "nx", "vmx")}}, "x86-64-v3,+aes"},
		{"an older one", []Host{{"a", append(slices.Clone(v3), "aes")}, {"b", append(slices.Clone(v2), "aes", "avx")}}, "x86-64-v2,+aes,+avx"},
		{"nothing beyond", []Host{{"a", v3}, {"b", v2}}, "x86-64-v2"},
		{"none", nil, ""},
		{"an Arm", []Host{{"a", v3}, {"b", []string{"neon"}}}, ""},
	} {
		got, err := Baseline(c.hosts)
		if got != c.want || (err != nil) != (c.want == "") || (err != nil && !errors.Is(err, ErrNoBaseline)) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

// A baseline is had by every host, whichever they are, and their order does not matter.
func TestABaselineRunsEverywhere(t *testing.T) {
	v1, _ := Flags("x86-64-v1")
	v4, _ := Flags("x86-64-v4")
	pool := append(slices.Clone(v4), "aes", "adx", "nx", "rdrand", "vmx", "hypervisor")
	rapid.Check(t, func(t *rapid.T) {
		var hosts []Host
		for range rapid.IntRange(1, 5).Draw(t, "hosts") {
			flags := append(slices.Clone(v1), rapid.SliceOfN(rapid.SampledFrom(pool), 0, 40).Draw(t, "flags")...)
			hosts = append(hosts, Host{"h", flags})
		}
		got, err := Baseline(hosts)
		if err != nil {
			t.Fatal(err)
		}
		name, extra, _ := strings.Cut(got, ",")
		needed, ok := Flags(name)
		if !ok {
			t.Fatalf("%q begins with no level", got)
		}
		for flag := range strings.SplitSeq(extra, ",") {
			if flag != "" {
				needed = append(needed, strings.TrimPrefix(flag, "+"))
			}
		}
		for _, h := range hosts {
			for _, flag := range needed {
				if !slices.Contains(h.Flags, flag) {
					t.Fatalf("%q needs %s, which %v lacks", got, flag, h.Flags)
				}
			}
		}
		slices.Reverse(hosts)
		if again, err := Baseline(hosts); err != nil || again != got {
			t.Fatalf("%q in one order, %q in the other", got, again)
		}
	})
}
