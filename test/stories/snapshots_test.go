package stories

import (
	"context"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/media"
)

// shallow waits until none of a machine's disks is made of more than so many images of its own, looking
// once and then at every event.
func shallow(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "shallow NAME DEPTH")
	bound, err := strconv.Atoi(args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := worldOf(ts).home.Client()
	defer c.Close()
	m, err := c.Get(ctx, args[0])
	ts.Check(err)
	depth := func() int {
		most := 0
		now, err := c.Get(ctx, args[0])
		ts.Check(err)
		for _, drive := range now.Spec.Drives {
			layers, err := media.OwnLayers(now.Folder, drive.File)
			ts.Check(err)
			most = max(most, len(layers))
		}
		return most
	}
	if depth() <= bound {
		return
	}
	for _, err := range c.Events(ctx, m.Revision, client.EventFilter{}) {
		if err != nil {
			ts.Fatalf("the disks of %s are made of %d images: %v", args[0], depth(), err)
		}
		if depth() <= bound {
			return
		}
	}
}
