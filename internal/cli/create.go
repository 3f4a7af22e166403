package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

// createFlags are the flags of create, as they were typed.
type createFlags struct {
	disks, newDisks, cdroms      []string
	diskMode                     string
	cpus, maxCPUs                int
	memory, arch, machine        string
	firmware, tpm                string
	forwards                     []string
	noNetwork                    bool
	kernel, initrd, commandLine  string
	labels, set                  []string
	description, file, pool      string
	start, detach, wait, autorun bool

	encrypt bool
	keys    keyFlags

	isSet func(flag string) bool // it was typed
}

func (a *app) createCommand() *cobra.Command {
	var f createFlags
	c := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make a machine",
		Long: `Make a machine of a disk image, of an empty disk, or of a spec.

Whatever is not said is chosen sensibly: the name from the image's, the
architecture of the host, 2 CPUs and 2 GiB of memory, and a network adapter that
reaches the outside. The image's format is found by its content: raw, qcow2,
vdi, vmdk, vhd, vhdx, parallels or xva, differencing images included. It may be a
member of an archive (app.ova/disk1.vmdk), a Parallels bundle, or an earlier
state that the image holds (FILE,snapshot=ID).

The original image is never written: changes go to a differencing image in the
machine's folder, and the original must stay where it is. --disk FILE,mode=own
moves the image into the machine's folder instead.

A forwarded port makes a port of the guest reachable on the host, by default on
127.0.0.1: --forward 2222:22, --forward 0.0.0.0:8080:80, --forward udp:5353:53.

--encrypt encrypts all disk images that are made, also those above images that are
not encrypted. The passphrase is asked for, or given by --passphrase-file or --key-command;
the daemon keeps it in memory for the first start ("panal unlock").

--set takes every key of the spec: see "panal set --keys".`,
		Example: `  panal create --disk debian.vmdk --start
  panal create web --disk debian.qcow2 --cpus 4 --memory 4G --forward 8080:80
  panal create fresh --new-disk 20G --cdrom install.iso --firmware uefi
  panal create --file web.json
  panal show web --json | panal create copy --file - --set uuid=`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.register(a, c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name := ""
		if len(args) > 0 {
			name = args[0]
		}
		request, err := f.request(a, name)
		if err != nil {
			return err
		}
		if request.Encrypt = f.encrypt; f.encrypt && len(request.Spec.Drives)+len(request.Disks) > 0 && !f.selfKeyed(request) {
			request.Passphrase, err = f.keys.readNew(cmd.Context(), a)
		} else {
			request.Passphrase, err = f.keys.read(cmd.Context(), a)
		}
		if err != nil {
			return err
		}
		return a.create(cmd.Context(), name, request, f)
	}
	return c
}

// selfKeyed tells whether the spec says where the passphrases come from.
func (f *createFlags) selfKeyed(request api.CreateRequest) bool {
	return !f.keys.given() && (slices.ContainsFunc(request.Set, func(s string) bool {
		return strings.Contains(s, ".passphraseFile=") || strings.Contains(s, ".keyCommand=")
	}) || slices.ContainsFunc(request.Spec.Drives, func(d api.Drive) bool { return d.PassphraseFile != "" || d.KeyCommand != "" }))
}

