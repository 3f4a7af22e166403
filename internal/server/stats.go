package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/panalvm/panal/api"
)

type historyInput struct {
	Ref   string    `path:"ref" doc:"the machine's name, UUID, or a unique prefix of either"`
	After time.Time `query:"after" doc:"samples after this time only"`
}

func (s *server) registerStats(h huma.API) {
	stats := s.services.Stats
	route(h, s, api.GetStats, http.StatusOK, func(ctx context.Context, in *refInput) (api.Stats, error) {
		return stats.Stats(ctx, in.Ref)
	})
	route(h, s, api.GetStatsHistory, http.StatusOK, func(ctx context.Context, in *historyInput) (api.StatsHistory, error) {
		answer, err := stats.History(ctx, in.Ref, in.After)
		answer.Samples = list(answer.Samples)
		return answer, err
	})
	route(h, s, api.ListStats, http.StatusOK, func(ctx context.Context, _ *none) (api.StatsList, error) {
		answer, err := stats.All(ctx)
		answer.Machines = list(answer.Machines)
		return answer, err
	})
	stream(h, api.ReadMetrics, http.StatusOK, responses{
		http.StatusOK: {description: "The figures, in Prometheus's text format. docs/memory.md lists their names.", mediaType: "text/plain"},
	}, s.metrics)
}

