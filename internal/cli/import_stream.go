package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/panalvm/panal/api"
)

// openPipe opens what is to be imported if it can be read only once: standard
// input, a pipe, a terminal's other end, or what a name stands for in this process
// alone. It is nil for anything that the daemon can open itself.
func (a *app) openPipe(ctx context.Context, thing string) (*os.File, error) {
	if thing == "-" {
		if isTerminal(a.in) {
			return nil, usageError{"standard input is a terminal: pipe something into it"}
		}
		return a.in, nil
	}
	path, err := filepath.EvalSymlinks(filepath.Dir(thing))
	if err != nil {
		return nil, nil //nolint:nilerr // the daemon says what is wrong
	}
	info, err := os.Stat(thing)
	if err != nil {
		return nil, nil //nolint:nilerr // as above
	}
	own := strings.HasPrefix(path, "/proc/") || thing == "/dev/stdin"
	if !own && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return nil, nil
	}
	return openWaiting(ctx, thing)
}

// openWaiting opens a file, which takes until somebody writes into a pipe.
func openWaiting(ctx context.Context, name string) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		file, err := os.Open(name)
		done <- opened{file, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, failed("import", name, o.err)
		}
		return o.file, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// importPipe imports what can be read only once, by sending it to the daemon.
func (a *app) importPipe(ctx context.Context, thing string, content *os.File, request api.ImportRequest, f importFlags) error {
	if f.detach {
		return usageError{"--detach needs a file: what comes through a pipe has to be sent by this command"}
	}
	if f.resume {
		return usageError{"--resume needs a file: what comes through a pipe comes once"}
	}
	request.Source = thing
	if _, err := a.connect(ctx); err != nil {
		return failed("import", thing, err)
	}
	if f.dryRun {
		plan, err := a.client.PlanImportStream(ctx, request, content)
		if err != nil {
			return a.pipeFailed(err)
		}
		return a.showPlan(plan)
	}
	counted := &countingReader{r: content}
	stop := a.showSent(counted)
	result, err := a.client.ImportStream(ctx, request, counted)
	stop()
	if ctx.Err() != nil {
		return failed("import", "", &api.Problem{Kind: api.KindCancelled, Detail: "import " + thing + ": it was interrupted, and nothing of it is kept"})
	}
	if err != nil {
		return a.pipeFailed(endedUnder(thing, counted.n.Load(), err))
	}
	a.warn(thing, result.Task.Warnings)
	a.sayIntegrity(thing, result.Plan.Kind, result.Task)
	return a.allImported(ctx, result.Plan.Machines, f.start)
}

// endedUnder says of what was sent to a daemon that has ended under it what is left of it, and what to do; any other
// error stays as it is.
func endedUnder(thing string, sent int64, err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || p.Kind != api.KindUnavailable {
		return err
	}
	return &api.Problem{
		Kind:   p.Kind,
		Detail: fmt.Sprintf("import %s: the daemon has ended when %s of it were sent; the next one, which any command starts, undoes what was begun", thing, api.Size(sent&^(1<<20-1))),
		Help:   "send it again from its beginning then; the daemon's log may say why it has ended",
	}
}

// pipeFailed shows the licences that were not agreed to: what comes through a
// pipe cannot be asked about first.
func (a *app) pipeFailed(err error) error {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		a.showLicences(p.Licences)
	}
	return failed("import", "", err)
}

// countingReader counts what is read.
type countingReader struct {
	r io.Reader
	n atomic.Int64
}

// Read reads.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// showSent shows on a terminal how much was sent, until it is told to stop.
func (a *app) showSent(c *countingReader) (stop func()) {
	if a.quiet || !isTerminal(a.err) {
		return func() {}
	}
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for began := time.Now(); ; {
			select {
			case <-done:
				fmt.Fprint(a.err, "\r\x1b[K")
				return
			case now := <-tick.C:
				n := c.n.Load()
				rate := float64(n) / max(now.Sub(began).Seconds(), 0.001)
				fmt.Fprintf(a.err, "\r\x1b[K%s sent, %s/s", api.Size(n>>20<<20), api.Size(int64(rate)>>20<<20))
			}
		}
	}()
	return func() { close(done); <-over }
}
