package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/panalvm/panal/api"
)

type (
	mediumInput struct {
		ID string `path:"id" doc:"the medium's UUID, a unique prefix of it, or its absolute path"`
	}
	mediumBodyInput[T any] struct {
		ID   string `path:"id" doc:"the medium's UUID, a unique prefix of it, or its absolute path"`
		Body T
	}
)

func (s *server) registerMedia(h huma.API) {
	media := s.services.Media
	route(h, s, api.ListMedia, http.StatusOK, func(ctx context.Context, _ *none) (api.MediumList, error) {
		answer, err := media.List(ctx)
		answer.Media = list(answer.Media)
		return answer, err
	})
	route(h, s, api.GetMedium, http.StatusOK, func(ctx context.Context, in *mediumInput) (api.Medium, error) {
		return media.Get(ctx, in.ID)
	})
	route(h, s, api.MakeMedium, http.StatusAccepted, func(ctx context.Context, in *bodyInput[api.MakeMediumRequest]) (api.Task, error) {
		return media.Make(ctx, in.Body)
	})
	route(h, s, api.AddMedium, http.StatusOK, func(ctx context.Context, in *bodyInput[api.AddMediumRequest]) (api.Medium, error) {
		return media.Add(ctx, in.Body)
	})
	route(h, s, api.ChangeMedium, http.StatusOK, func(ctx context.Context, in *mediumBodyInput[api.ChangeMediumRequest]) (api.Medium, error) {
		return media.Change(ctx, in.ID, in.Body)
	})
	route(h, s, api.MoveMedium, http.StatusOK, func(ctx context.Context, in *mediumBodyInput[api.MoveMediumRequest]) (api.Medium, error) {
		return media.Move(ctx, in.ID, in.Body)
	})
	route(h, s, api.MediumPassphrase, http.StatusOK, func(ctx context.Context, in *mediumBodyInput[api.MediumPassphraseRequest]) (api.MediumPassphrases, error) {
		return media.ChangePassphrase(ctx, in.ID, in.Body)
	})
	route(h, s, api.CompactMedium, http.StatusAccepted, func(ctx context.Context, in *mediumInput) (api.Task, error) {
		return media.Compact(ctx, in.ID)
	})
	route(h, s, api.ReleaseMedium, http.StatusOK, func(ctx context.Context, in *mediumInput) (api.Medium, error) {
		return media.Release(ctx, in.ID)
	})
	route(h, s, api.RemoveMedium, http.StatusOK, func(ctx context.Context, in *mediumBodyInput[api.RemoveMediumRequest]) (api.Medium, error) {
		return media.Remove(ctx, in.ID, in.Body)
	})
	route(h, s, api.PruneMedia, http.StatusOK, func(ctx context.Context, in *bodyInput[api.PruneRequest]) (api.UnreferencedFiles, error) {
		answer, err := media.Prune(ctx, in.Body)
		answer.Files = list(answer.Files)
		return answer, err
	})
}
