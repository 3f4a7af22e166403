// Command guests builds the guests that tests start, and tells where they are.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/test/guests"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "guests:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "guests",
		Short:         "Build the guests that tests start, and tell where they are",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(os.Stdout)
	root.AddCommand(
		selecting("build", "Build guests that are not built yet, and print their directories", getters{guests.Tiny, guests.TinyWithAgent, guests.Debian, nil}),
		selecting("path", "Print the files of guests that are built", getters{lookupTiny, lookupAgent, lookupDebian, nil}),
		packagesCommand(),
	)
	return root
}

func lookupTiny(_ context.Context, arch string) (guests.TinyGuest, error) {
	return guests.LookupTiny(arch)
}

func lookupAgent(context.Context) (guests.TinyGuest, error) { return guests.LookupTinyWithAgent() }

func lookupDebian(context.Context) (guests.DebianGuest, error) { return guests.LookupDebian() }

// getters are the two ways to a guest: building it, or only looking.
type getters struct {
	tiny   func(context.Context, string) (guests.TinyGuest, error)
	agent  func(context.Context) (guests.TinyGuest, error)
	debian func(context.Context) (guests.DebianGuest, error)
	arches []string
}

// selecting is a command that takes the kind of guest and gets it.
func selecting(name, short string, g getters) *cobra.Command {
	cmd := &cobra.Command{
		Use:       name + " tiny|agent|debian|all",
		Short:     short,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"tiny", "agent", "debian", "all"},
		RunE:      func(cmd *cobra.Command, args []string) error { return g.run(cmd, args[0]) },
	}
	cmd.Flags().StringSliceVar(&g.arches, "arch", guests.Arches(), "architectures of tiny guests")
	return cmd
}

// run gets guests of a kind. One that fails does not keep the others from being got.
func (g getters) run(cmd *cobra.Command, kind string) error {
	var failures []error
	if kind == "tiny" || kind == "all" {
		for _, arch := range g.arches {
			failures = append(failures, g.runTiny(cmd, arch))
		}
	}
	if kind == "agent" || kind == "all" {
		failures = append(failures, g.runAgent(cmd))
	}
	if kind == "debian" || kind == "all" {
		failures = append(failures, g.runDebian(cmd))
	}
	return errors.Join(failures...)
}

func (g getters) runTiny(cmd *cobra.Command, arch string) error {
	start := time.Now()
	guest, err := g.tiny(cmd.Context(), arch)
	return printTiny(cmd, "tiny-"+arch, start, guest, err)
}

func (g getters) runAgent(cmd *cobra.Command) error {
	start := time.Now()
	guest, err := g.agent(cmd.Context())
	return printTiny(cmd, "agent", start, guest, err)
}

func printTiny(cmd *cobra.Command, name string, start time.Time, guest guests.TinyGuest, err error) error {
	if err != nil {
		return err
	}
	cmd.Printf("%s kernel=%s efi-kernel=%s initrd=%s append=%q\n",
		name, guest.Kernel, guest.EFIKernel, guest.Initrd, guest.Append)
	note(cmd, start, guest.Missing)
	return nil
}

func (g getters) runDebian(cmd *cobra.Command) error {
	start := time.Now()
	guest, err := g.debian(cmd.Context())
	if err != nil {
		return err
	}
	cmd.Printf("debian disk=%s user=%s password=%s\n", guest.Path, guest.User, guest.Password)
	note(cmd, start, nil)
	return nil
}

// note says on the error output how long it took, if it did, and what a guest lacks.
func note(cmd *cobra.Command, start time.Time, missing []string) {
	if took := time.Since(start); took > time.Second {
		cmd.PrintErrf("built in %.0f s\n", took.Seconds())
		if len(missing) > 0 {
			cmd.PrintErrf("modules this kernel has not: %v\n", missing)
		}
	}
}

func packagesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "packages",
		Short: "Print the packages that building needs; the names are Debian's and Ubuntu's alike",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			for _, name := range guests.HostPackages() {
				cmd.Println(name)
			}
		},
	}
}
