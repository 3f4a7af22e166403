package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/diskfile"
)

func (a *app) diskResizeCommand() *cobra.Command {
	var f diskFlags
	var shrink bool
	c := &cobra.Command{
		Use:   "resize FILE SIZE",
		Short: "Make a disk longer, or with --shrink shorter",
		Long: `Change the size of a disk. What is added reads as zeros. What --shrink cuts off is
lost: shorten the guest's partitions and file systems before. +SIZE adds to what
there is.`,
		Example: `  panal disk resize web.vmdk 40G
  panal disk resize web.vmdk +10G`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			given, add := strings.CutPrefix(args[1], "+")
			size, err := disk.ParseSize(given)
			if err != nil {
				return diskFailed("resize", args[0], err)
			}
			return a.changeImage(cmd.Context(), "resize", args[0], f, func(img disk.Image) error {
				if add {
					size += img.Size()
				}
				if size < img.Size() && !shrink {
					return disk.Usage("it has %d bytes now; what lies behind %d would be lost: say --shrink if that is meant", img.Size(), size)
				}
				if err := disk.Resize(img, size); err != nil {
					return err
				}
				return a.tellChanged(args[0], "is "+exactBytes(img.Size())+" now", map[string]any{"size": img.Size()})
			})
		},
	}
	f.register(c)
	c.Flags().BoolVar(&shrink, "shrink", false, "allow the disk to become shorter")
	return c
}

func (a *app) diskCompactCommand() *cobra.Command {
	var f diskFlags
	c := &cobra.Command{
		Use:   "compact FILE",
		Short: "Make an image's files smaller: without blocks that are zero or unused",
		Long: `Give back, in place, the room of blocks that hold only zeros or that nothing uses.
A guest frees blocks by writing zeros (zerofree, sdelete -z) or by discarding
(fstrim). Broken off at any moment, the content is the same.`,
		Example: "  panal disk compact web.vdi",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeImage(cmd.Context(), "compact", args[0], f, func(img disk.Image) error {
				compacter, ok := img.(disk.Compacter)
				if !ok {
					return disk.Unsupported(disk.Describe(img).Format, "images of this kind cannot be compacted in place; convert it to a new one")
				}
				progress, ended := a.progressOn("compact", args[0])
				freed, err := compacter.Compact(cmd.Context(), progress)
				ended()
				if err != nil {
					return err
				}
				return a.tellChanged(args[0], human(freed)+" smaller", map[string]any{"freed": freed})
			})
		},
	}
	f.register(c)
	return c
}

// changeImage opens an image for writing, and closes it when it is changed. Its
// parents are opened too: what is zero, and may be freed, depends on them.
func (a *app) changeImage(ctx context.Context, verb, name string, f diskFlags, change func(disk.Image) error) error {
	img, err := a.place(ctx, f).Open(name, diskfile.OpenOptions{Format: f.format, Write: true})
	if err != nil {
		return diskFailed(verb, name, err)
	}
	err = change(img)
	if closeErr := img.Close(); err == nil {
		err = closeErr
	}
	return diskFailed(verb, name, err)
}

// tellChanged says what has become of an image: in words, or the same facts as
// JSON.
func (a *app) tellChanged(name, text string, facts map[string]any) error {
	if a.json {
		facts["name"] = name
		return a.printJSON(facts)
	}
	a.say("%s: %s", printable(name), text)
	return nil
}

func (a *app) diskCommitCommand() *cobra.Command {
	var f diskFlags
	c := &cobra.Command{
		Use:   "commit FILE",
		Short: "Write what a differencing image holds into its parent",
		Long: `Write what a differencing image holds into its parent, which then reads as the
image does. The image itself stays, and may be deleted. Other images with the
same parent are broken by that: there must be none. Of a Parallels bundle with
snapshots, what was written since the last one is written into that, which is
then a snapshot no more.`,
		Example: "  panal disk commit child.qcow2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			progress, ended := a.progressOn("commit", args[0])
			into, err := a.place(cmd.Context(), f).Commit(cmd.Context(), args[0], f.format, progress)
			ended()
			if err != nil {
				return diskFailed("commit", args[0], err)
			}
			return a.tellChanged(args[0], "written into "+printable(into), map[string]any{"into": into})
		},
	}
	f.register(c)
	f.keys.content = true
	return c
}

