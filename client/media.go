package client

import (
	"context"

	"github.com/panalvm/panal/api"
)

// Media lists the media, by their locations.
func (c *Client) Media(ctx context.Context) (api.MediumList, error) {
	return call[api.MediumList](ctx, c, request{operation: api.ListMedia})
}

// Medium returns the medium that the reference names: a UUID, a unique prefix of
// one, or a path. The same references are taken by all methods below.
func (c *Client) Medium(ctx context.Context, reference string) (api.Medium, error) {
	return call[api.Medium](ctx, c, request{operation: api.GetMedium, reference: reference})
}

// MakeMedium begins to make an image, empty or a copy of another.
func (c *Client) MakeMedium(ctx context.Context, what api.MakeMediumRequest) (api.Task, error) {
	return call[api.Task](ctx, c, request{operation: api.MakeMedium, body: what})
}

// AddMedium makes a file known.
func (c *Client) AddMedium(ctx context.Context, what api.AddMediumRequest) (api.Medium, error) {
	return call[api.Medium](ctx, c, request{operation: api.AddMedium, body: what})
}

// ChangeMedium changes what is said about a medium, and its size.
func (c *Client) ChangeMedium(ctx context.Context, reference string, change api.ChangeMediumRequest) (api.Medium, error) {
	return call[api.Medium](ctx, c, request{operation: api.ChangeMedium, reference: reference, body: change})
}

// MoveMedium moves the file of a medium that nothing uses.
func (c *Client) MoveMedium(ctx context.Context, reference string, where api.MoveMediumRequest) (api.Medium, error) {
	return call[api.Medium](ctx, c, request{operation: api.MoveMedium, reference: reference, body: where})
}

// ChangePassphrase adds, changes or takes away a passphrase of an encrypted medium.
func (c *Client) ChangePassphrase(ctx context.Context, reference string, change api.MediumPassphraseRequest) (api.MediumPassphrases, error) {
	return call[api.MediumPassphrases](ctx, c, request{operation: api.MediumPassphrase, reference: reference, body: change})
}

// CompactMedium begins to give back the room that a medium's content does not need. The ended task's
// Result.Compaction says what came of it.
func (c *Client) CompactMedium(ctx context.Context, reference string) (api.Task, error) {
	return call[api.Task](ctx, c, request{operation: api.CompactMedium, reference: reference})
}

// ReleaseMedium takes a medium out of all drives.
func (c *Client) ReleaseMedium(ctx context.Context, reference string) (api.Medium, error) {
	return call[api.Medium](ctx, c, request{operation: api.ReleaseMedium, reference: reference})
}

// RemoveMedium forgets a medium, and answers with what it was.
func (c *Client) RemoveMedium(ctx context.Context, reference string, how api.RemoveMediumRequest) (api.Medium, error) {
	return call[api.Medium](ctx, c, request{operation: api.RemoveMedium, reference: reference, body: how})
}

// PruneMedia lists, or removes, files that nothing refers to.
func (c *Client) PruneMedia(ctx context.Context, how api.PruneRequest) (api.UnreferencedFiles, error) {
	return call[api.UnreferencedFiles](ctx, c, request{operation: api.PruneMedia, body: how})
}
