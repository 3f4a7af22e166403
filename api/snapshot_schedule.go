package api

import "time"

// SnapshotSchedule says which snapshots of a machine are taken by the clock, and
// how many of each are kept: the first of an hour, of a day, of a week from
// Monday on, of a month, in UTC. Without any there is no schedule.
type SnapshotSchedule struct {
	Hourly  int `json:"hourly,omitempty" minimum:"0" maximum:"500" doc:"how many of those of the hours are kept; 0 takes none"`
	Daily   int `json:"daily,omitempty" minimum:"0" maximum:"500" doc:"how many of those of the days are kept"`
	Weekly  int `json:"weekly,omitempty" minimum:"0" maximum:"500" doc:"how many of those of the weeks are kept"`
	Monthly int `json:"monthly,omitempty" minimum:"0" maximum:"500" doc:"how many of those of the months are kept"`
}

// Scheduled is where a machine's schedule of snapshots has come to.
type Scheduled struct {
	Attended time.Time `json:"attended" doc:"when it was attended to last; a machine that is off and was not written to since gets no further snapshot"`
	Next     time.Time `json:"next" doc:"when it is attended to next"`
}
