package manager

import (
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/problem"
)

// claims are names and UUIDs of machines that are being imported, which nobody
// else knows yet. Its zero value is ready.
type claims struct {
	mu   sync.Mutex               // guards what follows
	held map[string]chan struct{} // nil, or of an import that is ending: closed when it has
}

// take claims a name; false if somebody has. That an import is ending, which is told to whoever waits for it before
// it lets go of its names, is waited for.
func (c *claims) take(name string) bool {
	for {
		c.mu.Lock()
		ended, held := c.held[name]
		if !held {
			if c.held == nil {
				c.held = map[string]chan struct{}{}
			}
			c.held[name] = nil
		}
		c.mu.Unlock()
		switch {
		case !held:
			return true
		case ended == nil:
			return false
		}
		<-ended
	}
}

// ending says that names are released soon.
func (c *claims) ending(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		c.held[name] = make(chan struct{})
	}
}

func (c *claims) release(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		if ended := c.held[name]; ended != nil {
			close(ended)
		}
		delete(c.held, name)
	}
}

// close gives back what a job holds. It may be called twice.
func (job *importJob) close() {
	_ = job.source.Close() // it was only read
	if job.after != nil {
		_ = job.after()
		job.after = nil
	}
	job.claims.release(job.claimed)
	job.claimed = nil
}

// claim takes a name or UUID that nobody has.
func (job *importJob) claim(taken map[string]bool, name string) bool {
	if taken[name] || !job.claims.take(name) {
		return false
	}
	taken[name] = true
	job.claimed = append(job.claimed, name)
	return true
}

// identify gives a machine its name and UUID. The description's are kept where
// they are free, also of other imports that are under way.
func (job *importJob) identify(spec *api.Spec, taken map[string]bool) error {
	only := len(job.source.Appliance.Machines) == 1
	if job.request.Name != "" && only {
		spec.Name = job.request.Name
		if !job.claim(taken, spec.Name) && !taken[spec.Name] { // of one that exists it is said later
			return problem.New(api.KindBusy, "choose another name, or wait for the other import", "import %s: another import is making a machine called %s", job.request.Source, spec.Name)
		}
	} else {
		if job.request.Name != "" {
			spec.Name = appliance.CleanName(job.request.Name + "-" + spec.Name)
		}
		base := spec.Name
		for n := 2; !job.claim(taken, spec.Name); n++ {
			spec.Name = fmt.Sprintf("%.56s-%d", base, n)
		}
	}
	parsed, err := uuid.Parse(spec.UUID)
	spec.UUID = parsed.String()
	if err != nil || parsed == uuid.Nil || job.request.NewUUID || !job.claim(taken, spec.UUID) {
		spec.UUID = uuid.NewString()
	}
	return nil
}

// encrypted tells whether content can only be had with a passphrase.
func (job *importJob) encrypted() bool {
	for _, m := range job.source.Appliance.Machines {
		for _, d := range m.Disks {
			if d.Encryption != "" && job.source.Appliance.Kind == appliance.KindOVF {
				return true
			}
		}
	}
	return false
}

// cannotLook tells whether only the description tells of a disk for now.
func (job *importJob) cannotLook(d appliance.Disk) bool {
	return job.arrival != nil || d.Encryption != "" && job.source.Appliance.Kind == appliance.KindOVF
}
