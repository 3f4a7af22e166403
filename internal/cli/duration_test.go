package cli

import (
	"testing"
	"time"
)

func TestTimesAreTakenWithAndWithoutUnit(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "90": 90 * time.Second, "90s": 90 * time.Second, "1m30s": 90 * time.Second, "500ms": time.Second / 2,
	} {
		var got time.Duration
		if err := (durationFlag{&got}).Set(text); err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "-5s", "soon", "99999999999", "1.5"} {
		var got time.Duration
		if err := (durationFlag{&got}).Set(text); err == nil {
			t.Errorf("%q was taken as %v", text, got)
		}
	}
}
