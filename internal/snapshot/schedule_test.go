package snapshot

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
)

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestSpans(t *testing.T) {
	now := at("2026-03-01 15:20") // a Sunday
	for kind, want := range map[Kind][2]string{
		Hourly:  {"2026-03-01 15:00", "2026-03-01 16:00"},
		Daily:   {"2026-03-01 00:00", "2026-03-02 00:00"},
		Weekly:  {"2026-02-23 00:00", "2026-03-02 00:00"},
		Monthly: {"2026-03-01 00:00", "2026-04-01 00:00"},
	} {
		if start := kind.start(now); !start.Equal(at(want[0])) || !kind.end(start).Equal(at(want[1])) {
			t.Errorf("%s: %s to %s", kind, start, kind.end(start))
		}
	}
}

func TestMissed(t *testing.T) {
	hourly, daily := api.SnapshotSchedule{Hourly: 24, Daily: 7}, api.SnapshotSchedule{Daily: 7}
	for _, test := range []struct {
		schedule      api.SnapshotSchedule
		attended, now string
		missed        int
		next          string
	}{
		{hourly, "2026-03-01 15:00", "2026-03-01 15:59", 0, "2026-03-01 16:00"},
		{hourly, "2026-03-01 15:00", "2026-03-01 16:01", 0, "2026-03-01 16:00"},
		{hourly, "2026-03-01 15:00", "2026-03-01 17:00", 1, "2026-03-01 16:00"},
		{hourly, "2026-03-01 15:30", "2026-03-02 15:30", 23, "2026-03-01 16:00"},
		{daily, "2026-03-01 15:30", "2026-03-02 15:30", 0, "2026-03-02 00:00"},
		{daily, "2026-03-05 00:00", "2026-03-02 15:30", 0, "2026-03-03 00:00"},
		{api.SnapshotSchedule{}, "2026-03-01 15:30", "2026-03-02 15:30", 0, ""},
	} {
		var next time.Time
		if test.next != "" {
			next = at(test.next)
		}
		if missed := Missed(test.schedule, at(test.attended), at(test.now)); missed != test.missed {
			t.Errorf("%v: %d missed", test, missed)
		}
		if got := Next(test.schedule, at(test.attended), at(test.now)); !got.Equal(next) {
			t.Errorf("%v: next is %s", test, got)
		}
	}
}

// schedules are those of some size.
var schedules = rapid.Custom(func(t *rapid.T) api.SnapshotSchedule {
	n := rapid.IntRange(0, 5)
	return api.SnapshotSchedule{Hourly: n.Draw(t, "hourly"), Daily: n.Draw(t, "daily"), Weekly: n.Draw(t, "weekly"), Monthly: n.Draw(t, "monthly")}
})

// A clock that runs for months, with times at which nobody attends, people's own
// snapshots, and schedules that are changed: what is kept is never too much, never
// what is not the schedule's own, and never leaves the newest out.
func TestScheduleOverMonths(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		schedule, now := schedules.Draw(rt, "schedule"), at("2026-01-28 22:40")
		var tree []api.Snapshot
		people := 0
		for i := range rapid.IntRange(1, 200).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 40*60).Draw(rt, "minutes")) * time.Minute)
			switch rapid.IntRange(0, 20).Draw(rt, "what") {
			case 0:
				tree = append(tree, api.Snapshot{ID: fmt.Sprintf("own%05d", i), Taken: now})
				people++
				continue
			case 1:
				schedule = schedules.Draw(rt, "schedule")
			}
			kind, due := Due(schedule, tree, now)
			if due {
				if kept(schedule, kind) == 0 {
					rt.Fatalf("%s is due, which %v does not take", kind, schedule)
				}
				tree = append(tree, api.Snapshot{ID: fmt.Sprintf("sch%05d", i), Taken: now, Schedule: string(kind)})
				if again, due := Due(schedule, tree, now); due && slices.Index(kinds, again) >= slices.Index(kinds, kind) {
					rt.Fatalf("%s is due after %s was taken", again, kind)
				}
			}
			newest := len(tree) - 1
			expired := Expired(schedule, tree)
			if due && slices.Contains(expired, tree[newest].ID) {
				rt.Fatal("what was taken just now has expired")
			}
			tree = slices.DeleteFunc(tree, func(s api.Snapshot) bool { return slices.Contains(expired, s.ID) })
			if again := Expired(schedule, tree); len(again) > 0 {
				rt.Fatalf("%v expire once more", again)
			}
			holdsBounds(rt, schedule, tree, people)
		}
	})
}

func holdsBounds(rt *rapid.T, schedule api.SnapshotSchedule, tree []api.Snapshot, people int) {
	own, taken := 0, 0
	for _, s := range tree {
		switch {
		case s.Schedule == "":
			own++
		case kept(schedule, Kind(s.Schedule)) > 0:
			taken++
		}
	}
	if own != people {
		rt.Fatalf("%d of %d that people took are left", own, people)
	}
	if sum := schedule.Hourly + schedule.Daily + schedule.Weekly + schedule.Monthly; taken > sum {
		rt.Fatalf("%v keeps %d", schedule, taken)
	}
}

// Attended to at every hour, a schedule has exactly the spans that it promises.
func TestScheduleKeepsWhatItPromises(t *testing.T) {
	schedule, now := api.SnapshotSchedule{Hourly: 24, Daily: 7, Weekly: 4, Monthly: 3}, at("2026-01-01 00:00")
	var tree []api.Snapshot
	for i := range 24 * 150 {
		if kind, due := Due(schedule, tree, now); due {
			tree = append(tree, api.Snapshot{ID: fmt.Sprintf("sch%05d", i), Taken: now, Schedule: string(kind)})
		}
		expired := Expired(schedule, tree)
		tree = slices.DeleteFunc(tree, func(s api.Snapshot) bool { return slices.Contains(expired, s.ID) })
		now = now.Add(time.Hour)
	}
	for _, k := range kinds {
		if got := firsts(tree, k, 1000); len(got) < kept(schedule, k) {
			t.Errorf("%d of the kind %s are left", len(got), k)
		}
	}
	for i, one := range firsts(tree, Daily, 7) {
		if want := at("2026-05-24 00:00").AddDate(0, 0, i); !one.Taken.Equal(want) {
			t.Errorf("day %d is of %s, not %s", i, one.Taken, want)
		}
	}
}
