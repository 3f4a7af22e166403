package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

func (a *app) mediumCreateCommand() *cobra.Command {
	var request api.MakeMediumRequest
	var size, kind string
	var keys keyFlags
	c := &cobra.Command{
		Use: "create FILE --size SIZE", Short: "Make an empty image and add it", Args: cobra.ExactArgs(1),
		Long: `Make an empty image and add it to the registry. Its format is what its name ends
in, unless --format says otherwise. It grows as it is written, or takes up its room
at once with --fixed: which is --preallocation falloc, the file system's giving the room;
metadata only gives each block its place, and full writes zeros everywhere.

With --encrypt its content is encrypted (LUKS in QCOW2), by a key that the passphrase opens,
which is asked for, or given by --passphrase-file or --key-command.`,
		Example: "  panal medium create data.qcow2 --size 20G\n  panal medium create secret.qcow2 --size 20G --encrypt\n  panal medium create shared.raw --size 1G --fixed",
	}
	c.Flags().StringVar(&size, "size", "", "virtual size, such as 20G")
	c.Flags().StringVar(&request.Format, "format", "", "such as qcow2, raw or vdi:fixed")
	c.Flags().StringVar(&kind, "kind", "", "disk, optical or floppy")
	c.Flags().StringVar(&request.Description, "description", "", "what it is for")
	addRoom(c, &request)
	c.Flags().BoolVar(&request.Encrypt, "encrypt", false, "encrypt it")
	keys.add(c, "", "that is to open it")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if size == "" {
			return usageError{"--size says how large the disk is to be"}
		}
		if request.Size, err = api.ParseSize(size); err != nil {
			return usageError{err.Error()}
		}
		request.Kind = api.DriveKind(kind)
		if request.Path, err = absolute(args[0]); err != nil {
			return err
		}
		if request.Passphrase, err = keys.ofNew(cmd.Context(), a, request.Encrypt); err != nil {
			return err
		}
		return a.makeMedium(cmd.Context(), "create", request)
	}
	return c
}

// addRoom adds the flags that say how much of its room a new image takes up beforehand.
func addRoom(c *cobra.Command, request *api.MakeMediumRequest) {
	c.Flags().BoolVar(&request.Fixed, "fixed", false, "take up the whole room at once")
	c.Flags().StringVar((*string)(&request.Preallocation), "preallocation", "", "off, metadata, falloc or full")
	_ = c.RegisterFlagCompletionFunc("preallocation", cobra.FixedCompletions([]string{"off", "metadata", "falloc", "full"}, cobra.ShellCompDirectiveNoFileComp))
}

// mediumCopyCommand is copy, or import, which leaves the place to the registry.
func (a *app) mediumCopyCommand(verb string) *cobra.Command {
	var request api.MakeMediumRequest
	var keys, source keyFlags
	c := &cobra.Command{
		Use: "copy MEDIUM FILE", Short: "Copy a medium, in the same format or another, and add the copy", Args: cobra.ExactArgs(2),
		Long: `Copy what a medium holds, with all that it stands on, into a new image that
stands on nothing and has a UUID of its own. With --encrypt the copy is encrypted; without,
it is not, even where the source is: that one's passphrase is asked for, or given by
--source-passphrase-file or --source-key-command, unless it was unlocked. With --fixed it takes
up its room at once; without it grows as it is written, however that of the source is.`,
		Example: "  panal medium copy debian.vmdk debian.qcow2\n  panal medium copy debian.qcow2 debian.vdi --fixed\n  panal medium copy debian.qcow2 secret.qcow2 --encrypt", ValidArgsFunction: a.completeMedium,
	}
	if verb == "import" {
		c.Use, c.Short, c.Args = "import FILE", "Copy an image into the registry's own folder, and add the copy", cobra.ExactArgs(1)
		c.Long = "Copy an image, with all that it stands on, into the registry's own folder, where it\nstands on nothing, and add it."
		c.Example = "  panal medium import /mnt/usb/debian.vmdk --format qcow2"
	}
	c.Flags().StringVar(&request.Format, "format", "", "format of the copy; default what its name ends in")
	addRoom(c, &request)
	c.Flags().BoolVar(&request.Encrypt, "encrypt", false, "encrypt the copy")
	keys.add(c, "", "that is to open the copy")
	source.add(c, "source-", "of an encrypted source")
	c.Flags().StringVar(&request.Description, "description", "", "what it is for")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if request.Source, err = mediumRef(args[0]); err != nil {
			return err
		}
		if verb == "import" {
			if request.Source, err = absolute(args[0]); err != nil {
				return err
			}
		} else if request.Path, err = absolute(args[1]); err != nil {
			return err
		}
		if request.Passphrase, err = keys.ofNew(cmd.Context(), a, request.Encrypt); err != nil {
			return err
		}
		if request.SourcePassphrase, err = source.read(cmd.Context(), a); err != nil {
			return err
		}
		return a.makeMedium(cmd.Context(), verb, request)
	}
	return c
}

// makeMedium asks for an image and waits.
func (a *app) makeMedium(ctx context.Context, verb string, request api.MakeMediumRequest) error {
	about := request.Path
	if about == "" {
		about = request.Source
	}
	if _, err := a.connect(ctx); err != nil {
		return failed(verb, about, err)
	}
	task, err := a.client.MakeMedium(context.WithoutCancel(ctx), request)
	if err != nil {
		return failed(verb, "", err)
	}
	task, err = a.followShown(ctx, task)
	if isLocked(err) && request.SourcePassphrase == "" && isTerminal(a.in) {
		if request.SourcePassphrase, err = a.askPassphrase(ctx, "Passphrase of the source: "); err == nil {
			return a.makeMedium(ctx, verb, request)
		}
	}
	if err != nil {
		return failed(verb, "", err)
	}
	if a.json {
		return a.printJSON(task)
	}
	a.say("%s: made", task.Name)
	return nil
}

