// Package cli is Panal's command line: it reads flags, asks the daemon through
// package client, and writes for people or, with --json, for programs. One file
// holds one command or a few that belong together.
//
// It decides nothing about machines: what is sensible, possible or allowed is
// the daemon's to say. What is its own is to start that daemon when none runs,
// to show progress, to let go of long work with ^C without leaving debris, and
// the exit code (see [ExitDone] and the others).
package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/paths"
)

// Hooks are what the program gives the command line from outside.
type Hooks struct {
	// Version is Panal's version, for `panal version`.
	Version string
	// Daemon runs the daemon until its context ends. Nil for a program without one.
	Daemon func(ctx context.Context, o DaemonOptions) error
}

// DaemonOptions are what `panal daemon` was told.
type DaemonOptions struct {
	Data     string // the data directory
	Runtime  string // the runtime directory
	Socket   string // the socket to listen on
	LogLevel slog.Level
	// Ready tells whoever waits for the daemon that requests are answered (nil),
	// or why they will never be. Only the first call counts.
	Ready func(error)
}

// CLI is the command line. It is made anew for each call.
type CLI struct{ app *app }

// New returns a command line that speaks on the process's standard streams.
func New(hooks Hooks) *CLI {
	return &CLI{&app{hooks: hooks, in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}}
}

// Execute runs the command that the arguments (without the program's name)
// give, writes what it has to say, and returns the exit code. The end of the
// context is the user's ^C: tasks that the command has begun are cancelled,
// and Execute returns when they are undone.
func (c *CLI) Execute(ctx context.Context, args []string) int {
	a := c.app
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	command, err := root.ExecuteContextC(ctx)
	if a.client != nil {
		defer a.client.Close()
	}
	if err == nil {
		return ExitDone
	}
	return a.report(command, err)
}

// app is what all commands share.
type app struct {
	hooks  Hooks
	in     *os.File
	out    *os.File
	err    *os.File
	getenv func(string) string

	// The flags that every command has.
	json    bool
	quiet   bool
	socket  string
	noStart bool

	parsed bool           // the command line was understood, and a command runs
	client *client.Client // made by connect
}

// The groups that `panal help` shows the commands in.
const (
	groupMachines = "machines"
	groupPower    = "power"
	groupLook     = "look"
	groupDisks    = "disks"
	groupHost     = "host"
)

// root is the whole tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "panal",
		Short: "Run virtual machines on this computer",
		Long: `Panal runs virtual machines: from a disk image to a running machine in one
command, as root or as an ordinary user.

A machine is named by its name, its UUID, or the beginning of either if that
fits no other. Sizes are written 512M or 20G. Commands talk to Panal's daemon
and start it when it does not run.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not found,
4 conflict (exists already, busy, or not possible in the machine's state).`,
		Example: `  panal create --disk debian.vmdk    make a machine of a disk image
  panal start debian                 start it
  panal console debian               type on its serial line; Ctrl-] leaves`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          a.noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
		PersistentPreRun: func(*cobra.Command, []string) { a.parsed = true },
		Version:          a.hooks.Version,
	}
	root.SetVersionTemplate(a.versionLine())
	root.Flags().Bool("version", false, "print the version")
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "write JSON, as the daemon's interface has it")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "write nothing but what a script wants, such as names")
	flags.StringVar(&a.socket, "socket", "", "the daemon's socket; a daemon named so is never started")
	flags.BoolVar(&a.noStart, "no-start", false, "do not start a daemon when none runs")
	root.AddGroup(
		&cobra.Group{ID: groupMachines, Title: "Machines:"},
		&cobra.Group{ID: groupPower, Title: "Running them:"},
		&cobra.Group{ID: groupLook, Title: "Looking into them:"},
		&cobra.Group{ID: groupDisks, Title: "Disk images:"},
		&cobra.Group{ID: groupHost, Title: "Host and daemon:"},
	)
	root.SuggestionsMinimumDistance = 2
	root.SetHelpCommandGroupID(groupHost)
	root.SetCompletionCommandGroupID(groupHost)
	a.add(root, groupMachines, a.createCommand, a.importCommand, a.exportCommand, a.cloneCommand, a.unregisterCommand, a.moveCommand, a.streamCommand, a.registerCommand, a.listCommand, a.showCommand, a.setCommand, a.attachCommand, a.detachCommand, a.insertCommand, a.ejectCommand, a.renameCommand, a.autostartCommand, a.deleteCommand, a.snapshotCommand)
	a.add(root, groupPower, a.startCommand, a.shutdownCommand, a.stopCommand, a.pauseCommand, a.resumeCommand, a.saveCommand, a.resetCommand, a.waitCommand, a.unlockCommand, a.lockCommand)
	a.add(root, groupLook, a.consoleCommand, a.screenshotCommand, a.logCommand, a.eventsCommand, a.statsCommand, a.topCommand)
	a.add(root, groupDisks, a.diskCommand, a.mediumCommand, a.poolCommand)
	a.add(root, groupHost, a.hostCommand, a.taskCommand, a.daemonCommand, a.versionCommand, a.manCommand)
	return root
}

// add puts commands into a group.
func (a *app) add(root *cobra.Command, group string, make ...func() *cobra.Command) {
	for _, command := range make {
		c := command()
		c.GroupID = group
		c.DisableFlagsInUseLine = true
		root.AddCommand(c)
	}
}

// noCommand refuses words that name no command.
func (a *app) noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	message := fmt.Sprintf("there is no command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += fmt.Sprintf("; did you mean %q?", near[0])
	}
	return usageError{message}
}

// paths are where the things of the calling user are.
func (a *app) paths() (paths.Paths, error) {
	p, err := paths.For(os.Geteuid(), a.getenv)
	if err == nil && a.socket != "" {
		p.Socket, err = absolute(a.socket)
	}
	if err == nil {
		err = paths.CheckSocket(p.Socket)
	}
	return p, err
}

// say writes a line for people about what was done; not with --quiet or --json.
func (a *app) say(format string, args ...any) {
	if !a.quiet && !a.json {
		fmt.Fprintf(a.out, format+"\n", args...)
	}
}

// note writes a line that is not the command's result, to standard error.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// warn writes warnings, also with --quiet: nobody would see them elsewhere.
func (a *app) warn(about string, warnings []string) {
	for _, warning := range warnings {
		fmt.Fprintf(a.err, "panal: warning: %s: %s\n", printable(about), printable(warning)) // both may be a stranger's words
	}
}
