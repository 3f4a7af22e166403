package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/panalvm/panal/api"
)

// inParallel is how many machines are created at once.
const inParallel = 16

// defineMachines creates machines until there are count, as a program would: a task each, several at once.
func defineMachines(ctx context.Context, b *bench, dir string, known, count int) error {
	if known == count {
		return nil
	}
	p, err := startPanal(ctx, b, dir)
	if err != nil {
		return err
	}
	defer p.close() //nolint:errcheck // what matters of it is that the machines are there, which is looked at later
	began := time.Now()
	if err := p.createMachines(ctx, known, count); err != nil {
		return err
	}
	b.report.add(row{
		work: fmt.Sprintf("create %d machines, %d at a time", count-known, inParallel),
		ours: rate(count-known, time.Since(began)),
	})
	return nil
}

// createMachines creates those from one number up to, and without, another.
func (p *panal) createMachines(ctx context.Context, from, to int) error {
	var next atomic.Int64
	next.Store(int64(from))
	group, ctx := errgroup.WithContext(ctx)
	for range inParallel {
		group.Go(func() error {
			for i := next.Add(1) - 1; i < int64(to); i = next.Add(1) - 1 {
				task, err := p.client.Create(ctx, api.CreateRequest{Spec: api.Spec{
					Name: nameOf(int(i)), Architecture: api.X8664, Memory: api.Memory{Size: machineMemory},
				}})
				if err := p.finish(ctx, task, err); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
