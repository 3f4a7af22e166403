package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

// exportFlags are the flags of export, as they were typed.
type exportFlags struct {
	name, version, dialect, format, digest string
	licence, key, certificate              string
	force, detach                          bool
}

func (a *app) exportCommand() *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use:   "export MACHINE… FILE.ova|FILE.ovf",
		Short: "Write machines in a form that other programs take",
		Long: `Write machines as an appliance: one archive (FILE.ova), or a descriptor with its
disks beside it (FILE.ovf). Several machines become one appliance, in which they
start in the order given.

Disks become streamOptimized VMDK, which every reader of OVF takes, unless
--disk-format names another that can be written in one pass. A manifest tells
whether the files are whole; --sign and --cert tell who made them.

Machines have to be off or saved, and stay so until it is done. The file gets its
name only when it is complete.`,
		Example: `  panal export web web.ova
  panal export db web shop.ova --for virtualbox --eula LICENCE.txt
  panal export web /srv/web/web.ovf --ovf 2.0 --digest sha512 --sign key.pem --cert cert.pem`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completeMachines,
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.name, "name", "", "what the appliance is called; default the file's name")
	flags.StringVar(&f.version, "ovf", "", "version of OVF: 1.0, 1.1 (the default) or 2.0")
	flags.StringVar(&f.dialect, "for", "", "whose names hardware is described by: generic, virtualbox, vmware, xen or qemu")
	flags.StringVar(&f.format, "disk-format", "", "format of the disks, such as vhd or raw")
	flags.StringVar(&f.digest, "digest", "", "of the manifest: sha256 (the default), sha512 or sha1")
	flags.StringVar(&f.licence, "eula", "", "a file with a licence that who imports it must agree to")
	flags.StringVar(&f.key, "sign", "", "a PEM file with the private key to sign with")
	flags.StringVar(&f.certificate, "cert", "", "a PEM file with the certificate of that key")
	flags.BoolVar(&f.force, "force", false, "replace files that are there")
	addDetach(c, &f.detach)
	for flag, values := range map[string][]string{
		"ovf": {"1.0", "1.1", "2.0"}, "for": {"generic", "virtualbox", "vmware", "xen", "qemu"}, "digest": {"sha256", "sha512", "sha1"},
	} {
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		request, err := f.request(args[:len(args)-1], args[len(args)-1])
		if err != nil {
			return err
		}
		return a.export(cmd.Context(), request, f)
	}
	return c
}

// request makes the request of the flags.
func (f *exportFlags) request(machines []string, destination string) (api.ExportRequest, error) {
	request := api.ExportRequest{
		Machines: machines, Name: f.name, Replace: f.force, Version: f.version, For: f.dialect, DiskFormat: f.format, Digest: f.digest,
	}
	switch strings.ToLower(filepath.Ext(destination)) {
	case ".ova", ".ovf":
	default:
		return request, usageError{fmt.Sprintf("%q ends neither in .ova, for an archive, nor in .ovf, for files in a folder", destination)}
	}
	var err error
	if request.Destination, err = absolute(destination); err != nil {
		return request, err
	}
	for path, text := range map[string]*string{f.licence: &request.Licence, f.key: &request.Key, f.certificate: &request.Certificate} {
		if path == "" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return request, failed("export", destination, err)
		}
		*text = string(data)
	}
	return request, nil
}

// export asks for the export and waits.
func (a *app) export(ctx context.Context, request api.ExportRequest, f exportFlags) error {
	if _, err := a.connect(ctx); err != nil {
		return failed("export", request.Destination, err)
	}
	task, err := a.client.Export(context.WithoutCancel(ctx), request)
	if err != nil {
		return failed("export", "", err)
	}
	if f.detach {
		return a.reportDetached(taskWork{}, []outcome{{task: task}})
	}
	shown := a.newProgress()
	task, err = a.follow(ctx, task, shown)
	shown.close()
	if err != nil {
		return failed("export", "", err)
	}
	a.warn("export", task.Warnings)
	if a.json {
		return a.printJSON(task)
	}
	a.say("%s: exported to %s", strings.Join(request.Machines, ", "), request.Destination)
	return nil
}
