package usage

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestHost(t *testing.T) {
	host, err := ReadHost()
	if err != nil {
		t.Fatal(err)
	}
	if host.Total <= 0 || host.Available <= 0 || host.Available > host.Total || host.SwapFree > host.SwapTotal {
		t.Errorf("%+v", host)
	}
}

func TestPressure(t *testing.T) {
	for text, want := range map[string]float64{
		"some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=0\n": 12.5, "": -1, "full avg10=3": -1,
	} {
		if got := pressure(text); got != want {
			t.Errorf("%q gives %v, want %v", text, got, want)
		}
	}
}

// TestProcess holds what is read of this process against what it does.
func TestProcess(t *testing.T) {
	before, err := ReadProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	held := make([]byte, 64<<20)
	for i := 0; i < len(held); i += os.Getpagesize() {
		held[i] = 1
	}
	for begin := time.Now(); time.Since(begin) < 30*time.Millisecond; {
		held[0]++
	}
	after, err := ReadProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(held)
	if grown := after.Resident - before.Resident; grown < 60<<20 {
		t.Errorf("64 MiB more are seen as %d", grown)
	}
	if grown := after.Proportional - before.Proportional; before.Proportional > 0 && grown < 60<<20 {
		t.Errorf("64 MiB more are seen as %d", grown)
	}
	if after.Ran <= before.Ran || after.Waited < before.Waited {
		t.Errorf("it ran for %v and then %v", before.Ran, after.Ran)
	}
	if ran, err := Ran(os.Getpid()); err != nil || ran < 20*time.Millisecond || ran < after.Ran-30*time.Millisecond {
		t.Errorf("it ran for %v, by the other count %v: %v", ran, after.Ran, err)
	}
	if _, err := Ran(1 << 30); err == nil {
		t.Error("the time of a process that there is not was read")
	}
	if _, err := ReadProcess(1 << 30); err == nil {
		t.Error("a process that there is not was read")
	}
}

// TestProcessSince: what a process has is told as exactly as by a look at every page, and without one where nothing changed.
func TestProcessSince(t *testing.T) {
	first, err := ReadProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if first.Proportional == 0 {
		t.Skip("the kernel does not tell proportional sizes")
	}
	if again, exact, err := ReadProcessSince(os.Getpid(), first); err != nil || exact || max(again.Proportional-first.Proportional, first.Proportional-again.Proportional) > first.Resident/100 {
		t.Errorf("%+v after %+v, exact %v: %v", again, first, exact, err)
	}
	held := make([]byte, 64<<20)
	for i := 0; i < len(held); i += os.Getpagesize() {
		held[i] = 1
	}
	more, exact, err := ReadProcessSince(os.Getpid(), first)
	if err != nil || !exact || more.Proportional < first.Proportional+32<<20 {
		t.Errorf("%+v with 64 MiB more than %+v, exact %v: %v", more, first, exact, err)
	}
	first.Merged = 4096
	if _, exact, err := ReadProcessSince(os.Getpid(), first); err != nil || !exact {
		t.Errorf("merged pages are not looked at: %v", err)
	}
	runtime.KeepAlive(held)
	if _, _, err := ReadProcessSince(1<<30, first); err == nil {
		t.Error("a process that is not there was read")
	}
}
