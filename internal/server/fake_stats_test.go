package server

import (
	"context"
	"time"

	"github.com/panalvm/panal/api"
)

type fakeStats struct{ *fakeServices }

var webStats = api.Stats{
	UUID: "5f8a6bb2", Name: "web", State: api.StateRunning, Time: when, CPU: api.CPUStats{Count: 2, Used: 12.5},
	Memory: api.MemoryStats{Assigned: api.GiB, Ballooned: 256 * api.MiB, Guest: &api.GuestMemory{Updated: when, Available: 100 * api.MiB}},
}

func (f fakeStats) Stats(_ context.Context, ref string) (api.Stats, error) {
	return webStats, f.call("stats", ref)
}

func (f fakeStats) History(_ context.Context, ref string, since time.Time) (api.StatsHistory, error) {
	return api.StatsHistory{Interval: 10}, f.call("history", ref, since.Unix())
}

func (f fakeStats) All(context.Context) (api.StatsList, error) {
	return api.StatsList{Time: when, Machines: []api.Stats{webStats}, Host: api.HostStats{Memory: 8 * api.GiB}}, f.call("all stats")
}
