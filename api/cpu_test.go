package api

import (
	"testing"

	"pgregory.net/rapid"
)

func TestCPUTimes(t *testing.T) {
	for _, c := range []struct {
		text         CPUTime
		percent, mhz float64
		ok           bool
	}{
		{"", 0, 0, true},
		{"150%", 150, 0, true},
		{" 0.5 %", 0.5, 0, true},
		{"2000MHz", 0, 2000, true},
		{"2.5GHz", 0, 2500, true},
		{"2000", 0, 0, false},
		{"0%", 0, 0, false},
		{"-1%", 0, 0, false},
		{"NaN%", 0, 0, false},
		{"Inf%", 0, 0, false},
		{"%", 0, 0, false},
		{"1e300MHz", 0, 0, false},
	} {
		percent, mhz, err := c.text.Parse()
		if percent != c.percent || mhz != c.mhz || (err == nil) != c.ok {
			t.Errorf("%q: %v, %v, %v", c.text, percent, mhz, err)
		}
	}
	if got := CPUTime("1GHz").Of(4000); got != 25 {
		t.Errorf("1 GHz of 4: %v %%", got)
	}
	if got := CPUTime("1GHz").Of(0); got != 0 {
		t.Errorf("on a host that does not tell: %v", got)
	}
}

func TestAnyTextIsAnAmountOrRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := CPUTime(rapid.String().Draw(t, "text"))
		percent, mhz, err := text.Parse()
		if err != nil && (percent != 0 || mhz != 0) {
			t.Fatalf("refused with %v, %v", percent, mhz)
		}
		if percent < 0 || mhz < 0 || (percent > 0 && mhz > 0) {
			t.Fatalf("%v, %v", percent, mhz)
		}
	})
}
