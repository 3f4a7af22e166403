package api

// EventType says what changed.
type EventType string

// The event types.
const (
	MachineCreated EventType = "machine.created"
	MachineChanged EventType = "machine.changed" // its spec or a detail of its status
	MachineState   EventType = "machine.state"   // its state: see Machine.Status, and From
	MachineDeleted EventType = "machine.deleted"
	TaskCreated    EventType = "task.created"
	TaskProgress   EventType = "task.progress"
	TaskEnded      EventType = "task.ended"
	HostMadeRoom   EventType = "host.memory" // by what the host makes room for memory: see Memory
)

// Event is one change. Events come in the order of their revisions; those of
// one revision happened at once. A client that reconnects asks for the events
// since the last revision it has seen whole, and misses nothing.
type Event struct {
	Revision int64     `json:"revision"`
	Type     EventType `json:"type"`
	From     State     `json:"from,omitempty" doc:"the state before, for machine.state"`
	Machine  *Machine  `json:"machine,omitempty" doc:"the machine after the change; before it, for machine.deleted"`
	Task     *Task     `json:"task,omitempty" doc:"the task after the change"`

	Step   *MemoryStep `json:"step,omitempty" doc:"what was done with the machine's memory, and why, for a machine.changed that tells of it"`
	Memory *HostMemory `json:"memory,omitempty" doc:"by what the host makes room for memory now, for host.memory"`
}
