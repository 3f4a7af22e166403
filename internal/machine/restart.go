package machine

import (
	"time"

	"github.com/panalvm/panal/api"
)

// The restart policy's backoff.
const (
	FirstWait    = time.Second      // before the first attempt; it doubles with each
	LongestWait  = 5 * time.Minute  // but grows no further
	SettledAfter = 10 * time.Minute // a run this long ends a row of attempts
)

// Attempts returns how many attempts of the restart policy a row has when a
// machine ends that was started for the attempts-th time in it and then ran
// for the time given: a long run starts the counting afresh.
func Attempts(attempts int, ran time.Duration) int {
	if ran >= SettledAfter {
		return 0
	}
	return max(attempts, 0)
}

// Decide says whether a machine that has ended is started again, and after
// how long a wait. attempts counts the attempts made in a row before this end,
// ran is how long the machine ran.
func Decide(policy api.Restart, end api.End, attempts int, ran time.Duration) (again bool, wait time.Duration) {
	if !wanted(policy.Policy, end.Reason) {
		return false, 0
	}
	attempts = Attempts(attempts, ran)
	if policy.MaxAttempts > 0 && attempts >= policy.MaxAttempts {
		return false, 0
	}
	return true, backoff(attempts)
}

// wanted says whether the policy is about ends of this sort. What a command
// ended stays ended, whatever the policy.
func wanted(policy api.RestartPolicy, reason api.EndReason) bool {
	switch reason {
	case api.EndGuestShutdown:
		return policy == api.RestartAlways
	case api.EndGuestPanic, api.EndKilled, api.EndFailed, api.EndHostRestart:
		return policy == api.RestartAlways || policy == api.RestartOnFailure
	}
	return false
}

func backoff(attempts int) time.Duration {
	wait := FirstWait
	for range attempts {
		wait *= 2
		if wait >= LongestWait {
			return LongestWait
		}
	}
	return wait
}
