package stories

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/panalvm/panal/api"
)

// herd starts so many machines that are alike, named herd0 and so on: ten where PANAL_FULL_SCALE is set. Each holds so much
// memory, equal to that of the others, and offers it to be merged. It waits until of what could be saved, all but one of each
// page, PERCENT are, as the host sees it, and prints the saving.
func herd(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, "herd COUNT MIB PERCENT")
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	held, err := strconv.Atoi(args[1])
	ts.Check(err)
	percent, err := strconv.Atoi(args[2])
	ts.Check(err)
	if os.Getenv("PANAL_FULL_SCALE") != "" {
		count, held = 10, 4*held
	}
	var names, pids []string
	for i := range count {
		names = append(names, fmt.Sprintf("herd%d", i))
		tiny(ts, false, []string{names[i], "--no-network", "--memory", fmt.Sprintf("%dM", 128+held)})
		ts.Check(ts.Exec("panal", "start", names[i]))
	}
	for _, name := range names {
		up(ts, false, []string{name})
		ask(ts, false, []string{name, "hold", strconv.Itoa(held), "7"})
		pids = append(pids, strconv.Itoa(pidOf(ts, name)))
	}
	ts.Defer(func() { ts.Check(ts.Exec("panal", append([]string{"stop"}, names...)...)) })
	before := weightOf(ts, pids)
	for _, name := range names {
		ts.Check(ts.Exec("panal", "set", name, "memory.sharing=on"))
	}
	possible := api.Size((count-1)*held) * api.MiB
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for again := time.NewTicker(200 * time.Millisecond); ; {
		saved := before - weightOf(ts, pids)
		if saved >= possible*api.Size(percent)/100 {
			again.Stop()
			fmt.Fprintf(ts.Stdout(), "%d machines with %d MiB of equal memory each: %d MiB saved of %d possible, %d MiB are left of %d\n",
				count, held, saved/api.MiB, possible/api.MiB, (before-saved)/api.MiB, before/api.MiB)
			worldOf(ts).t.Logf("%d MiB saved of %d possible", saved/api.MiB, possible/api.MiB)
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			ts.Fatalf("%d MiB are saved of %d", saved/api.MiB, possible/api.MiB)
		}
	}
}