func (a *app) mediumAddCommand() *cobra.Command {
	var request api.AddMediumRequest
	c := &cobra.Command{
		Use: "add FILE", Short: "Make a file known", Args: cobra.ExactArgs(1), Example: "  panal medium add debian.vdi",
		Long: `Make a file known, where it lies. An image that carries a UUID is known by that; a
copy of one that is known already needs --new-uuid.`,
	}
	c.Flags().StringVar(&request.Format, "format", "", "found by the content when left out")
	c.Flags().StringVar(&request.Description, "description", "", "what it is for")
	c.Flags().BoolVar(&request.NewUUID, "new-uuid", false, "know it by another UUID than the one it carries")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if request.Path, err = absolute(args[0]); err != nil {
			return err
		}
		return a.mediumWork("add", "added", func(ctx context.Context, c *client.Client, _ string) (api.Medium, error) {
			return c.AddMedium(ctx, request)
		})(cmd, args)
	}
	return c
}

func (a *app) mediumSetCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "set MEDIUM KEY=VALUE…", Short: "Describe a medium, or make it larger", Args: cobra.MinimumNArgs(2), ValidArgsFunction: a.completeMedium,
		Long: `Set description; writeMode, that of the drives it is in while their machines are off
(normal, writethrough, shareable, immutable, multiattach, readonly); or size, which can become larger, also while a guest runs on it:
then the guest is told, and has to make use of it. A disk that takes up all of its room beforehand does so
when it is larger, too; preallocation=off leaves what is added to be taken when it is written, and =falloc takes
the whole room in any case. "panal medium compact" gives room back.`,
		Example: "  panal medium set /srv/images/data.qcow2 size=40G description='of the shop'",
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		change, err := mediumChange(args[1:])
		if err != nil {
			return err
		}
		return a.mediumWork("set", "changed", func(ctx context.Context, c *client.Client, ref string) (api.Medium, error) {
			return c.ChangeMedium(ctx, ref, change)
		})(cmd, args)
	}
	return c
}

// mediumChange reads what is to be set.
func mediumChange(settings []string) (change api.ChangeMediumRequest, err error) {
	for _, setting := range settings {
		key, value, found := strings.Cut(setting, "=")
		switch {
		case found && key == "description":
			change.Description = &value
		case found && key == "size":
			if change.Size, err = api.ParseSize(value); err != nil {
				return change, usageError{err.Error()}
			}
		case found && key == "writeMode":
			change.WriteMode = api.WriteMode(value)
		case found && key == "preallocation":
			change.Preallocation = api.Preallocation(value)
		default:
			return change, usageError{fmt.Sprintf("%q is none of size=SIZE, preallocation=off|falloc, writeMode=MODE and description=TEXT", setting)}
		}
	}
	return change, nil
}

func (a *app) mediumMoveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "move MEDIUM PATH", Short: "Move the file of a medium, also under a running machine", Args: cobra.ExactArgs(2), ValidArgsFunction: a.completeMedium,
		Example: "  panal medium move data.qcow2 /srv/images/",
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		to, err := absolute(args[1])
		if err != nil {
			return err
		}
		return a.mediumWork("move", "moved", func(ctx context.Context, c *client.Client, ref string) (api.Medium, error) {
			return c.MoveMedium(ctx, ref, api.MoveMediumRequest{Path: to})
		})(cmd, args)
	}
	return c
}

func (a *app) mediumReleaseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "release MEDIUM", Short: "Take a medium out of all drives", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeMedium,
		Long:    "Take a medium out of all drives that it is in. Disks are detached, optical and floppy\ndrives are left empty. Machines on which that cannot be done now refuse it.",
		Example: "  panal medium release install.iso",
		RunE: a.mediumWork("release", "released", func(ctx context.Context, c *client.Client, ref string) (api.Medium, error) {
			return c.ReleaseMedium(ctx, ref)
		}),
	}
}

func (a *app) mediumRemoveCommand() *cobra.Command {
	var how api.RemoveMediumRequest
	c := &cobra.Command{
		Use: "remove MEDIUM", Aliases: []string{"rm"}, Short: "Forget a medium, and remove its file if that is wanted", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeMedium, Example: "  panal medium remove data.qcow2 --delete",
	}
	c.Flags().BoolVar(&how.DeleteFile, "delete", false, "remove the file too")
	c.RunE = a.mediumWork("remove", "removed", func(ctx context.Context, c *client.Client, ref string) (api.Medium, error) {
		return c.RemoveMedium(ctx, ref, how)
	})
	return c
}

func (a *app) mediumPruneCommand() *cobra.Command {
	var how api.PruneRequest
	c := &cobra.Command{
		Use: "prune", Short: "List files that nothing refers to, or remove them", Args: cobra.NoArgs,
		Long:    "List the files in the registry's folder and in machines' folders that nothing refers\nto: disks that were detached, and what was copied there by hand.",
		Example: "  panal medium prune\n  panal medium prune --delete",
	}
	c.Flags().BoolVar(&how.Delete, "delete", false, "remove them")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.connect(cmd.Context())
		if err != nil {
			return failed("prune", "media", err)
		}
		found, err := c.PruneMedia(cmd.Context(), how)
		if err != nil {
			return failed("prune", "media", err)
		}
		if a.json {
			return a.printJSON(found)
		}
		for _, file := range found.Files {
			fmt.Fprintln(a.out, file.Path)
		}
		return nil
	}
	return c
}
