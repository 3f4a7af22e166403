package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/luks"
	"github.com/panalvm/panal/disk/nbd"
	"github.com/panalvm/panal/internal/diskfile"
)

func (a *app) snapshotMountCommand() *cobra.Command {
	var f serveFlags
	var keys keyFlags
	c := &cobra.Command{
		Use:   "mount NAME SNAPSHOT",
		Short: "Offer a snapshot's disks over NBD, read-only, until ^C",
		Long: `Offer the disks of a snapshot over NBD (Network Block Device) on a Unix socket, each
under its drive's name, until ^C or SIGTERM; the machine may run meanwhile. Nobody can
write. What is printed are the addresses for clients. It reads the machine's files itself,
so it runs on the daemon's host, as a user who may read them.`,
		Example: `  panal snapshot mount web "before the update" --socket web.sock &
  nbdcopy "nbd+unix:///disk0?socket=web.sock" disk0.raw`,
		Args: cobra.ExactArgs(2), ValidArgsFunction: a.completeSnapshot,
	}
	keys.add(c, "", "of encrypted disks")
	c.Flags().StringVar(&f.socket, "socket", "", "listen on a Unix socket of this `PATH`; default one in the runtime directory")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := a.mountSnapshot(cmd.Context(), args[0], args[1], f, &keys); err != nil {
			return failed("mount snapshot", args[1], err)
		}
		return nil
	}
	return c
}

func (a *app) mountSnapshot(ctx context.Context, machine, wanted string, f serveFlags, given *keyFlags) (err error) {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	detail, err := c.Snapshot(ctx, machine, wanted)
	if err != nil {
		return err
	}
	keys, err := a.heldKeys(ctx, detail, given)
	if err != nil {
		return err
	}
	images, exports, err := openHeld(detail, keys)
	defer func() {
		for _, img := range images {
			err = errors.Join(err, img.Close())
		}
	}()
	if err != nil {
		return err
	}
	server, err := nbd.New(exports, nbd.Options{Log: slog.New(slog.NewTextHandler(a.err, nil))})
	if err != nil {
		return err
	}
	listener, _, err := a.listenNBD(f)
	if err != nil {
		return err
	}
	var addresses []string
	for _, export := range exports {
		addresses = append(addresses, fmt.Sprintf("nbd+unix:///%s?socket=%s", url.PathEscape(export.Name), url.QueryEscape(listener.Addr().String())))
	}
	if err := a.tellAddresses(addresses); err != nil {
		return errors.Join(err, listener.Close())
	}
	return server.Serve(ctx, listener)
}

// heldKeys opens the encrypted disks of a snapshot; nil where there are none.
func (a *app) heldKeys(ctx context.Context, detail api.SnapshotDetail, given *keyFlags) (disk.Keys, error) {
	if !slices.ContainsFunc(detail.Spec.Drives, func(d api.Drive) bool { return d.Encrypted }) {
		return nil, nil
	}
	passphrase, err := given.readOld(ctx, a, "Passphrase: ")
	switch {
	case err != nil:
		return nil, err
	case passphrase == "":
		return nil, &api.Problem{Kind: api.KindLocked, Detail: "its disks are encrypted", Help: "give the passphrase with --passphrase-file or --key-command"}
	}
	return luks.NewKeys([]byte(passphrase)), nil
}

func (a *app) tellAddresses(addresses []string) error {
	if a.json {
		return a.printJSON(map[string][]string{"addresses": addresses})
	}
	for _, address := range addresses {
		if _, err := fmt.Fprintln(a.out, address); err != nil {
			return err
		}
	}
	return nil
}

// openHeld opens what the drives of a snapshot held. The images are locked: nobody
// writes to them meanwhile, and what would be merged waits.
func openHeld(detail api.SnapshotDetail, keys disk.Keys) (images []disk.Image, exports []nbd.Export, err error) {
	for _, held := range detail.Drives {
		if len(held.Chain) == 0 {
			continue
		}
		img, err := openChain(held.Chain, keys)
		if err != nil {
			return images, exports, fmt.Errorf("drive %s: %w", held.Name, err)
		}
		images = append(images, img)
		exports = append(exports, nbd.Export{Name: held.Name, Image: img, ReadOnly: true})
	}
	if len(images) == 0 {
		return nil, nil, errors.New("it holds no disks")
	}
	return images, exports, nil
}

// openChain opens the images of a chain over each other. The daemon says what stands on what, and that it is
// the machine's: the images themselves may name others, or an earlier state that no name has.
func openChain(chain []api.SnapshotImage, keys disk.Keys) (disk.Image, error) {
	lowest := slices.IndexFunc(chain, func(one api.SnapshotImage) bool { return !one.Alone })
	if lowest < 0 {
		return nil, errors.New("the daemon does not say what it stands on")
	}
	img, err := openHeldImage(chain[lowest], keys)
	if err != nil {
		return nil, err
	}
	for _, one := range slices.Backward(chain[:lowest]) {
		top, err := openHeldImage(one, keys)
		if err != nil {
			return nil, errors.Join(err, img.Close())
		}
		over, err := diskfile.Over(top, img)
		if err != nil {
			return nil, errors.Join(err, top.Close(), img.Close())
		}
		img = over
	}
	return img, nil
}

func openHeldImage(one api.SnapshotImage, keys disk.Keys) (disk.Image, error) {
	return (diskfile.Place{Anywhere: true}).Open(one.Path, diskfile.OpenOptions{Format: one.Format, Snapshot: one.Snapshot, Alone: one.Alone, Keys: keys})
}
