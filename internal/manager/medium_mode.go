package manager

import (
	"context"
	"errors"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

// setWriteMode sets the write mode of every drive that a medium is in, or of none.
func (s *Media) setWriteMode(ctx context.Context, found api.Medium, mode api.WriteMode) error {
	var done []api.MediumUse
	before := map[string]api.WriteMode{}
	for _, user := range found.Users {
		if user.Held != "" {
			continue // a snapshot's stays what it was
		}
		object, err := s.m.inv.Get(ctx, user.Machine)
		if err == nil {
			err = s.changeWriteMode(ctx, user, mode)
		}
		if err != nil {
			return errors.Join(err, s.resetWriteModes(context.WithoutCancel(ctx), done, before))
		}
		if drive := driveNamed(object.Value.Spec.Drives, user.Drive); drive != nil {
			before[user.Machine+"/"+user.Drive] = drive.WriteMode
		}
		done = append(done, user)
	}
	if len(done) == 0 {
		return problem.New(api.KindWrongState, "attach it first: `panal set NAME drives.DRIVE.writeMode=`",
			"it is in no drive, and the write mode is a drive's")
	}
	return nil
}

func (s *Media) changeWriteMode(ctx context.Context, user api.MediumUse, mode api.WriteMode) error {
	_, err := s.m.Change(ctx, user.Machine, api.ChangeRequest{Set: []string{"drives." + user.Drive + ".writeMode=" + string(mode)}})
	return err
}

func (s *Media) resetWriteModes(ctx context.Context, users []api.MediumUse, before map[string]api.WriteMode) (err error) {
	for _, user := range users {
		err = errors.Join(err, s.changeWriteMode(ctx, user, before[user.Machine+"/"+user.Drive]))
	}
	return err
}
