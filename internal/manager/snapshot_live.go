package manager

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/runner"
	"github.com/panalvm/panal/internal/snapshot"
)

// nextLive decides what is merged next of a machine that runs. What QEMU has been
// told to commit comes first: the guest may be standing still for it.
func nextLive(ctx context.Context, run *run, object inventory.Object, images snapshot.Images, needs snapshot.Needs) (snapshot.Step, bool, error) {
	still := stillBelow(images, object.Value.Spec)
	needs.Open = images.Reachable(needs.Written, still)
	maps.Copy(needs.Others, still)
	fixServed(images)
	begun, err := begunCommits(ctx, run, object)
	if err != nil {
		return snapshot.Step{}, false, err
	}
	for _, file := range begun {
		only := maps.Clone(images)
		chain := only.Reachable(map[string]bool{file: true})
		others := maps.Clone(needs.Others)
		for name, image := range only {
			if !chain[name] {
				others[name] = true
			}
			image.Allocated = 0 // so that committing is what is chosen
			only[name] = image
		}
		restricted := needs
		restricted.Others = others
		if step, found := only.Next(restricted); found {
			return step, true, nil
		}
	}
	step, found := images.Next(needs)
	return step, found, nil
}

// stillBelow are the images below what a running machine's immutable drives write: the process has them open, under
// an image that no spec names.
func stillBelow(images snapshot.Images, spec api.Spec) map[string]bool {
	below := map[string]bool{}
	for _, drive := range spec.Drives {
		if drive.Kind == api.Disk && drive.File != "" && !writesFile(drive) {
			below[drive.File] = true
		}
	}
	return images.Reachable(below)
}

// fixServed marks the images that a machine's process does not write: they are served to it, read-only.
func fixServed(images snapshot.Images) {
	for name, image := range images {
		image.Fixed = !slices.Contains([]string{".qcow2", ".raw"}, filepath.Ext(name))
		images[name] = image
	}
}

// begunCommits are the images of drives in which QEMU commits, or has
// committed and nobody has put that down.
func begunCommits(ctx context.Context, run *run, object inventory.Object) ([]string, error) {
	jobs, err := run.Jobs(ctx)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, drive := range object.Value.Spec.Drives {
		if !writesFile(drive) {
			continue
		}
		commits := slices.ContainsFunc(jobs, func(j runner.Job) bool { return j.Drive == drive.Name && j.Kind == runner.JobCommit })
		if commits || hasPivoted(ctx, run, folder.Folder(object.Value.Folder), drive) {
			files = append(files, drive.File)
		}
	}
	return files, nil
}

// hasPivoted tells whether a drive writes another image than the spec says.
func hasPivoted(ctx context.Context, run *run, dir folder.Folder, drive api.Drive) bool {
	written, err := run.Written(ctx, drive.Name, dir.Path(drive.File))
	return err == nil && !written
}

// isPivoting tells whether a drive of a running machine is about to write another
// image than the spec says, or does already.
func isPivoting(ctx context.Context, run *run, dir folder.Folder, spec api.Spec) bool {
	begun, err := begunCommits(ctx, run, inventory.Object{Value: inventory.Record{Machine: api.Machine{Folder: string(dir), Spec: spec}}})
	return err == nil && len(begun) > 0
}

// mergeLive lets the machine's process merge, while its guest runs on.
func (m *Manager) mergeLive(ctx context.Context, run *run, object inventory.Object, drive api.Drive, step snapshot.Step, report func(done, total int64)) error {
	dir := m.folderOf(object)
	if step.Way == snapshot.Commit {
		// Where the guest goes over to the lower image, it stands still until that is put down.
		pivoted := func(ctx context.Context) error { return m.commitMerge(ctx, object.Key, step, step.Upper) }
		return run.Commit(ctx, drive.Name, dir.Path(step.Upper), dir.Path(step.Lower), pivoted, report)
	}
	base, err := belowOf(dir, drive, step.Lower)
	if err != nil {
		return err
	}
	return run.Pull(ctx, drive.Name, base, report)
}

// belowOf is the path of what an image of a drive stands on, empty for nothing.
func belowOf(dir folder.Folder, drive api.Drive, file string) (string, error) {
	drive.File = file
	chain, _, err := chainOf(dir, drive)
	if err != nil {
		return "", err
	}
	if len(chain) == 0 || chain[0].Path != dir.Path(file) {
		return "", errors.New("the image " + file + " is not one that QEMU opens itself")
	}
	if len(chain) == 1 {
		return "", nil
	}
	return chain[1].Path, nil
}
