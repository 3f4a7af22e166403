package etcdstate_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/etcdstate"
)

const (
	benchEntries = 10_000
	benchBytes   = 2_000
)

func BenchmarkOpenNew(b *testing.B) {
	for b.Loop() {
		closeStore(b, open(b, etcdstate.Config{Dir: b.TempDir()}))
	}
}

func BenchmarkOpenFilled(b *testing.B) {
	cfg := etcdstate.Config{Dir: b.TempDir()}
	closeStore(b, filled(b, cfg))
	for b.Loop() {
		closeStore(b, open(b, cfg))
	}
}

func BenchmarkCommit(b *testing.B) {
	s := open(b, etcdstate.Config{Dir: b.TempDir()})
	defer closeStore(b, s)
	value := make([]byte, benchBytes)
	var times []time.Duration
	for b.Loop() {
		begun := time.Now()
		put(b, s, "key", value)
		times = append(times, time.Since(begun))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

func BenchmarkGet(b *testing.B) {
	s := filled(b, etcdstate.Config{Dir: b.TempDir()})
	defer closeStore(b, s)
	for b.Loop() {
		if _, err := s.Get(b.Context(), "m/00042"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList10000(b *testing.B) {
	s := filled(b, etcdstate.Config{Dir: b.TempDir()})
	defer closeStore(b, s)
	for b.Loop() {
		entries, _, err := s.List(b.Context(), "m/")
		if err != nil || len(entries) != benchEntries {
			b.Fatalf("%d entries, %v", len(entries), err)
		}
	}
	b.ReportMetric(float64(resident(b)>>10), "RSS-MiB")
}

// BenchmarkResident reports what an open, empty store holds; run it alone.
func BenchmarkResident(b *testing.B) {
	before := resident(b)
	s := open(b, etcdstate.Config{Dir: b.TempDir()})
	defer closeStore(b, s)
	for b.Loop() {
		put(b, s, "a", nil)
	}
	b.ReportMetric(float64(before>>10), "RSS-before-MiB")
	b.ReportMetric(float64(resident(b)>>10), "RSS-MiB")
}

// resident returns the process's resident memory in KiB.
func resident(b *testing.B) int64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	var size int64
	_, line, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(line, &size); err != nil {
		b.Fatal(err)
	}
	return size
}

func filled(b *testing.B, cfg etcdstate.Config) *etcdstate.Store {
	b.Helper()
	s := open(b, cfg)
	value := make([]byte, benchBytes)
	for i := 0; i < benchEntries; i += 500 {
		var ops []state.Op
		for j := range 500 {
			ops = append(ops, state.Put(fmt.Sprintf("m/%05d", i+j), value))
		}
		if _, err := s.Commit(b.Context(), ops...); err != nil {
			b.Fatal(err)
		}
	}
	return s
}
