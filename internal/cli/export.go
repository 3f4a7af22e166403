package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

func (a *app) exportCommand() *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use:   "export MACHINE… FILE.ova|FILE.ovf|FOLDER/|-",
		Short: "Write machines in a form that other programs take",
		Long: `Write machines as an appliance: one archive (FILE.ova), or a descriptor with its
disks beside it (FILE.ovf, or in FOLDER/ by the machine's name, which is made if it
is not there; what it is in, and the folder of a FILE, must be). Several machines
become one appliance, in which they start in the order given. With - or a named
pipe the archive goes to another program; nothing is kept on the way.

Disks become streamOptimized VMDK, which every reader of OVF takes, unless
--disk-format names another that can be written in one pass. A manifest tells
whether the files are whole; --sign and --cert tell who made them.

A machine that runs is exported as its disks were at one instant, and runs on. The
files get their names only when they are complete.`,
		Example: `  panal export web web.ova
  panal export web - | ssh elsewhere 'cat > web.ova'
  panal export db web shop.ova --for virtualbox --eula LICENCE.txt
  panal export web /srv/web/ --ovf 2.0 --digest sha512 --sign key.pem --cert cert.pem
  panal export web web.ova --disk-format raw --compress --property org.example.size=big
  panal export web web.ova --encrypt`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completeMachines,
	}
	f.register(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		machines, destination := args[:len(args)-1], args[len(args)-1]
		request, err := f.request(machines, destination)
		if err != nil {
			return err
		}
		if f.encrypt {
			if request.Passphrase, err = a.newPassphrase(cmd.Context(), f.passphraseFile); err != nil {
				return failed("export", destination, err)
			}
		}
		if request.Destination != "" {
			return a.export(cmd.Context(), request, f)
		}
		if f.detach {
			return usageError{"a stream ends with the command: leave --detach out"}
		}
		return a.exportStream(cmd.Context(), request, destination)
	}
	return c
}

// export asks for the export and waits.
func (a *app) export(ctx context.Context, request api.ExportRequest, f exportFlags) error {
	if _, err := a.connect(ctx); err != nil {
		return failed("export", request.Destination, err)
	}
	_, missing := os.Stat(request.Destination)
	task, err := a.client.Export(context.WithoutCancel(ctx), request)
	if err != nil {
		return failed("export", "", err)
	}
	if f.detach {
		return a.reportDetached(taskWork{}, []outcome{{task: task}})
	}
	if task, err = a.followShown(ctx, task); err != nil {
		return failed("export", "", err)
	}
	a.warn("export", task.Warnings)
	if a.json {
		return a.printJSON(task)
	}
	kind := ""
	if strings.HasSuffix(request.Destination, "/") && errors.Is(missing, fs.ErrNotExist) {
		kind = "the new folder "
	}
	a.say("%s: exported to %s%s", strings.Join(request.Machines, ", "), kind, request.Destination)
	return nil
}
