package manager

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
)

// placeFor is where a new image is to be, which must be free, and nobody else's until release is called.
func (s *Media) placeFor(ctx context.Context, request api.MakeMediumRequest, from api.Medium) (path string, release func(), err error) {
	path, err = s.pathFor(request, from)
	if err != nil {
		return "", nil, err
	}
	real := path
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		real = filepath.Join(dir, filepath.Base(path))
	}
	release, free := s.m.making.reserve(real)
	if !free {
		return "", nil, problem.New(api.KindBusy, "choose another path, or wait for it", "make %s: another medium is being made there", path)
	}
	if err := s.vacant(ctx, path); err != nil {
		release()
		return "", nil, err
	}
	return path, release, nil
}

// vacant checks that neither a file nor a medium is at a path: of one that is known there the file may be gone.
func (s *Media) vacant(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return problem.New(api.KindExists, "choose another path", "make %s: there is a file already", path)
	}
	stored, _, err := s.records().List(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return err
	}
	for _, object := range stored {
		if object.Value.Path == path {
			return problem.New(api.KindExists, "choose another path, or `panal medium remove "+object.Value.UUID+"` forgets it",
				"make %s: a medium is known there, whose file is gone", path)
		}
	}
	return nil
}

// pathFor is where a new image is to be.
func (s *Media) pathFor(request api.MakeMediumRequest, from api.Medium) (string, error) {
	path := request.Path
	if path == "" {
		if from.Location == "" {
			return "", problem.New(api.KindInvalid, "", "create a medium: its path must be given")
		}
		if err := os.MkdirAll(s.m.mediaDir(), 0o700); err != nil {
			return "", err
		}
		format, _, _ := strings.Cut(media.FormatFor(from.Location, request.Format), ":")
		name := filepath.Base(from.Location)
		path = filepath.Join(s.m.mediaDir(), strings.TrimSuffix(name, filepath.Ext(name))+"."+format)
	}
	if !filepath.IsAbs(path) {
		return "", problem.New(api.KindInvalid, "", "make %s: the path must be absolute", path)
	}
	return filepath.Clean(path), nil
}

// releaseAfter lets others have a place when the task that works on it has ended and, if it failed, is undone; or if it
// has not begun.
func (s *Media) releaseAfter(begun api.Task, err error, release func()) {
	if err != nil {
		release()
		return
	}
	s.m.group.Go(func() {
		defer release()
		if err := s.m.tasks.Wait(s.m.base, begun.ID); err != nil {
			s.m.log.Debug("a task was not waited for", "task", begun.ID, "error", err)
		}
	})
}
