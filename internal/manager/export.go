package manager

import (
	"context"
	"fmt"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// Export begins to write machines in a form that other programs take. They
// are worked on until it is done.
func (m *Manager) Export(ctx context.Context, request api.ExportRequest) (api.Task, error) {
	options, err := exportOptions(request)
	if err != nil {
		return api.Task{}, err
	}
	objects, err := m.exported(ctx, request.Machines)
	if err != nil {
		return api.Task{}, err
	}
	to, err := placeOf(request.Destination, nameOf(request, objects))
	if err != nil {
		return api.Task{}, err
	}
	if err := m.checkPlace(ctx, to, request.Replace); err != nil {
		return api.Task{}, err
	}
	options.Name, options.Title = to.stem, request.Name
	if to.archive {
		options.Name = appliance.CleanName(to.stem)
	}
	release, err := m.exports.take(to)
	if err != nil {
		return api.Task{}, err
	}
	begun, err := m.beginExport(ctx, request, "export to "+request.Destination, func(ctx context.Context, r *task.Run, machines []exporter.Machine) error {
		options.Progress = reporter(r)
		tellInstead(r, machines, options.Dialect)
		return to.writeFiles(ctx, r, machines, options, request.Replace)
	}, release)
	if err != nil {
		release()
	}
	return begun, err
}

// nameOf is what an appliance is called that no file's name says: as it is asked
// for, or as its first machine.
func nameOf(request api.ExportRequest, objects []inventory.Object) string {
	if request.Name != "" {
		return request.Name
	}
	return objects[0].Value.Spec.Name
}

// tellInstead warns of hardware that the program is told something else of, which it knows.
func tellInstead(r *task.Run, machines []exporter.Machine, dialect envelope.Dialect) {
	for _, m := range machines {
		for _, text := range envelope.Instead(dialect, m.Spec) {
			r.Warn(m.Spec.Name + ": " + text)
		}
	}
}

func reporter(r *task.Run) func(step string, done, total int64) {
	return func(step string, done, total int64) {
		r.Report(api.Progress{Step: step, Done: done, Total: total, Unit: "bytes"})
	}
}

// exported finds the machines of an export.
func (m *Manager) exported(ctx context.Context, refs []string) ([]inventory.Object, error) {
	var objects []inventory.Object
	for _, ref := range refs {
		object, err := m.allowed(ctx, ref, machine.OpExport)
		if err != nil {
			return nil, err
		}
		for _, other := range objects {
			if other.Key == object.Key {
				return nil, problem.New(api.KindInvalid, "name each machine once", "export: %s is named twice", object.Value.Spec.Name)
			}
		}
		if err := m.unwritten(ctx, object); err != nil {
			return nil, fmt.Errorf("export %s: %w", object.Value.Spec.Name, err)
		}
		objects = append(objects, object)
	}
	if len(objects) == 0 {
		return nil, refuseExport("", "no machine was named")
	}
	return objects, nil
}

// exportWork writes machines somewhere.
type exportWork func(ctx context.Context, r *task.Run, machines []exporter.Machine) error

// beginExport begins a task that claims the machines, writes them, and gives them
// back as they were. After is called when it has ended, however it did.
func (m *Manager) beginExport(ctx context.Context, request api.ExportRequest, what string, work exportWork, after func()) (api.Task, error) {
	return again(ctx, func() (api.Task, error) {
		objects, err := m.exported(ctx, request.Machines)
		if err != nil {
			return api.Task{}, err
		}
		order := task.Order{ID: task.NewID(), Kind: "machine.export", Name: nameOf(request, objects)}
		for _, object := range objects {
			if err := m.claimAlso(ctx, &order, object); err != nil {
				return api.Task{}, err
			}
		}
		if len(objects) == 1 {
			order.Machine, order.Name = objects[0].Key, objects[0].Value.Spec.Name
		}
		return m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
			defer after()
			if err := m.export(ctx, r, objects, work); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return m.release(ctx, r, objects)
		})
	})
}

// export does the work on machines whose disks it opens.
func (m *Manager) export(ctx context.Context, r *task.Run, objects []inventory.Object, work exportWork) error {
	if err := fault.At(ctx, "export.begun"); err != nil {
		return err
	}
	release, err := m.readStill(ctx, objects...)
	if err != nil {
		return err
	}
	defer release()
	out, err := m.disksOf(ctx, r, objects)
	if err != nil {
		return err
	}
	if err = work(ctx, r, out.machines); err != nil && ctx.Err() == nil {
		err = out.why(err)
	}
	if closed := out.close(); err == nil {
		err = closed
	}
	return err
}

// release ends a task, and gives back the machines that it worked on unchanged.
func (m *Manager) release(ctx context.Context, r *task.Run, objects []inventory.Object) error {
	for {
		var ops []state.Op
		for _, o := range objects {
			object, err := m.inv.Get(ctx, o.Key)
			if err != nil {
				return err
			}
			object.Value.Status.Task = ""
			update, err := m.inv.UpdateOps(ctx, object, object.Value.Spec)
			if err != nil {
				return err
			}
			ops = append(ops, update...)
		}
		if err := r.End(ctx, ops...); !isConflict(err) {
			return err
		}
	}
}
