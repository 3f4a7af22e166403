package runner

import (
	"context"
	"fmt"

	"github.com/panalvm/panal/internal/imageserver"
)

// keeper is the keeper of the machine's image server, nil without one.
func (s *Session) keeper() *imageserver.Keeper {
	s.serving.Lock()
	defer s.serving.Unlock()
	return s.images
}

// ServeImages has the images served that Machine.Images tells now: by the
// machine's first image server, or by another one in the place of that which
// serves. QEMU's requests wait meanwhile. Where none are left the server ends, and lets go of the last.
func (s *Session) ServeImages(ctx context.Context) error {
	images, err := s.machine.Images()
	if err != nil {
		return err
	}
	s.serving.Lock()
	defer s.serving.Unlock()
	if len(images) == 0 {
		return s.endServing(ctx)
	}
	if s.images != nil {
		if err := s.images.Renew(ctx); err != nil {
			return fmt.Errorf("start another image server: %w", err)
		}
		return nil
	}
	keeper, err := imageserver.Prepare(s.machine.imageServer())
	if err != nil {
		return err
	}
	if err := keeper.Start(s.program); err != nil {
		_ = keeper.Discard()
		return err
	}
	s.images = keeper
	return nil
}

// endServing ends the image server, if there is one; s.serving is held.
func (s *Session) endServing(ctx context.Context) error {
	if s.images == nil {
		return nil
	}
	if err := s.images.End(ctx); err != nil {
		return fmt.Errorf("end the image server: %w", err)
	}
	s.images = nil
	return nil
}
