package sharing

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// kernel is a simulated one: of what is offered, a part is equal to others.
type kernel struct {
	now     time.Time
	counted Counters
	equal   int64 // pages that can be saved
	at      int64 // of the round
	state   State
	set     Setting
}

// seconds lets ten seconds pass.
func (k *kernel) seconds(short bool) Setting {
	const passing = 10 * time.Second
	k.now = k.now.Add(passing)
	if k.set.Run && k.counted.Offered > 0 {
		scanned := int64(k.set.Pages) * int64(passing/k.set.Sleep)
		k.counted.Scanned += scanned
		k.at += scanned
		// In its second round a page is found to be equal: nearly so here.
		k.counted.Saved = min(k.equal, k.counted.Saved+scanned*k.equal/k.counted.Offered)
		for ; k.at >= k.counted.Offered; k.at -= k.counted.Offered {
			k.counted.Rounds++
		}
	}
	k.set, k.state = Tune(k.now, k.counted, short, k.state)
	return k.set
}

func TestItStopsWhereItDoesNotPay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := &kernel{now: time.Unix(1e9, 0)}
		k.counted.Offered = rapid.Int64Range(1000, 10_000_000).Draw(t, "offered")
		k.equal = rapid.Int64Range(0, k.counted.Offered).Draw(t, "equal")
		for range 2000 {
			set := k.seconds(false)
			if set.Run && (set.Pages < leastPages || set.Pages > mostPages) {
				t.Fatalf("it looks at %d pages at once", set.Pages)
			}
			if !set.Run {
				if k.counted.Saved < k.equal*9/10 && k.equal > k.counted.Offered/50 {
					t.Fatalf("it stops with %d of %d found", k.counted.Saved, k.equal)
				}
				return
			}
		}
		t.Fatal("it never stops")
	})
}

func TestNothingOffered(t *testing.T) {
	if set, _ := Tune(time.Unix(1e9, 0), Counters{Saved: 5}, true, State{Pages: 100}); set.Run {
		t.Error("it looks where nothing is offered")
	}
}

func TestItBeginsAgain(t *testing.T) {
	stopped := func() *kernel {
		k := &kernel{now: time.Unix(1e9, 0)}
		k.counted.Offered = 100_000
		for k.seconds(false).Run {
		}
		return k
	}
	first := &kernel{now: time.Unix(1e9, 0)}
	first.counted.Offered = 100_000
	if !first.seconds(false).Run {
		t.Error("it does not begin")
	}
	if k := stopped(); !k.seconds(true).Run {
		t.Error("it does not where the host runs short")
	}
	if k := stopped(); k.seconds(false).Run {
		t.Error("it does at once")
	}
	k := stopped()
	k.counted.Offered *= 2
	if !k.seconds(false).Run {
		t.Error("it does not where there is something new")
	}
	if k.now = k.now.Add(triesAgain); !k.seconds(false).Run {
		t.Error("it does not after a while")
	}
}