func (a *app) diskRebaseCommand() *cobra.Command {
	var f diskFlags
	var parent, parentFormat string
	var flatten, unsafe bool
	c := &cobra.Command{
		Use:   "rebase FILE (--parent PARENT | --flatten)",
		Short: "Give a differencing image another parent, or none",
		Long: `Give a differencing image another parent and keep its content: what differs between
the old parent and the new is written into the image. --flatten takes everything
in, so that it needs no parent. --unsafe only changes what the image calls its
parent, for a parent that was moved or renamed.

Images that have FILE for their own parent read as before. In vdi, vmdk and vhdx
they notice that FILE was written, and refuse it: tell each of them with
"panal disk rebase CHILD --parent FILE --unsafe".`,
		Example: `  panal disk rebase child.qcow2 --parent other.qcow2
  panal disk rebase child.vdi --flatten
  panal disk rebase child.qcow2 --parent moved/base.qcow2 --unsafe`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (parent == "") != flatten {
				return usageError{"say either --parent or --flatten"}
			}
			progress, ended := a.progressOn("rebase", args[0])
			err := a.place(cmd.Context(), f).Rebase(cmd.Context(), args[0], f.format, parent, parentFormat, unsafe, progress)
			ended()
			if err != nil {
				return diskFailed("rebase", args[0], err)
			}
			a.noteAllow(args[0], f.format, parent)
			a.noteChildren(args[0], f)
			if flatten {
				return a.tellChanged(args[0], "has no parent now", map[string]any{"parent": nil})
			}
			return a.tellChanged(args[0], "its parent is "+printable(parent)+" now", map[string]any{"parent": parent})
		},
	}
	f.register(c)
	f.keys.content = true
	flags := c.Flags()
	flags.StringVar(&parent, "parent", "", "the new parent")
	flags.StringVar(&parentFormat, "parent-format", "", "the new parent's format; without it, the content tells")
	flags.BoolVar(&flatten, "flatten", false, "take in all that the parents hold, and have none")
	flags.BoolVar(&unsafe, "unsafe", false, "change the name of the parent only, and look at no content")
	return c
}

// noteChildren tells, of a format whose images notice that their parent was
// written, what is to be done about them.
func (a *app) noteChildren(name string, f diskFlags) {
	img, err := diskfile.Place{}.Open(name, diskfile.OpenOptions{Format: f.format, Alone: true, Unlocked: true})
	if err != nil {
		return
	}
	defer img.Close()
	if format := disk.Describe(img).Format; format == "vdi" || format == "vmdk" || format == "vhdx" {
		a.note("%s: images that have it for their parent will refuse it now; each needs: panal disk rebase CHILD --parent %[1]s --unsafe", name)
	}
}

// identityJSON is an identity as --json writes it.
type identityJSON struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
}

func (a *app) diskUUIDCommand() *cobra.Command {
	var f diskFlags
	c := &cobra.Command{
		Use:   "uuid FILE [UUID|new]",
		Short: "Show an image's identity, or give it another",
		Long: `Show an image's identity, or give it another: the one that is said, or with new a
random one. A copy of an image has the same identity, and VirtualBox refuses to
know two of them. Images that have FILE for their parent know it by its identity,
and refuse it then.`,
		Example: `  panal disk uuid copy.vdi
  panal disk uuid copy.vdi new
  panal disk uuid copy.vdi 12345678-9abc-4def-8123-456789abcdef`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			uuid, err := a.identity(cmd.Context(), args, f)
			switch {
			case err != nil:
				return diskFailed("uuid", args[0], err)
			case a.json:
				return a.printJSON(identityJSON{args[0], uuid})
			}
			_, err = fmt.Fprintln(a.out, uuid)
			return err
		},
	}
	f.register(c)
	return c
}

// identity is an image's identity, after it was changed if that is wished.
func (a *app) identity(ctx context.Context, args []string, f diskFlags) (uuid string, err error) {
	change := len(args) > 1
	img, err := a.place(ctx, f).Open(args[0], diskfile.OpenOptions{Format: f.format, Alone: true, Write: change, Unlocked: !change})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	own, ok := img.(disk.Identified)
	if change && ok {
		wanted := args[1]
		if wanted == "new" {
			wanted = ""
		} else if wanted == "" {
			return "", usageError{"the identity is empty; new means a random one"}
		}
		if err := own.SetUUID(wanted); err != nil {
			return "", err
		}
	}
	if uuid = disk.Describe(img).UUID; uuid == "" || change && !ok {
		return "", disk.Unsupported(disk.Describe(img).Format, "images of this kind have no identity")
	}
	return uuid, nil
}
