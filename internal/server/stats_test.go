package server

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricsAreDocumented: each metric is in docs/memory.md, and what that lists there is one.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/memory.md")
	if err != nil {
		t.Fatal(err)
	}
	_, listed, _ := strings.Cut(string(text), "## Prometheus")
	documented := map[string]bool{}
	for line := range strings.Lines(listed) {
		if name, isRow := strings.CutPrefix(line, "| `panal_"); isRow {
			name, _, _ = strings.Cut(name, "`")
			documented["panal_"+name] = true
		}
	}
	descriptions := make(chan *prometheus.Desc, 100)
	collector{}.Describe(descriptions)
	close(descriptions)
	for description := range descriptions {
		_, name, _ := strings.Cut(description.String(), `fqName: "`)
		name, _, _ = strings.Cut(name, `"`)
		if !documented[name] {
			t.Errorf("docs/memory.md does not tell what %s is", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("docs/memory.md tells of %s, and there is no such metric", name)
	}
}

// TestMetrics holds the names that docs/memory.md promises.
func TestMetrics(t *testing.T) {
	r := do(New((&fakeServices{}).services(), Options{}), http.MethodGet, "/metrics", "")
	body := text(t, r)
	if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	for _, line := range []string{
		`panal_machine_memory_assigned_bytes{machine="web",uuid="5f8a6bb2"} 1.073741824e+09`,
		`panal_machine_memory_ballooned_bytes{machine="web",uuid="5f8a6bb2"} 2.68435456e+08`,
		`panal_machine_guest_memory_available_bytes{machine="web",uuid="5f8a6bb2"} 1.048576e+08`,
		`panal_machine_cpu_used_seconds_total{machine="web",uuid="5f8a6bb2"} 12.5`,
		`panal_machine_cpus{machine="web",uuid="5f8a6bb2"} 2`,
		`panal_host_memory_bytes 8.589934592e+09`,
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("there is no line %s in\n%s", line, body)
		}
	}
	if strings.Contains(body, "pressure") {
		t.Error("a pressure is told that the kernel does not tell")
	}
}
