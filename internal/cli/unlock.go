package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/keycommand"
)

// keyFlags say where a passphrase comes from.
type keyFlags struct {
	prefix        string // of the flags' names
	file, command string
}

// add declares the flags; what is the passphrase's purpose.
func (f *keyFlags) add(c *cobra.Command, prefix, what string) {
	f.prefix = prefix
	c.Flags().StringVar(&f.file, prefix+"passphrase-file", "", "read the passphrase "+what+" from the first line of this file")
	c.Flags().StringVar(&f.command, prefix+"key-command", "", "run this shell command, whose output is the passphrase "+what)
}

// given tells whether a flag says where.
func (f *keyFlags) given() bool { return f.file != "" || f.command != "" }

// read is the passphrase that the flags lead to; "" where they say nothing.
func (f *keyFlags) read(ctx context.Context, a *app) (string, error) {
	switch {
	case f.file != "" && f.command != "":
		return "", usageError{fmt.Sprintf("--%spassphrase-file and --%[1]skey-command contradict each other", f.prefix)}
	case f.file != "":
		return readPassphrase(f.file)
	case f.command != "":
		return a.keyOf(ctx, f.command)
	}
	return "", nil
}

// readNew is read, and asks twice where the flags say nothing.
func (f *keyFlags) readNew(ctx context.Context, a *app) (string, error) {
	if f.given() {
		return f.read(ctx, a)
	}
	if !isTerminal(a.in) {
		return "", usageError{fmt.Sprintf("a new passphrase is asked for on a terminal; without one, give it with --%spassphrase-file or --%[1]skey-command", f.prefix)}
	}
	return a.newPassphrase(ctx, "")
}

// ofNew is the passphrase of an image that is made, if it is to be encrypted.
func (f *keyFlags) ofNew(ctx context.Context, a *app, encrypt bool) (string, error) {
	switch {
	case encrypt:
		return f.readNew(ctx, a)
	case f.given():
		return "", usageError{fmt.Sprintf("--%spassphrase-file and --%[1]skey-command need --encrypt", f.prefix)}
	}
	return "", nil
}

// readOld is read, and asks where the flags say nothing and somebody can answer.
func (f *keyFlags) readOld(ctx context.Context, a *app, prompt string) (string, error) {
	if f.given() || !isTerminal(a.in) {
		return f.read(ctx, a)
	}
	return a.askPassphrase(ctx, prompt)
}

// askPassphrase asks for a passphrase that there is.
func (a *app) askPassphrase(ctx context.Context, prompt string) (string, error) {
	given, err := a.askSecrets(ctx, prompt)
	if err != nil {
		return "", err
	}
	return given[0], nil
}

// keyOf runs a key command. It may ask somebody who sits at the terminal, who also can end it; else it has
// as long as in the daemon.
func (a *app) keyOf(ctx context.Context, command string) (string, error) {
	within := keycommand.Within
	if isTerminal(a.in) {
		within = keycommand.WithinAsking
	}
	line, err := keycommand.Run(ctx, command, keycommand.Options{Within: within, Stdin: a.in, Stderr: a.err})
	return string(line), err
}

// isLocked tells whether an encrypted disk wants its passphrase.
func isLocked(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Kind == api.KindLocked
}

// unlocking begins something that may need passphrases of a machine's disks: those of the flags are given first, and at a
// terminal one that is missing is asked for.
func (a *app) unlocking(ctx context.Context, name string, f *keyFlags, begin func() (api.Task, error)) (api.Task, error) {
	passphrase, err := f.read(ctx, a)
	if err != nil {
		return api.Task{}, err
	}
	if passphrase != "" {
		if _, err := a.client.Unlock(ctx, name, api.UnlockRequest{Passphrase: passphrase}); err != nil {
			return api.Task{}, err
		}
	}
	task, err := begin()
	if !isLocked(err) || f.given() || !isTerminal(a.in) {
		return task, err
	}
	if passphrase, err = a.askPassphrase(ctx, "Passphrase of "+name+": "); err != nil {
		return task, err
	}
	if _, err := a.client.Unlock(ctx, name, api.UnlockRequest{Passphrase: passphrase}); err != nil {
		return task, err
	}
	return begin()
}