// metrics answers Prometheus.
func (s *server) metrics(w http.ResponseWriter, r *http.Request, _ *none) {
	all, err := s.services.Stats.All(r.Context())
	if err != nil {
		s.refuse(w, r, api.ReadMetrics.ID, err)
		return
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector(all))
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// collector gives Prometheus what was seen at one instant.
type collector api.StatsList

// figure is a metric and how it is read off.
type figure[T any] struct {
	description *prometheus.Desc
	kind        prometheus.ValueType
	value       func(T) (value float64, known bool)
}

func machineFigure(name, help string, kind prometheus.ValueType, value func(api.Stats) (float64, bool)) figure[api.Stats] {
	return figure[api.Stats]{prometheus.NewDesc("panal_machine_"+name, help, []string{"machine", "uuid"}, nil), kind, value}
}

// machineFigures are the metrics of each machine.
func machineFigures() []figure[api.Stats] {
	bytes := func(of func(api.MemoryStats) api.Size) func(api.Stats) (float64, bool) {
		return func(s api.Stats) (float64, bool) { return float64(of(s.Memory)), true }
	}
	guest := func(of func(api.GuestMemory) float64) func(api.Stats) (float64, bool) {
		return func(s api.Stats) (float64, bool) {
			if s.Memory.Guest == nil {
				return 0, false
			}
			return of(*s.Memory.Guest), true
		}
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	return []figure[api.Stats]{
		machineFigure("cpus", "CPUs that are plugged in.", gauge, func(s api.Stats) (float64, bool) { return float64(s.CPU.Count), true }),
		machineFigure("cpu_cap_percent", "What each of its CPUs may use of one of the host's.", gauge, func(s api.Stats) (float64, bool) { return float64(s.CPU.Cap), true }),
		machineFigure("cpu_used_seconds_total", "Time that the machine's threads have run on the host.", counter, func(s api.Stats) (float64, bool) { return s.CPU.Used, true }),
		machineFigure("cpu_ready_seconds_total", "Time that the machine's threads were ready to run and had to wait.", counter, func(s api.Stats) (float64, bool) { return s.CPU.Ready, true }),
		machineFigure("memory_assigned_bytes", "What the guest has.", gauge, bytes(func(m api.MemoryStats) api.Size { return m.Assigned })),
		machineFigure("memory_minimum_bytes", "What the guest keeps in any case.", gauge, bytes(func(m api.MemoryStats) api.Size { return m.Minimum })),
		machineFigure("memory_maximum_bytes", "What the guest can have.", gauge, bytes(func(m api.MemoryStats) api.Size { return m.Maximum })),
		machineFigure("memory_plugged_bytes", "What was plugged in since the guest booted.", gauge, bytes(func(m api.MemoryStats) api.Size { return m.Plugged })),
		machineFigure("memory_ballooned_bytes", "What the balloon has taken from the guest.", gauge, bytes(func(m api.MemoryStats) api.Size { return m.Ballooned })),
		machineFigure("memory_resident_bytes", "What the process has of the host's memory.", gauge, bytes(func(m api.MemoryStats) api.Size { return m.Resident })),
		machineFigure("memory_used_bytes", "What the process has of the host's memory, of what it shares its part.", gauge, bytes(func(m api.MemoryStats) api.Size { return m.Used })),
		machineFigure("memory_shared_bytes", "What the kernel has merged with equal pages.", gauge, bytes(func(m api.MemoryStats) api.Size { return m.Shared })),
		machineFigure("memory_compressed_bytes", "What is in compressed memory.", gauge, bytes(func(m api.MemoryStats) api.Size { return m.Compressed })),
		machineFigure("memory_swapped_bytes", "What is swapped out.", gauge, bytes(func(m api.MemoryStats) api.Size { return m.Swapped })),
		machineFigure("guest_memory_total_bytes", "Memory that the guest's kernel manages.", gauge, guest(func(g api.GuestMemory) float64 { return float64(g.Total) })),
		machineFigure("guest_memory_free_bytes", "Memory of the guest that holds nothing.", gauge, guest(func(g api.GuestMemory) float64 { return float64(g.Free) })),
		machineFigure("guest_memory_available_bytes", "Memory that the guest's programs could have without swapping.", gauge, guest(func(g api.GuestMemory) float64 { return float64(g.Available) })),
		machineFigure("guest_memory_caches_bytes", "Memory of the guest that files hold.", gauge, guest(func(g api.GuestMemory) float64 { return float64(g.Caches) })),
		machineFigure("guest_major_faults_total", "Pages that the guest had to read since it booted.", counter, guest(func(g api.GuestMemory) float64 { return float64(g.MajorFaults) })),
		machineFigure("guest_swapped_in_bytes_total", "What the guest took back from its swap since it booted.", counter, guest(func(g api.GuestMemory) float64 { return float64(g.SwappedIn) })),
		machineFigure("guest_swapped_out_bytes_total", "What the guest put into its swap since it booted.", counter, guest(func(g api.GuestMemory) float64 { return float64(g.SwappedOut) })),
	}
}

func hostFigure(name, help string, value func(api.HostStats) (float64, bool)) figure[api.HostStats] {
	return figure[api.HostStats]{prometheus.NewDesc("panal_host_"+name, help, nil, nil), prometheus.GaugeValue, value}
}

// hostFigures are the metrics of the host.
func hostFigures() []figure[api.HostStats] {
	return []figure[api.HostStats]{
		hostFigure("memory_bytes", "The host's memory.", func(h api.HostStats) (float64, bool) { return float64(h.Memory), true }),
		hostFigure("memory_available_bytes", "What the kernel could give without swapping.", func(h api.HostStats) (float64, bool) { return float64(h.Available), true }),
		hostFigure("swap_bytes", "The host's swap.", func(h api.HostStats) (float64, bool) { return float64(h.Swap), true }),
		hostFigure("swap_free_bytes", "What of it is free.", func(h api.HostStats) (float64, bool) { return float64(h.SwapFree), true }),
		hostFigure("shared_bytes", "Memory that stands for several equal pages (KSM).", func(h api.HostStats) (float64, bool) { return float64(h.Sharing.Shared), true }),
		hostFigure("shared_saved_bytes", "Memory that is not needed thanks to that.", func(h api.HostStats) (float64, bool) { return float64(h.Sharing.Saved), true }),
		hostFigure("memory_pressure_percent", "Part of the last 10 s in which somebody waited for memory.", func(h api.HostStats) (float64, bool) {
			if h.Pressure == nil {
				return 0, false
			}
			return *h.Pressure, true
		}),
	}
}

// Describe tells Prometheus which metrics there are.
func (c collector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, f := range machineFigures() {
		descriptions <- f.description
	}
	for _, f := range hostFigures() {
		descriptions <- f.description
	}
}

// Collect gives Prometheus their values.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	for _, f := range hostFigures() {
		if value, known := f.value(c.Host); known {
			metrics <- prometheus.MustNewConstMetric(f.description, f.kind, value)
		}
	}
	for _, f := range machineFigures() {
		for _, machine := range c.Machines {
			if value, known := f.value(machine); known {
				metrics <- prometheus.MustNewConstMetric(f.description, f.kind, value, machine.Name, machine.UUID)
			}
		}
	}
}
