package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/internal/paths"
)

func (a *app) daemonCommand() *cobra.Command {
	var data, runtime, level string
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
	levels := []string{"debug", "info", "warn", "error"}
	c.Flags().StringVar(&data, "data", "", "the data directory")
	c.Flags().StringVar(&runtime, "runtime", "", "the runtime directory")
	c.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	_ = c.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(levels, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		o := DaemonOptions{}
		if err := o.LogLevel.UnmarshalText([]byte(level)); err != nil {
			return usageError{fmt.Sprintf("--log-level takes debug, info, warn or error, not %q", level)}
		}
		var err error
		if o.Ready, err = readiness(a.getenv(envReady)); err != nil {
			return failed("run", "the daemon", err)
		}
		if err = a.placeDaemon(&o, data, runtime); err == nil {
			err = a.runDaemon(cmd, o)
		}
		if err != nil {
			o.Ready(err)
		}
		return failed("run", "the daemon", err)
	}
	return c
}

// runDaemon runs the daemon that the program was given.
func (a *app) runDaemon(cmd *cobra.Command, o DaemonOptions) error {
	if a.hooks.Daemon == nil {
		return errors.New("this program has none")
	}
	return a.hooks.Daemon(cmd.Context(), o)
}

// placeDaemon says where the daemon's things are: the flags come before the
// environment.
func (a *app) placeDaemon(o *DaemonOptions, data, runtime string) error {
	flags := map[string]string{paths.EnvData: data, paths.EnvRuntime: runtime}
	getenv := a.getenv
	a.getenv = func(name string) string {
		if value := flags[name]; value != "" {
			return value
		}
		return getenv(name)
	}
	for name, value := range flags {
		if value == "" {
			continue
		}
		var err error
		if flags[name], err = absolute(value); err != nil {
			return err
		}
	}
	p, err := a.paths()
	o.Data, o.Runtime, o.Socket = p.Data, p.Runtime, p.Socket
	return err
}

// readiness is how a daemon tells the one who started it, and waits, that it
// answers or why it will not: a line on the file descriptor that the
// environment named. Without one, nobody waits.
func readiness(fd string) (func(error), error) {
	if fd == "" {
		return func(error) {}, nil
	}
	number, err := strconv.Atoi(fd)
	if err != nil || number < 3 {
		return nil, fmt.Errorf("%s is %q, which is not a file descriptor beyond the standard ones", envReady, fd)
	}
	unix.CloseOnExec(number)  // the daemon's children must not keep it open,
	_ = os.Unsetenv(envReady) // nor be told of it
	file := os.NewFile(uintptr(number), "readiness")
	var once sync.Once
	return func(err error) {
		once.Do(func() {
			defer file.Close()
			line := "ready\n"
			if err != nil {
				line = "error: " + oneLine(err) + "\n"
			}
			if _, err := file.WriteString(line); err != nil {
				// Whoever waited has gone; the daemon goes on.
				slog.Debug("nobody reads the readiness", "error", err)
			}
		})
	}, nil
}