func (a *app) unlockCommand() *cobra.Command {
	var f keyFlags
	var drive string
	c := a.machinesCommand("unlock", "Give the passphrase of machines' encrypted disks")
	c.Long = `Give the daemon the passphrase of machines' encrypted disks. It is kept in the daemon's
memory, and nowhere else, until "panal lock" or the daemon's end: to start the machine, and
for all that reads its disks, such as export, clone, snapshot diff and the merging of deleted
snapshots.

A machine that is to start without anybody names a file or a command in its drives:
drives.disk0.passphraseFile, or drives.disk0.keyCommand, which the daemon runs.`
	c.Example = `  panal unlock web
  panal unlock web --key-command "pass show vm/web"
  panal unlock web --drive disk1 --passphrase-file disk1.key`
	f.add(c, "", "of the disks")
	c.Flags().StringVar(&drive, "drive", "", "only of this drive; default all that are encrypted")
	c.RunE = func(cmd *cobra.Command, names []string) error {
		passphrase, err := f.readOld(cmd.Context(), a, "Passphrase: ")
		switch {
		case err != nil:
			return err
		case passphrase == "":
			return usageError{"unlock asks for the passphrase on a terminal; without one, give it with --passphrase-file or --key-command"}
		}
		return a.runEach(cmd.Context(), names, "unlock", "unlocked", func(ctx context.Context, name string) (api.Machine, error) {
			return a.client.Unlock(ctx, name, api.UnlockRequest{Passphrase: passphrase, Drive: drive})
		})
	}
	return c
}

func (a *app) lockCommand() *cobra.Command {
	c := a.machinesCommand("lock", "Forget the passphrases of machines' encrypted disks")
	c.Long = `Let the daemon forget the passphrases of machines' disks that it was given. Machines
that run go on: QEMU has its own, until they end.`
	c.Example = "  panal lock web"
	c.RunE = func(cmd *cobra.Command, names []string) error {
		return a.runEach(cmd.Context(), names, "lock", "locked", func(ctx context.Context, name string) (api.Machine, error) {
			return a.client.Lock(ctx, name)
		})
	}
	return c
}

// mediumPassphraseCommand changes what opens an encrypted medium.
func (a *app) mediumPassphraseCommand() *cobra.Command {
	var old, fresh keyFlags
	var add, remove bool
	c := &cobra.Command{
		Use: "passphrase MEDIUM", Short: "Change, add or take away a passphrase of an encrypted medium", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeMedium,
		Long: `Change the passphrase of an encrypted medium; with --add, let a further one open it,
up to 8; with --remove, let the present one open it no more, as long as one is left.

It changes for all images that have its key: its differences, snapshots and linked clones. The
content is not encrypted anew: who has an old copy of the image and the old passphrase has the
key. "panal medium copy --encrypt" makes an image with a key of its own.`,
		Example: `  panal medium passphrase secret.qcow2
  panal medium passphrase secret.qcow2 --add --new-passphrase-file second.key
  panal medium passphrase secret.qcow2 --remove --passphrase-file first.key`,
	}
	old.add(c, "", "that opens it now")
	fresh.add(c, "new-", "that is to open it")
	c.Flags().BoolVar(&add, "add", false, "keep the present passphrase, too")
	c.Flags().BoolVar(&remove, "remove", false, "take the present passphrase away, and add none")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if add && remove {
			return usageError{"--add and --remove contradict each other"}
		}
		if remove && fresh.given() {
			return usageError{"--remove takes the present passphrase away, and takes no new one"}
		}
		ref, err := mediumRef(args[0])
		if err != nil {
			return err
		}
		request := api.MediumPassphraseRequest{Remove: !add}
		if request.Passphrase, err = old.readOld(cmd.Context(), a, "Present passphrase: "); err != nil {
			return err
		}
		if request.Passphrase == "" {
			return usageError{"the present passphrase is asked for on a terminal; without one, give it with --passphrase-file or --key-command"}
		}
		if !remove {
			if request.Add, err = fresh.readNew(cmd.Context(), a); err != nil {
				return err
			}
		}
		return a.changePassphrase(cmd.Context(), ref, request)
	}
	return c
}

func (a *app) changePassphrase(ctx context.Context, ref string, request api.MediumPassphraseRequest) error {
	if _, err := a.connect(ctx); err != nil {
		return failed("passphrase", ref, err)
	}
	answer, err := a.client.ChangePassphrase(ctx, ref, request)
	if err != nil {
		return failed("passphrase", "", err)
	}
	if a.json {
		return a.printJSON(answer)
	}
	a.say("%s: %d passphrases, %d images", ref, answer.Passphrases, len(answer.Images))
	return nil
}
