package cli

import (
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

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
			_, err := fmt.Fprint(a.out, a.versionLine())
			return err
		},
	}
}

// versionLine is what this program is.
func (a *app) versionLine() string {
	return fmt.Sprintf("panal %s (%s, %s/%s)\n", a.hooks.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
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
