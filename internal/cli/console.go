package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// consoleFlags are the flags of console.
type consoleFlags struct {
	serial, scrollback, until string
	timeout, idle             time.Duration
	raw, vnc                  bool
	listen                    string
}

func (a *app) consoleCommand() *cobra.Command {
	var f consoleFlags
	c := &cobra.Command{
		Use:   "console NAME",
		Short: "Type on a machine's serial line, or reach its display",
		Long: `Attach to a machine's serial line. What it printed before comes first. Several
can be attached at once. Ctrl-] leaves; the machine goes on.

In scripts, what comes on standard input is typed, its line ends as the Enter
key, and only what is printed from then on is shown. When standard input has
ended, the command leaves as soon as nothing was printed for --idle. With
--until it leaves when a text is printed: exit code 0, or 1 when it is not
printed before --timeout or the machine's end.

With --vnc it is the display that is reached. If there is a desktop and a
viewer (vncviewer, remote-viewer or gvncviewer), that is opened; otherwise the
command says how to reach the display. --listen makes it reachable on a port of
this computer until ^C. VNC has no password here: every user of this computer
can then connect.`,
		Example: `  panal console web
  echo uptime | panal console web
  printf 'poweroff\n' | panal console web --until 'Power down' --timeout 1m
  panal console web --until login: --scrollback 64K --timeout 5m </dev/null
  panal console web --vnc --listen 127.0.0.1:5900`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeMachine,
	}
	flags := c.Flags()
	flags.StringVar(&f.serial, "serial", "", "the serial line's name; without it, the first")
	flags.StringVar(&f.scrollback, "scrollback", "", "how much of the earlier output comes first, such as 64K; 0 for none")
	flags.StringVar(&f.until, "until", "", "leave when this text is printed")
	durationVar(flags, &f.timeout, "timeout", 0, "with --until, fail after this long, such as 90s; 0 for never")
	durationVar(flags, &f.idle, "idle", time.Second, "after the end of standard input, leave when nothing was printed for this long; 0 for never")
	flags.BoolVar(&f.raw, "raw", false, "type standard input as it is, line ends too")
	flags.BoolVar(&f.vnc, "vnc", false, "the display instead of a serial line")
	flags.StringVar(&f.listen, "listen", "", "with --vnc, the address and port of this computer to offer the display on")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if f.listen != "" && !f.vnc {
			return usageError{"--listen needs --vnc"}
		}
		if f.timeout > 0 && f.until == "" {
			return usageError{"--timeout needs --until"}
		}
		if _, err := a.connect(cmd.Context()); err != nil {
			return failed("console", args[0], err)
		}
		if f.vnc {
			return a.display(cmd.Context(), args[0], f.listen)
		}
		return a.console(cmd.Context(), args[0], f)
	}
	return c
}

// console attaches to a serial line.
func (a *app) console(ctx context.Context, name string, f consoleFlags) error {
	interactive := isTerminal(a.in) && f.until == ""
	options, err := f.options(interactive)
	if err != nil {
		return err
	}
	console, err := a.client.Console(ctx, name, options)
	if err != nil {
		return failed("console", name, err)
	}
	defer console.Close()
	if interactive {
		return failed("console", name, a.interact(ctx, name, console))
	}
	return failed("console", name, a.converse(ctx, console, f))
}

// options are how to attach: a person wants to see what was printed before, a
// script the answers to what it types.
func (f consoleFlags) options(interactive bool) (client.ConsoleOptions, error) {
	options := client.ConsoleOptions{Serial: f.serial}
	if f.scrollback == "" {
		if !interactive {
			options.Scrollback = -1
		}
		return options, nil
	}
	size, err := api.ParseSize(f.scrollback)
	if err != nil {
		return options, usageError{"--scrollback: " + err.Error()}
	}
	options.Scrollback = int(size)
	if size == 0 {
		options.Scrollback = -1
	}
	return options, nil
}
