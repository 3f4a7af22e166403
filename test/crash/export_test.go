package crash

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/importer"
)

// exportsDir is the folder that the subject is exported to.
func (w *world) exportsDir() string { return filepath.Join(w.images, "exports") }

// exportTo exports a machine; with other, in another format than exportReady.
func (w *world) exportTo(name, destination string, other bool) error {
	request := api.ExportRequest{Machines: []string{name}, Destination: destination, Replace: true}
	if other {
		request.DiskFormat = "vhd"
	}
	return w.with(func(c *client.Client) error {
		task, err := c.Export(w.ctx, request)
		return w.wait(c, task, err)
	})
}

// exportReady is a machine that is off, and a whole export of it that is to be
// replaced by one whose disks are called otherwise.
func (w *world) exportReady() error {
	if err := w.remove(subject); err != nil {
		return err
	}
	if err := w.create(subject, api.DiskSource{Path: w.image()}); err != nil {
		return err
	}
	if err := os.RemoveAll(w.exportsDir()); err != nil {
		return err
	}
	return w.exportTo(subject, w.exportsDir()+"/", false)
}

// exportWhole checks that there is one whole export, the old or the new, and
// nothing else beside it.
func (w *world) exportWhole() {
	entries, err := os.ReadDir(w.exportsDir())
	w.must(err)
	var names []string
	formats := map[string]bool{}
	for _, entry := range entries {
		names = append(names, entry.Name())
		if ext := filepath.Ext(entry.Name()); ext == ".vmdk" || ext == ".vhd" {
			formats[ext] = true
		}
	}
	if len(names) != 3 || len(formats) != 1 {
		w.t.Errorf("the export consists of %s", strings.Join(names, ", "))
		return
	}
	s, err := importer.Open(filepath.Join(w.exportsDir(), subject+".ovf"), appliance.Choices{})
	w.must(err)
	defer s.Close()
	if _, err := s.Verify(w.ctx, importer.Trust{}); err != nil {
		w.t.Errorf("the export is not whole: %v", err)
	}
}

// nothingFleeced checks that nothing is left of how a running machine is read.
func (w *world) nothingFleeced() {
	left, err := filepath.Glob(filepath.Join(w.get(subject).Folder, ".fleece*"))
	w.must(err)
	if len(left) > 0 {
		w.t.Errorf("there is %s", strings.Join(left, ", "))
	}
}

// runningOnDisk brings the subject to run, with a disk that it may write.
func (w *world) runningOnDisk() error {
	if w.state() == api.StateRunning {
		return nil
	}
	return errors.Join(w.remove(subject), w.create(subject, api.DiskSource{Path: w.image()}), w.do(subject, (*client.Client).Start))
}

// expectedWarnings are what operations on the subject have to warn of: it runs no agent,
// saved memory is not exported, and one of the images that come through a pipe keeps its tables
// behind its content.
var expectedWarnings = []string{"no agent in the guest", "its saved state is not exported", "it says only behind its content"}

// expected tells whether a task's only warning is one of these.
func expected(task api.Task) bool {
	return len(task.Warnings) == 1 &&
		slices.ContainsFunc(expectedWarnings, func(text string) bool { return strings.Contains(task.Warnings[0], text) })
}