// register declares the flags.
func (f *createFlags) register(a *app, c *cobra.Command) {
	flags := c.Flags()
	flags.SortFlags = false
	f.isSet = flags.Changed
	flags.StringArrayVar(&f.disks, "disk", nil, "a disk image: FILE[,mode=overlay|own|readonly|attach][,writemode=MODE][,format=FORMAT][,snapshot=ID]; may be repeated")
	flags.StringVar(&f.diskMode, "disk-mode", "", "the mode of disks that have none of their own")
	flags.StringArrayVar(&f.newDisks, "new-disk", nil, "a new empty disk of this size; may be repeated")
	flags.StringArrayVar(&f.cdroms, "cdrom", nil, "an ISO image in an optical drive; may be repeated")
	flags.IntVar(&f.cpus, "cpus", 0, "number of CPUs; 2 unless given")
	flags.IntVar(&f.maxCPUs, "max-cpus", 0, "how many CPUs it can have while it runs; as many as --cpus unless given")
	flags.StringVar(&f.memory, "memory", "", "memory, such as 512M or 4G, or a range in which it follows the guest's demand, such as 1G..4G")
	flags.StringVar(&f.arch, "arch", "", "architecture: x86_64, aarch64 or riscv64")
	flags.StringVar(&f.machine, "machine", "", "QEMU's machine type, such as q35, pc or virt")
	flags.StringVar(&f.firmware, "firmware", "", "bios, uefi or uefi-secure")
	flags.StringVar(&f.tpm, "tpm", "", "an emulated TPM: 2.0 or 1.2")
	flags.Lookup("tpm").NoOptDefVal = "2.0"
	flags.StringArrayVar(&f.forwards, "forward", nil, "[tcp:|udp:][ADDRESS:]HOSTPORT:GUESTPORT; may be repeated")
	flags.BoolVar(&f.noNetwork, "no-network", false, "no network adapter")
	flags.StringVar(&f.kernel, "kernel", "", "a kernel to boot directly, without a boot loader")
	flags.StringVar(&f.initrd, "initrd", "", "the initial RAM disk for --kernel")
	flags.StringVar(&f.commandLine, "append", "", "the command line for --kernel")
	flags.StringArrayVar(&f.labels, "label", nil, "a label: NAME=VALUE; may be repeated")
	flags.StringVar(&f.description, "description", "", "free text")
	flags.BoolVar(&f.encrypt, "encrypt", false, "encrypt the disk images that are made")
	f.keys.add(c, "", "of encrypted disks")
	flags.StringArrayVar(&f.set, "set", nil, "any value of the spec: KEY=VALUE; may be repeated")
	flags.StringVar(&f.file, "file", "", "read the spec from this JSON file, - for standard input")
	a.poolFlag(c, &f.pool)
	flags.BoolVar(&f.start, "start", false, "start the machine")
	flags.BoolVar(&f.autorun, "autostart", false, "start the machine with the host")
	flags.BoolVar(&f.wait, "wait", false, "start the machine, and wait until its guest's agent has connected")
	addDetach(c, &f.detach)
	choices := map[string][]string{
		"arch": {"x86_64", "aarch64", "riscv64"}, "firmware": {"bios", "uefi", "uefi-secure"},
		"disk-mode": {"overlay", "own", "readonly"}, "tpm": {"2.0", "1.2"},
	}
	for flag, values := range choices {
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// create asks for the machine, waits, and starts it if that is wanted.
func (a *app) create(ctx context.Context, name string, request api.CreateRequest, f createFlags) error {
	on := f.subject(name)
	if _, err := a.connect(ctx); err != nil {
		return failed("create", on, err)
	}
	task, err := a.client.Create(context.WithoutCancel(ctx), request)
	if err != nil {
		return failed("create", on, err)
	}
	if f.detach {
		return a.reportDetached(taskWork{}, []outcome{{task: task}})
	}
	if task, err = a.followShown(ctx, task); err != nil {
		return failed("create", on, err)
	}
	a.warn(on, task.Warnings)
	if f.start || f.wait {
		return a.createAndStart(ctx, task.Machine, f)
	}
	return a.showCreated(ctx, task.Machine, "created")
}

// createAndStart starts the machine just made.
func (a *app) createAndStart(ctx context.Context, uuid string, f createFlags) error {
	machine, err := a.client.Get(ctx, uuid)
	if err != nil {
		return failed("start", uuid, err)
	}
	name := machine.Spec.Name
	task, err := a.client.Start(context.WithoutCancel(ctx), uuid)
	if err != nil {
		return failed("start", name, err)
	}
	if task, err = a.followShown(ctx, task); err != nil {
		return failed("start", name, err)
	}
	a.warn(name, task.Warnings)
	done := "created and running"
	if f.wait {
		done += ", its agent connected"
		if _, err := a.await(ctx, uuid, goals["agent"], 0, true); err != nil {
			return failed("start", name, err)
		}
	}
	return a.showCreated(ctx, uuid, done)
}

// showCreated says which machine was made: with --quiet its UUID alone.
func (a *app) showCreated(ctx context.Context, uuid, done string) error {
	machine, err := a.client.Get(ctx, uuid)
	switch {
	case err != nil:
		return failed("show", uuid, err)
	case a.json:
		return a.printJSON(machine)
	case a.quiet:
		_, err = fmt.Fprintln(a.out, machine.Spec.UUID)
		return err
	}
	a.say("%s: %s (%s)", machine.Spec.Name, done, machine.Spec.UUID)
	return nil
}

// subject is what create works on, for messages.
func (f *createFlags) subject(name string) string {
	switch {
	case name != "":
		return name
	case len(f.disks) > 0:
		return "from " + f.disks[0]
	case f.file != "":
		return "from " + f.file
	}
	return "a machine"
}
