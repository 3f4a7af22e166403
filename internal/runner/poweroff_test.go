package runner

import (
	"context"
	"errors"
	"testing"

	"github.com/panalvm/panal/api"
)

// TestPowerOffIsNotCutOff has the one who asked give up at every place: either QEMU runs on, or it ends by itself, with its
// images flushed.
func TestPowerOffIsNotCutOff(t *testing.T) {
	ended := 0
	for looks := int64(1); ended < 2; looks++ {
		b := threeLayers(t)
		ctx := newCountdown(t.Context(), looks)
		err := b.PowerOff(ctx, api.EndStopped)
		ctx.cancel()
		if err == nil {
			ended++
			if how := b.program.How(); how != nil {
				t.Errorf("given up at look %d, QEMU ended with %v", looks, how)
			}
			continue
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("given up at look %d: %v", looks, err)
		}
		if running, state, err := b.Running(t.Context()); !running {
			t.Errorf("given up at look %d, QEMU is %s: %v", looks, state, err)
		}
	}
}
