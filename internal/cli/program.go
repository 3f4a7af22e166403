package cli

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (a *app) daemonCommand() *cobra.Command {
	var o DaemonOptions
	c := &cobra.Command{
		Use:   "daemon",
		Short: "Run the daemon in the foreground",
		Long: `Run the daemon in the foreground, until SIGTERM or ^C. Machines that run go on
without it, and the next daemon takes them over.

Other commands start a daemon by themselves when none runs. On a server, let
systemd do it: the units are named panal.service and panal.socket.

Where its things are: for root /var/lib/panal and /run/panal, for anybody else
$XDG_DATA_HOME/panal and $XDG_RUNTIME_DIR/panal. PANAL_DATA, PANAL_RUNTIME and
PANAL_SOCKET, or the flags, move them.`,
		Example: "  panal daemon --log-level debug",
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVar(&o.Data, "data", "", "the data directory")
	c.Flags().StringVar(&o.Runtime, "runtime", "", "the runtime directory")
	c.Flags().StringVar(&o.LogLevel, "log-level", "info", "debug, info, warn or error")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if a.hooks.Daemon == nil {
			return failed("run", "the daemon", fmt.Errorf("this program has none"))
		}
		if err := a.fillDaemonOptions(&o); err != nil {
			return failed("run", "the daemon", err)
		}
		return failed("run", "the daemon", a.hooks.Daemon(cmd.Context(), o))
	}
	return c
}

// fillDaemonOptions sets what the flags left open.
func (a *app) fillDaemonOptions(o *DaemonOptions) error {
	getenv := a.getenv
	a.getenv = func(name string) string {
		switch {
		case name == "PANAL_DATA" && o.Data != "":
			return absoluteOr(o.Data)
		case name == "PANAL_RUNTIME" && o.Runtime != "":
			return absoluteOr(o.Runtime)
		}
		return getenv(name)
	}
	p, err := a.paths()
	if err != nil {
		return err
	}
	o.Data, o.Runtime, o.Socket = p.Data, p.Runtime, p.Socket
	if text := getenv(envReady); text != "" {
		fd, err := strconv.Atoi(text)
		if err != nil || fd < 3 {
			return fmt.Errorf("%s is %q, which is not a file descriptor", envReady, text)
		}
		o.ReadyFD = fd
		os.Unsetenv(envReady) // it is not meant for the daemon's own children
	}
	return nil
}

// absoluteOr is the path made absolute, or as it is.
func absoluteOr(path string) string {
	if p, err := absolute(path); err == nil {
		return p
	}
	return path
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  panal version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(map[string]string{"version": a.hooks.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			if a.quiet {
				_, err := fmt.Fprintln(a.out, a.hooks.Version)
				return err
			}
			_, err := fmt.Fprintf(a.out, "panal %s (%s, %s/%s)\n", a.hooks.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the manual pages into a directory",
		Hidden:  true,
		Example: "  panal man /usr/local/share/man/man1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return failed("man", "", err)
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // the same sources give the same pages
			return failed("man", "", doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "Panal " + a.hooks.Version, Manual: "Panal"}, args[0]))
		},
	}
}
