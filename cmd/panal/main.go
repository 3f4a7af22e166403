// Command panal runs virtual machines: it is the command line, the daemon, and
// the image server that the daemon starts for machines.
package main

import (
	"context"
	"os"

	"github.com/panalvm/panal/internal/cli"
	"github.com/panalvm/panal/internal/daemon"
	"github.com/panalvm/panal/internal/imageserver"
)

// version is set when the program is built: see scripts/build.sh.
var version = "0.0.0-dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == imageserver.Command {
		os.Exit(imageserver.Run()) // it answers to descriptors, not to a person: no command line is needed
	}
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
	return daemon.Run(ctx, daemon.Options{
		Data:     o.Data,
		Runtime:  o.Runtime,
		Socket:   o.Socket,
		Version:  version,
		LogLevel: o.LogLevel,
		Fault:    os.Getenv("PANAL_FAULT"),
		Ready:    o.Ready,
	})
}
