package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
)

func TestParseForward(t *testing.T) {
	good := map[string]api.Forward{
		"2222:22":           {HostPort: 2222, GuestPort: 22},
		"tcp:2222:22":       {Protocol: "tcp", HostPort: 2222, GuestPort: 22},
		"udp:0.0.0.0:53:53": {Protocol: "udp", HostAddress: "0.0.0.0", HostPort: 53, GuestPort: 53},
		"[::1]:80:8080":     {HostAddress: "::1", HostPort: 80, GuestPort: 8080},
		"65535:1":           {HostPort: 65535, GuestPort: 1},
	}
	for text, want := range good {
		got, err := parseForward(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "22", ":", "0:1", "1:0", "1:65536", "-1:1", "a:1", "host:1:2", "sctp:1:2", "1:2:3:4", "tcp:udp:1:2", " 1:2"} {
		if got, err := parseForward(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func FuzzParseForward(f *testing.F) {
	f.Add("udp:[::1]:53:5353")
	f.Fuzz(func(t *testing.T, text string) {
		forward, err := parseForward(text)
		if err == nil && (forward.HostPort < 1 || forward.HostPort > 65535 || forward.GuestPort < 1 || forward.GuestPort > 65535) {
			t.Errorf("%q was read as %+v", text, forward)
		}
	})
}

func TestParseDisk(t *testing.T) {
	tests := map[string]api.DiskSource{
		"/a":                              {Path: "/a"},
		"/a,mode=own":                     {Path: "/a", Mode: api.Own},
		"/a,b,format=raw,mode=readonly":   {Path: "/a,b", Mode: api.ReadOnly, Format: "raw"},
		"/a,snapshot=monday,mode=overlay": {Path: "/a", Mode: api.Overlay, Snapshot: "monday"},
		"/a,size=3":                       {Path: "/a,size=3"},
		"/dir/../b":                       {Path: "/b"},
		"/mode=own,mode=overlay,trailer":  {Path: "/mode=own,mode=overlay,trailer"},
	}
	for text, want := range tests {
		got, err := parseDisk(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %s %v", text, diff, err)
		}
	}
	if _, err := parseDisk(",mode=own"); err == nil {
		t.Error("a disk without a file was read")
	}
}

func TestFinderDoesNotCareHowTheStreamIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 60, -1).Draw(t, "stream")
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 1, 5, -1).Draw(t, "text")
		wanted, found := finder{text: []byte(text)}, false
		for rest := letters; rest != "" && !found; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "part")
			found, rest = wanted.find([]byte(rest[:n])), rest[n:]
		}
		if want := strings.Contains(letters, text); found != want {
			t.Fatalf("%q in %q: %t, want %t", text, letters, found, want)
		}
	})
}

func TestLastLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("a\n")), 0, 40, -1).Draw(t, "text")
		n := rapid.IntRange(1, 10).Draw(t, "lines")
		lines := strings.SplitAfter(text, "\n")
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		want := strings.Join(lines[max(0, len(lines)-n):], "")
		got, enough := lastLines([]byte(text), n)
		if string(got) != want || enough != (len(lines) > n) {
			t.Fatalf("the last %d lines of %q: %q %t, want %q", n, text, got, enough, want)
		}
	})
}

func TestHuman(t *testing.T) {
	tests := map[int64]string{0: "0B", 999: "999B", 1000: "1K", 1536: "1.5K", 512 << 20: "512M", 2 << 30: "2G", 1023 << 20: "1G", 1<<63 - 1: "8E"}
	for bytes, want := range tests {
		if got := human(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	tests := map[time.Duration]string{
		-time.Hour: "moments", 0: "moments", time.Second: "1 second", 119 * time.Second: "1 minute",
		47 * time.Hour: "1 day", 48 * time.Hour: "2 days", 3 * time.Hour: "3 hours",
	}
	for d, want := range tests {
		if got := span(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestReadReady(t *testing.T) {
	tests := map[string]string{
		"ready\n": "", "error: why\n": "why", "error: why": "why",
		"": "ended before it was ready", "read": "ended before it was ready", "ready": "ended before it was ready",
	}
	for text, want := range tests {
		err := readReady(strings.NewReader(text), "/no/log", 0)
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestEveryCommandExplainsItself wants help that is worth reading.
func TestEveryCommandExplainsItself(t *testing.T) {
	root := New(Hooks{}).app.root()
	for _, c := range root.Commands() {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s has no description or no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			if sub.Short == "" || sub.Example == "" {
				t.Errorf("%s has no description or no example", sub.CommandPath())
			}
		}
	}
}
