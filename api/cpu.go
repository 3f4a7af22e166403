package api

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// CPUTime is an amount of CPU time, as a person writes it: percent of one CPU of the host (150% is one and a half), or MHz.
// Empty is none.
type CPUTime string

// maxCPUTime bounds both: 100,000 CPUs, 100 THz.
const maxCPUTime = 1e8

// Parse reads the amount. One of percent and mhz is 0; both are for an empty one.
func (t CPUTime) Parse() (percent, mhz float64, err error) {
	text := strings.ToLower(strings.TrimSpace(string(t)))
	if text == "" {
		return 0, 0, nil
	}
	number, factor, into := text, 1.0, &percent
	switch {
	case strings.HasSuffix(text, "%"):
		number = strings.TrimSuffix(text, "%")
	case strings.HasSuffix(text, "mhz"):
		number, into = strings.TrimSuffix(text, "mhz"), &mhz
	case strings.HasSuffix(text, "ghz"):
		number, into, factor = strings.TrimSuffix(text, "ghz"), &mhz, 1000
	default:
		return 0, 0, fmt.Errorf("%q has no unit: write 150%% (of one CPU of the host), 2000MHz or 2GHz", clipped(text))
	}
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || math.IsNaN(value) || value <= 0 || value*factor > maxCPUTime {
		return 0, 0, fmt.Errorf("%q is no amount of CPU time above 0, such as 150%% (of one CPU of the host) or 2000MHz", clipped(text))
	}
	*into = value * factor
	return percent, mhz, nil
}

// Of is the amount in percent of one CPU of a host whose CPUs run at so many MHz. It is 0 for no amount, and for one in MHz
// where a host does not tell how fast it is.
func (t CPUTime) Of(hostMHz float64) float64 {
	percent, mhz, err := t.Parse()
	if err != nil || (mhz > 0 && hostMHz <= 0) {
		return 0
	}
	if mhz > 0 {
		return 100 * mhz / hostMHz
	}
	return percent
}

func clipped(text string) string {
	if len(text) > 40 {
		return strings.ToValidUTF8(text[:40], "") + "…"
	}
	return text
}
