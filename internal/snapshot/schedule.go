package snapshot

import (
	"slices"
	"time"

	"github.com/panalvm/panal/api"
)

// Kind is a kind of scheduled snapshot, by the span of time that it is the first of.
type Kind string

// The kinds, from the shortest to the longest.
const (
	Hourly  Kind = "hourly"
	Daily   Kind = "daily"
	Weekly  Kind = "weekly"
	Monthly Kind = "monthly"
)

var kinds = []Kind{Hourly, Daily, Weekly, Monthly}

// start is when the span of a kind began in which a time is. Spans are in UTC, so
// that none is shorter or twice there when clocks are changed.
func (k Kind) start(t time.Time) time.Time {
	t = t.UTC()
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	switch k {
	case Hourly:
		return t.Truncate(time.Hour)
	case Weekly:
		return day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
	case Monthly:
		return day.AddDate(0, 0, 1-day.Day())
	}
	return day
}

// end is when the span ends that began at a time.
func (k Kind) end(start time.Time) time.Time {
	switch k {
	case Hourly:
		return start.Add(time.Hour)
	case Weekly:
		return start.AddDate(0, 0, 7)
	case Monthly:
		return start.AddDate(0, 1, 0)
	}
	return start.AddDate(0, 0, 1)
}

// kept is how many of a kind a schedule keeps.
func kept(s api.SnapshotSchedule, k Kind) int {
	return map[Kind]int{Hourly: s.Hourly, Daily: s.Daily, Weekly: s.Weekly, Monthly: s.Monthly}[k]
}

// shortest is the shortest kind of a schedule; false where it has none.
func shortest(s api.SnapshotSchedule) (Kind, bool) {
	for _, k := range kinds {
		if kept(s, k) > 0 {
			return k, true
		}
	}
	return "", false
}

// counts tells whether a scheduled snapshot is one of a kind: the first of a day is
// the first of its hour too.
func counts(s api.Snapshot, k Kind) bool {
	is := slices.Index(kinds, Kind(s.Schedule))
	return is >= 0 && is >= slices.Index(kinds, k)
}

// Due is the longest kind of which no snapshot was taken yet in the span that now is
// in; false if there is none.
func Due(s api.SnapshotSchedule, taken []api.Snapshot, now time.Time) (Kind, bool) {
	for _, k := range slices.Backward(kinds) {
		begun := k.start(now)
		has := slices.ContainsFunc(taken, func(one api.Snapshot) bool { return counts(one, k) && !one.Taken.Before(begun) })
		if kept(s, k) > 0 && !has {
			return k, true
		}
	}
	return "", false
}

// Next is when a schedule that was attended to at a time is to be attended to next:
// when the next span begins, at once if it never was. The zero time stands for never.
func Next(s api.SnapshotSchedule, attended, now time.Time) time.Time {
	k, some := shortest(s)
	switch {
	case !some:
		return time.Time{}
	case attended.IsZero():
		return now
	case attended.After(now): // the clock was put back
		attended = now
	}
	return k.end(k.start(attended))
}

// Missed is how many spans went by without anybody attending to a schedule.
func Missed(s api.SnapshotSchedule, attended, now time.Time) int {
	k, some := shortest(s)
	if !some || attended.IsZero() {
		return 0
	}
	missed := 0
	for at := k.end(k.start(attended)); !k.end(at).After(now); at = k.end(at) {
		missed++
	}
	return missed
}

// Expired are the IDs of the snapshots that a schedule keeps no longer, the oldest first.
// It keeps, of each kind, the newest so many, one of each span. What people have
// taken is not its own, and neither is what is of a kind that it takes no more.
func Expired(s api.SnapshotSchedule, taken []api.Snapshot) []string {
	keep := map[string]bool{}
	for _, k := range kinds {
		for _, one := range firsts(taken, k, kept(s, k)) {
			keep[one.ID] = true
		}
	}
	var expired []string
	for _, one := range slices.SortedFunc(slices.Values(taken), Oldest) {
		if one.Schedule != "" && kept(s, Kind(one.Schedule)) > 0 && !keep[one.ID] {
			expired = append(expired, one.ID)
		}
	}
	return expired
}

// firsts are the first snapshots of a kind in each of the newest n spans that have
// one.
func firsts(taken []api.Snapshot, k Kind, n int) []api.Snapshot {
	var found []api.Snapshot
	for _, one := range slices.SortedFunc(slices.Values(taken), Oldest) {
		if !counts(one, k) {
			continue
		}
		if last := len(found) - 1; last >= 0 && k.start(found[last].Taken).Equal(k.start(one.Taken)) {
			continue
		}
		found = append(found, one)
	}
	return found[max(0, len(found)-n):]
}
