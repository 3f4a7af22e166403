package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

// attachFlags say what is attached, and where.
type attachFlags struct {
	disk, newDisk, cdrom string
	emptyCDROM           bool
	name, controller     string
	port                 int
	detach, encrypt      bool
	keys                 keyFlags
}

func (a *app) attachCommand() *cobra.Command {
	var f attachFlags
	c := &cobra.Command{
		Use:   "attach NAME --disk FILE|--new-disk SIZE|--cdrom FILE [KEY=VALUE…]",
		Short: "Attach a drive, also to a running machine",
		Long: `Attach a drive to a machine. While the machine runs, the drive comes to a
controller that takes drives then: virtio-blk, virtio-scsi, SCSI, SAS or USB. One
that is not named is chosen; IDE, SATA, NVMe and floppy controllers take drives
only while the machine is off.

KEY=VALUE sets fields of the drive, as "panal set --keys" lists them below
drives.NAME: ssd=on, cache=none, iops=500, serial=…`,
		Example: `  panal attach web --new-disk 20G
  panal attach web --disk data.vmdk --controller scsi0 iops=500
  panal attach web --disk old.qcow2,mode=readonly --name old`,
		ValidArgsFunction: a.completeMachine,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{"which machine?"}
			}
			for _, pair := range args[1:] {
				if key, _, found := strings.Cut(pair, "="); !found || key == "" {
					return usageError{fmt.Sprintf("fields of the drive are given as KEY=VALUE, not %q", pair)}
				}
			}
			return nil
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.disk, "disk", "", "an image as a disk: FILE[,mode=MODE][,format=FORMAT][,snapshot=ID]")
	flags.StringVar(&f.newDisk, "new-disk", "", "a new empty disk of this size")
	flags.StringVar(&f.cdrom, "cdrom", "", "an image in an optical drive")
	flags.BoolVar(&f.emptyCDROM, "empty-cdrom", false, "an optical drive with nothing in it")
	flags.StringVar(&f.name, "name", "", "what the drive is called; chosen when left out")
	flags.StringVar(&f.controller, "controller", "", "the controller, such as scsi0")
	flags.IntVar(&f.port, "port", -1, "the place on the controller, from 0")
	flags.BoolVar(&f.encrypt, "encrypt", false, "encrypt the image that is made")
	f.keys.add(c, "", "of an encrypted disk")
	addDetach(c, &f.detach)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		drive, err := f.drive()
		if err != nil {
			return err
		}
		request := api.AttachRequest{Drive: drive, Set: args[1:], Encrypt: f.encrypt}
		if request.Passphrase, err = f.passphrase(cmd.Context(), a); err != nil {
			return err
		}
		return a.runTasks(cmd.Context(), args[:1], taskWork{verb: "attach", done: "drive attached", detach: f.detach, begin: func(ctx context.Context, name string) (api.Task, error) {
			return a.client.Attach(ctx, name, request)
		}})
	}
	return c
}

// passphrase is that of a disk that is to be encrypted, or is.
func (f *attachFlags) passphrase(ctx context.Context, a *app) (string, error) {
	if f.encrypt {
		return f.keys.readNew(ctx, a)
	}
	return f.keys.read(ctx, a)
}

// drive makes the drive of the flags.
func (f attachFlags) drive() (api.Drive, error) {
	given := 0
	for _, one := range []bool{f.disk != "", f.newDisk != "", f.cdrom != "", f.emptyCDROM} {
		if one {
			given++
		}
	}
	if given != 1 {
		return api.Drive{}, usageError{"say what to attach: one of --disk, --new-disk, --cdrom and --empty-cdrom"}
	}
	drive := api.Drive{Name: f.name, Controller: f.controller, Kind: api.Disk}
	if f.port >= 0 {
		drive.Port = &f.port
	}
	switch {
	case f.newDisk != "":
		size, err := api.ParseSize(f.newDisk)
		if err != nil {
			return drive, usageError{"--new-disk: " + err.Error()}
		}
		drive.Size = size
		return drive, nil
	case f.disk == "":
		return opticalDrive(drive, f.cdrom)
	}
	source, err := parseDisk(f.disk)
	if err != nil {
		return drive, err
	}
	drive.Source, drive.Mode, drive.Format, drive.Snapshot = source.Path, source.Mode, source.Format, source.Snapshot
	drive.WriteMode, drive.AutoReset = source.WriteMode, source.AutoReset
	return drive, checkMode(source.Mode)
}

