// Command panal runs virtual machines: it is the command line and the daemon.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/panalvm/panal/internal/cli"
	"github.com/panalvm/panal/internal/daemon"
)

// version is set when the program is built: see scripts/build.sh.
var version = "0.0.0-dev"

func main() {
	os.Exit(run())
}

// run is main with deferred calls.
func run() int {
	ctx, stop := cli.Interruptible(context.Background())
	defer stop()
	return cli.New(cli.Hooks{Version: version, Daemon: runDaemon}).Execute(ctx, os.Args[1:])
}

// runDaemon runs the daemon as the command line was told to.
func runDaemon(ctx context.Context, o cli.DaemonOptions) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil {
		return fmt.Errorf("the log level %q is none of debug, info, warn and error", o.LogLevel)
	}
	return daemon.Run(ctx, daemon.Options{
		Data: o.Data, Runtime: o.Runtime, Socket: o.Socket, Version: version,
		LogLevel: level, Fault: os.Getenv("PANAL_FAULT"), Ready: readiness(o.ReadyFD),
	})
}

// readiness tells whoever started the daemon how that went, through a pipe.
func readiness(fd int) func(error) {
	if fd <= 0 {
		return func(error) {}
	}
	pipe := os.NewFile(uintptr(fd), "readiness")
	return func(err error) {
		word := "ready\n"
		if err != nil {
			word = "error: " + err.Error() + "\n"
		}
		// Whoever waited may be gone; the daemon runs all the same.
		_, _ = pipe.WriteString(word)
		_ = pipe.Close()
	}
}
