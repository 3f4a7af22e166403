package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

func (a *app) mediumCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "medium",
		Short: "The registry of disk, optical and floppy images",
		Long: `The registry of media: images that were added to it, and those that machines
use. A medium is named by its UUID, the beginning of that, or its path.`,
		Example: `  panal medium list
  panal medium create --size 20G /srv/images/data.qcow2
  panal medium set /srv/images/data.qcow2 size=40G`,
		Args: a.noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, sub := range []*cobra.Command{
		a.mediumListCommand(), a.mediumTreeCommand(), a.mediumShowCommand(), a.mediumCreateCommand(), a.mediumCopyCommand("copy"),
		a.mediumCopyCommand("import"), a.mediumAddCommand(), a.mediumSetCommand(), a.mediumMoveCommand(), a.mediumCompactCommand(), a.mediumPassphraseCommand(), a.mediumReleaseCommand(),
		a.mediumRemoveCommand(), a.mediumPruneCommand(),
	} {
		sub.DisableFlagsInUseLine = true
		c.AddCommand(sub)
	}
	return c
}

// mediumRef is what names a medium in a request: the URL of one that is served; a path, or the name of a file that
// is here, is made absolute.
func mediumRef(text string) (string, error) {
	if strings.Contains(text, "://") {
		return text, nil // what another program serves
	}
	if _, err := os.Lstat(text); err == nil || strings.Trim(strings.ToLower(text), "0123456789abcdef-") != "" {
		return absolute(text) // also of a file that is known and gone
	}
	return text, nil
}

// completeMedium offers the media's paths.
func (a *app) completeMedium(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	var paths []string
	a.ask(cmd, func(ctx context.Context, c *client.Client) {
		list, err := c.Media(ctx)
		if err != nil || len(args) > 0 {
			return
		}
		for _, m := range list.Media {
			for _, name := range []string{m.UUID, m.Location} {
				if begin != "" && strings.HasPrefix(name, begin) || begin == "" && name == m.Location {
					paths = append(paths, cobra.CompletionWithDesc(name, m.Format))
				}
			}
		}
	})
	return paths, cobra.ShellCompDirectiveDefault
}

func (a *app) mediumListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the media, by their locations", Args: cobra.NoArgs, Example: "  panal medium list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := a.media(cmd.Context())
			if err != nil {
				return failed("list", "media", err)
			}
			switch {
			case a.json:
				return a.printJSON(list)
			case a.quiet:
				for _, m := range list.Media {
					fmt.Fprintln(a.out, m.UUID)
				}
				return nil
			}
			var rows []table.Row
			for _, m := range list.Media {
				rows = append(rows, table.Row{m.UUID[:8], m.Kind, formatOf(m), m.Size, m.Actual, usedBy(m), located(m)})
			}
			a.printTable(table.Row{"UUID", "KIND", "FORMAT", "SIZE", "ACTUAL", "USED BY", "LOCATION"}, rows)
			return nil
		},
	}
}

func (a *app) media(ctx context.Context) (api.MediumList, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return api.MediumList{}, err
	}
	return c.Media(ctx)
}

// usedBy names the machines that use a medium.
func usedBy(m api.Medium) string {
	var names []string
	for _, user := range m.Users {
		if len(names) == 0 || names[len(names)-1] != user.Name {
			names = append(names, user.Name)
		}
	}
	if len(names) > 3 {
		names = append(names[:3], fmt.Sprintf("and %d more", len(names)-3))
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}

// formatOf is a medium's format, and that it is encrypted.
func formatOf(m api.Medium) string {
	if m.Encrypted {
		return m.Format + ", encrypted"
	}
	return m.Format
}

func located(m api.Medium) string {
	if m.Problem != "" {
		return m.Location + " (inaccessible: " + m.Problem + ")"
	}
	return m.Location
}

func (a *app) mediumTreeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "tree", Short: "Show which media are differences to which", Args: cobra.NoArgs, Example: "  panal medium tree",
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := a.media(cmd.Context())
			if err != nil {
				return failed("tree", "media", err)
			}
			if a.json {
				return a.printJSON(list)
			}
			by := map[string]api.Medium{}
			for _, m := range list.Media {
				by[m.UUID] = m
			}
			for _, m := range list.Media {
				if m.Parent == "" {
					a.branch(m, by, "")
				}
			}
			return nil
		},
	}
}

// branch prints a medium, and below it those that are differences to it.
func (a *app) branch(m api.Medium, by map[string]api.Medium, indent string) {
	fmt.Fprintf(a.out, "%s%s  %s, %v, %s\n", indent, located(m), formatOf(m), m.Size, usedBy(m))
	if len(indent) > 200 {
		return // no chain of images is as long as that
	}
	for _, child := range m.Children {
		a.branch(by[child], by, indent+"  ")
	}
}

func (a *app) mediumShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show MEDIUM", Short: "Show a medium", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeMedium,
		Example: "  panal medium show /srv/images/data.qcow2",
		RunE: a.mediumWork("show", "", func(ctx context.Context, c *client.Client, ref string) (api.Medium, error) {
			return c.Medium(ctx, ref)
		}),
	}
}

// mediumWork is what most commands on a medium do: it says done, or shows the
// medium where that is empty.
func (a *app) mediumWork(verb, done string, work func(context.Context, *client.Client, string) (api.Medium, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ref, err := mediumRef(args[0])
		if err != nil {
			return err
		}
		c, err := a.connect(cmd.Context())
		if err != nil {
			return failed(verb, args[0], err)
		}
		m, err := work(cmd.Context(), c, ref)
		if err != nil {
			return failed(verb, args[0], err)
		}
		return a.printMedium(m, done)
	}
}

// printMedium says what was done with a medium, or shows it.
func (a *app) printMedium(m api.Medium, done string) error {
	switch {
	case a.json:
		return a.printJSON(m)
	case a.quiet:
		fmt.Fprintln(a.out, m.UUID)
		return nil
	case done != "":
		a.say("%s: %s (%s)", m.Location, done, m.UUID)
		return nil
	}
	fmt.Fprintf(a.out, "%s\n  UUID         %s\n  kind         %s\n  format       %s\n  size         %v, %v on disk\n", m.Location, m.UUID, m.Kind, formatOf(m), m.Size, m.Actual)
	for _, line := range [][2]string{{"problem", m.Problem}, {"description", m.Description}, {"owner", m.Owner}, {"parent", m.Parent}, {"children", strings.Join(m.Children, " ")}} {
		if line[1] != "" {
			fmt.Fprintf(a.out, "  %-12s %s\n", line[0], line[1])
		}
	}
	for _, user := range m.Users {
		how := "attached"
		if user.Base {
			how = "stands on it"
		}
		if user.Held != "" {
			how = "in snapshot " + user.Held
		}
		fmt.Fprintf(a.out, "  used by      %s, drive %s: %s; the machine is %s\n", user.Name, user.Drive, how, user.State)
	}
	return nil
}
