package manager

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
	"github.com/panalvm/panal/ovf"
)

// Export begins to write machines in a form that other programs take. They
// are off, or saved, and stay so until it is done.
func (m *Manager) Export(ctx context.Context, request api.ExportRequest) (api.Task, error) {
	options, err := exportOptions(request)
	if err != nil {
		return api.Task{}, err
	}
	return again(ctx, func() (api.Task, error) { return m.tryExport(ctx, request, options) })
}

func (m *Manager) tryExport(ctx context.Context, request api.ExportRequest, options exporter.Options) (api.Task, error) {
	order := task.Order{ID: task.NewID(), Kind: "machine.export", Name: options.Name}
	var objects []inventory.Object
	for _, ref := range request.Machines {
		object, err := m.allowed(ctx, ref, machine.OpExport)
		if err != nil {
			return api.Task{}, err
		}
		for _, other := range objects {
			if other.Key == object.Key {
				return api.Task{}, problem.New(api.KindInvalid, "name each machine once", "export: %s is named twice", object.Value.Spec.Name)
			}
		}
		object.Value.Status.Task = order.ID
		ops, err := m.inv.UpdateOps(ctx, object, object.Value.Spec)
		if err != nil {
			return api.Task{}, err
		}
		order.Ops = append(order.Ops, ops...)
		order.Journal = append(order.Journal, task.NewUndo("settle", settle{object.Key}))
		objects = append(objects, object)
	}
	if len(objects) == 1 {
		order.Machine, order.Name = objects[0].Key, objects[0].Value.Spec.Name
	}
	return m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := m.export(ctx, r, objects, request, options); err != nil {
			return fmt.Errorf("export to %s: %w", request.Destination, err)
		}
		return m.release(ctx, r, objects)
	})
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

// export writes the files, which get their names when all are complete.
func (m *Manager) export(ctx context.Context, r *task.Run, objects []inventory.Object, request api.ExportRequest, o exporter.Options) (err error) {
	machines, closeAll, err := m.outgoing(r, objects)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	o.Progress = func(done, total int64) {
		r.Report(api.Progress{Step: "writing disks", Done: done, Total: total, Unit: "bytes"})
	}
	stage := hostfs.NewStage(hostfs.Everywhere())
	defer stage.Abort()
	create := func(name string) (io.WriteCloser, error) {
		file, err := stage.Create(filepath.Join(filepath.Dir(request.Destination), name))
		if err != nil {
			return nil, err
		}
		return writingFile{io.NewOffsetWriter(file, 0), file}, nil
	}
	if strings.EqualFold(filepath.Ext(request.Destination), ".ovf") {
		err = exporter.ToFolder(ctx, create, machines, o)
	} else {
		err = toArchive(ctx, create, machines, request.Destination, o)
	}
	if err != nil {
		return err
	}
	r.Step("making it durable")
	return errors.Join(ctx.Err(), stage.Commit(request.Replace))
}

// writingFile writes a file from its beginning on.
type writingFile struct {
	*io.OffsetWriter
	io.Closer
}

func toArchive(ctx context.Context, create func(string) (io.WriteCloser, error), machines []exporter.Machine, path string, o exporter.Options) error {
	file, err := create(filepath.Base(path))
	if err != nil {
		return err
	}
	return errors.Join(exporter.ToArchive(ctx, file, filepath.Dir(path), machines, o), file.Close())
}

// outgoing opens the images of all machines.
func (m *Manager) outgoing(r *task.Run, objects []inventory.Object) (machines []exporter.Machine, closeAll func() error, err error) {
	var open []disk.Image
	closeAll = func() error {
		var failed error
		for _, img := range open {
			failed = errors.Join(failed, img.Close())
		}
		return failed
	}
	for _, object := range objects {
		spec := object.Value.Spec
		if object.Value.Status.State == api.StateSaved {
			r.Warn(spec.Name + ": its saved state is not exported, only its disks")
		}
		out := exporter.Machine{Spec: spec, Images: map[string]disk.Image{}}
		for _, drive := range spec.Drives {
			path := ""
			if drive.File != "" {
				path = m.folderOf(object).Path(drive.File)
			}
			if path == "" && drive.Source == "" {
				continue
			}
			img, err := media.OpenDrive(drive, path)
			if err != nil {
				return nil, nil, errors.Join(fmt.Errorf("drive %s: %w", drive.Name, err), closeAll())
			}
			open = append(open, img)
			out.Images[drive.Name] = img
		}
		machines = append(machines, out)
	}
	return machines, closeAll, nil
}

// ovfVersions and digests are what requests name.
var (
	ovfVersions = map[string]ovf.Version{"": ovf.Version11, "1.0": ovf.Version10, "1.1": ovf.Version11, "2.0": ovf.Version20}
	digests     = map[string]ovf.Algorithm{"": ovf.SHA256, "sha1": ovf.SHA1, "sha256": ovf.SHA256, "sha512": ovf.SHA512}
)

// exportOptions checks a request.
func exportOptions(request api.ExportRequest) (exporter.Options, error) {
	refuse := func(help, format string, args ...any) (exporter.Options, error) {
		return exporter.Options{}, problem.New(api.KindInvalid, help, "export: "+format, args...)
	}
	if !filepath.IsAbs(request.Destination) {
		return refuse("", "the destination %q must be an absolute path", request.Destination)
	}
	o := exporter.Options{Name: request.Name, Dialect: envelope.Dialect(request.For), Format: request.DiskFormat, Licence: request.Licence}
	if o.Name == "" {
		o.Name = strings.TrimSuffix(filepath.Base(request.Destination), filepath.Ext(request.Destination))
	}
	o.Name = appliance.CleanName(o.Name)
	if o.Dialect == "" {
		o.Dialect = envelope.ForAny
	}
	var known bool
	if o.Version, known = ovfVersions[request.Version]; !known {
		return refuse("one of 1.0, 1.1, 2.0", "there is no version %q of OVF", request.Version)
	}
	if o.Digest, known = digests[request.Digest]; !known {
		return refuse("one of sha1, sha256, sha512", "there is no digest %q", request.Digest)
	}
	if err := exporter.CheckFormat(request.DiskFormat); err != nil {
		return refuse("`panal disk formats` lists them", "disk format: %s", err)
	}
	if (request.Key == "") != (request.Certificate == "") {
		return refuse("give both, or none", "a signature needs a key and its certificate")
	}
	if _, err := os.Lstat(request.Destination); err == nil && !request.Replace {
		return exporter.Options{}, problem.New(api.KindExists, "choose another name, or replace it with --force", "export: there is a file %s already", request.Destination)
	}
	if request.Key == "" {
		return o, nil
	}
	pair, err := tls.X509KeyPair([]byte(request.Certificate), []byte(request.Key))
	if err != nil {
		return refuse("", "the key and the certificate do not fit: %s", err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return refuse("take an RSA or ECDSA key", "the key cannot sign")
	}
	o.Key = signer
	for _, der := range pair.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return refuse("", "a certificate cannot be read: %s", err)
		}
		o.Chain = append(o.Chain, certificate)
	}
	return o, nil
}
