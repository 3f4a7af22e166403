package manager

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/medium"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
)

// Prune lists the files that nothing refers to, in the registry's folder and
// in those of machines, and removes them if that is wanted. A machine that a task is
// at work on is left out.
func (s *Media) Prune(ctx context.Context, request api.PruneRequest) (api.UnreferencedFiles, error) {
	answer := api.UnreferencedFiles{Removed: request.Delete}
	objects, _, err := s.m.inv.All(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return answer, err
	}
	records, machines, err := s.world(ctx)
	if err != nil {
		return answer, err
	}
	referred, err := referredTo(records, machines)
	if err != nil {
		return answer, problem.New(api.KindUnreadable, "mend it, detach it, or forget it with `panal medium remove`",
			"%s; what it refers to is not known, and could be taken for what nothing refers to", problem.Of(err).Detail)
	}
	dirs := []string{s.m.mediaDir()}
	for _, object := range objects {
		if object.Value.Status.Task != "" {
			continue
		}
		noteOwn(referred, object)
		dirs = append(dirs, s.m.folderOf(object).Path(folder.Disks))
	}
	for _, dir := range dirs {
		files, err := unreferredIn(dir, referred)
		if err != nil {
			return answer, err
		}
		answer.Files = append(answer.Files, files...)
	}
	if !request.Delete {
		return answer, nil
	}
	for _, file := range answer.Files {
		if err := os.Remove(file.Path); err != nil && !isNotExist(err) {
			return answer, err
		}
	}
	return answer, nil
}

// referredTo are the files that media consist of and stand on. One that cannot be
// read may refer to anything: then nothing is said, rather than too much.
func referredTo(records []medium.Record, machines []medium.Machine) (map[string]bool, error) {
	referred, formats := map[string]bool{}, formatsOf(records, machines)
	queue := medium.Paths(records, machines)
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if referred[path] {
			continue
		}
		referred[path] = true
		described, err := media.DescribeFile(media.Ref{Path: path, Format: formats[path]})
		if err != nil {
			if _, missing := os.Stat(path); errors.Is(missing, fs.ErrNotExist) {
				continue
			}
			return nil, err
		}
		for _, part := range described.Info.Files {
			if !filepath.IsAbs(part) {
				part = filepath.Join(filepath.Dir(path), part)
			}
			referred[filepath.Clean(part)] = true
		}
		if described.Parent != "" {
			queue = append(queue, filepath.Clean(described.Parent))
		}
	}
	return referred, nil
}

// noteOwn notes a machine's files that no spec names.
func noteOwn(referred map[string]bool, object inventory.Object) {
	dir := folder.Folder(object.Value.Folder)
	for _, drive := range object.Value.Spec.Drives {
		if machine.Differs(drive) {
			referred[dir.Path(differenceOf(drive))] = true
		}
	}
	for _, leftover := range object.Value.Leftovers {
		referred[dir.Path(leftover)] = true // removed by whoever removes those
	}
	for _, held := range object.Value.Snapshots {
		for _, image := range held.Images {
			referred[dir.Path(image)] = true
		}
	}
}

func unreferredIn(dir string, referred map[string]bool) ([]api.UnreferencedFile, error) {
	entries, err := os.ReadDir(dir)
	if isNotExist(err) {
		return nil, nil
	}
	var files []api.UnreferencedFile
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		info, failed := entry.Info()
		if failed != nil || !info.Mode().IsRegular() || referred[path] {
			continue
		}
		files = append(files, api.UnreferencedFile{Path: path, Size: api.Size(media.Allocated(info))})
	}
	slices.SortFunc(files, func(a, b api.UnreferencedFile) int { return len(a.Path) - len(b.Path) })
	return files, err
}
