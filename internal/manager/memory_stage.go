package manager

import (
	"context"
	"errors"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/plan/memory"
	"github.com/panalvm/panal/internal/resource"
	"github.com/panalvm/panal/internal/state"
)

// stageKey is this host's, below [resource.StagePrefix].
const stageKey = "host"

// stageNames are the stages in the words of the interface.
var stageNames = map[memory.Stage]api.MemoryStage{
	memory.Enough: api.StageEnough, memory.Ballooning: api.StageBalloon, memory.Merging: api.StageSharing,
	memory.Compressing: api.StageCompress, memory.Swapping: api.StageSwap, memory.Exhausted: api.StageExhausted,
}

func (m *Manager) stages() *state.Collection[api.HostMemory] {
	return state.NewCollection[api.HostMemory](m.Store, resource.StagePrefix)
}

// tellStage has everybody know by what the host makes room for memory, where that has changed.
func (c *memoryController) tellStage(now time.Time, settings api.HostSettings) {
	if !c.cellar.read {
		c.readStage()
	}
	reclaimed := c.cellar.state
	told, tell := c.cellar.told.Tell(now, reclaimed.Stage)
	if c.cellar.told = told; !tell {
		return
	}
	stage := api.HostMemory{Time: now.UTC(), Stage: stageNames[reclaimed.Stage], Reason: reclaimed.Why}
	c.cellar.now = &stage
	c.reclaiming.note(c.describeReclaim(settings))
	c.log.Info("making room for memory", "stage", stage.Stage, "reason", stage.Reason)
	if err := c.putStage(stage); err != nil {
		c.log.Error("by what the host makes room for memory could not be stored", "stage", stage.Stage, "error", err)
	}
}

func (c *memoryController) putStage(stage api.HostMemory) error {
	ctx := context.WithoutCancel(c.base)
	_, err := c.stages().Modify(ctx, stageKey, func(stored *api.HostMemory) error {
		*stored = stage
		return nil
	})
	if errors.Is(err, state.ErrNotFound) {
		_, err = c.stages().Create(ctx, stageKey, stage)
	}
	return err
}

// readStage takes in what an earlier daemon has told.
func (c *memoryController) readStage() {
	object, err := c.stages().Get(c.base, stageKey)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return // it is tried again
	}
	c.cellar.read = true
	if err != nil {
		return
	}
	c.cellar.now = &object.Value
	for stage, name := range stageNames {
		if name == object.Value.Stage {
			c.cellar.told = memory.Told{Stage: stage}
		}
	}
}