func opticalDrive(drive api.Drive, file string) (api.Drive, error) {
	drive.Kind, drive.Mode = api.Optical, api.ReadOnly
	if file == "" {
		return drive, nil
	}
	var err error
	drive.Source, err = absolute(file)
	return drive, err
}

// driveCommand is a command on one drive of a machine.
func (a *app) driveCommand(use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(2),
		ValidArgsFunction: a.completeDrive,
	}
}

// guestFlags say how much is asked of the guest.
type guestFlags struct {
	timeout time.Duration
	detach  bool
}

func (f *guestFlags) add(c *cobra.Command) {
	durationVar(c.Flags(), &f.timeout, "timeout", 30*time.Second, "how long a running guest may take, such as 90s")
	addDetach(c, &f.detach)
}

func (f *guestFlags) seconds() int { return max(1, int(f.timeout.Round(time.Second)/time.Second)) }

func (a *app) detachCommand() *cobra.Command {
	var f guestFlags
	c := a.driveCommand("detach NAME DRIVE", "Detach a drive, also from a running machine")
	c.Long = `Detach a drive. A running guest is asked to give it up; when it does not in time,
nothing has changed. The drive's image stays where it is: one in the machine's
folder can be attached again with mode own, and goes with the machine.`
	c.Example = `  panal detach web disk1
  panal detach web disk1 --timeout 2m`
	f.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.runTasks(cmd.Context(), args[:1], taskWork{verb: "detach", done: args[1] + " detached", detach: f.detach, begin: func(ctx context.Context, name string) (api.Task, error) {
			return a.client.Detach(ctx, name, api.DetachRequest{Drive: args[1], Timeout: f.seconds()})
		}})
	}
	return c
}

func (a *app) ejectCommand() *cobra.Command {
	var f guestFlags
	var force bool
	c := a.driveCommand("eject NAME DRIVE", "Take the medium out of an optical or floppy drive")
	c.Example = `  panal eject web optical0
  panal eject web optical0 --force     although the guest has it mounted`
	f.add(c)
	c.Flags().BoolVar(&force, "force", false, "also when the guest keeps the drive locked")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.runTasks(cmd.Context(), args[:1], taskWork{verb: "eject", done: args[1] + " is empty", detach: f.detach, begin: func(ctx context.Context, name string) (api.Task, error) {
			return a.client.Eject(ctx, name, api.EjectRequest{Drive: args[1], Force: force, Timeout: f.seconds()})
		}})
	}
	return c
}

func (a *app) insertCommand() *cobra.Command {
	var f guestFlags
	var force, write bool
	c := a.driveCommand("insert NAME DRIVE FILE", "Put a medium into an optical or floppy drive")
	c.Args = cobra.ExactArgs(3)
	c.Long = `Put a medium into an optical or floppy drive, in the place of what is in it. FILE
may name a format and an earlier state: FILE[,format=FORMAT][,snapshot=ID].`
	c.Example = `  panal insert web optical0 debian.iso
  panal insert web diskette0 boot.img --write`
	f.add(c)
	c.Flags().BoolVar(&force, "force", false, "also when the guest keeps the drive locked")
	c.Flags().BoolVar(&write, "write", false, "let the guest write the diskette, where it lies")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		source, err := parseDisk(args[2])
		if err != nil {
			return err
		}
		done := filepath.Base(source.Path) + " is in " + args[1]
		return a.runTasks(cmd.Context(), args[:1], taskWork{verb: "insert", done: done, detach: f.detach, begin: func(ctx context.Context, name string) (api.Task, error) {
			return a.client.Insert(ctx, name, api.InsertRequest{
				Drive: args[1], Source: source.Path, Format: source.Format, Snapshot: source.Snapshot,
				Write: write, Force: force, Timeout: f.seconds(),
			})
		}})
	}
	return c
}
