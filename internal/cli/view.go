package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/client"
)

func (a *app) screenshotCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "screenshot NAME FILE.png",
		Short: "Take a picture of a machine's display",
		Long: `Take a picture of a running machine's display, as PNG. An existing file is
replaced at once and whole; - writes to standard output.`,
		Example: "  panal screenshot web web.png",
		Args:    cobra.ExactArgs(2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return []string{"png"}, cobra.ShellCompDirectiveFilterFileExt
			}
			return a.completeMachine(cmd, args, begin)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return failed("screenshot", args[0], err)
			}
			picture, err := c.Screenshot(cmd.Context(), args[0])
			if err != nil {
				return failed("screenshot", args[0], err)
			}
			if args[1] == "-" {
				_, err = a.out.Write(picture)
				return err
			}
			if err := writeWhole(args[1], picture); err != nil {
				return failed("screenshot", args[0], err)
			}
			a.say("%s: %s", args[0], args[1])
			return nil
		},
	}
}

// writeWhole writes a file so that its name never stands for half of it.
func writeWhole(path string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // nothing is left there when it was renamed
	_, err = temporary.Write(data)
	if err == nil {
		err = temporary.Chmod(0o644)
	}
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	return err
}

func (a *app) logCommand() *cobra.Command {
	var serial string
	var lines int
	c := &cobra.Command{
		Use:   "log NAME",
		Short: "Print a machine's log: QEMU's, or what a serial line printed",
		Long: `Print QEMU's log, or with --serial everything that is kept of what the guest
printed on a serial line, also of a machine that is off. To follow a serial
line, use "panal console".`,
		Example: `  panal log web
  panal log web --serial serial0 --tail 20`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeMachine,
	}
	c.Flags().StringVar(&serial, "serial", "", "a serial line's name, or images for what the image server said; without it, QEMU's log")
	c.Flags().IntVar(&lines, "tail", 0, "only so many lines from the end; 0 for all")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if lines < 0 {
			return usageError{"--tail must be 0 or more"}
		}
		c, err := a.connect(cmd.Context())
		if err != nil {
			return failed("log", args[0], err)
		}
		if lines == 0 {
			err = copyLog(cmd.Context(), c, args[0], serial, a.out)
		} else {
			err = tailLog(cmd.Context(), c, args[0], serial, lines, a.out)
		}
		return failed("log", args[0], err)
	}
	return c
}

// copyLog writes a whole log.
func copyLog(ctx context.Context, c *client.Client, name, serial string, to io.Writer) error {
	log, err := c.Log(ctx, name, client.LogOptions{Name: serial})
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = io.Copy(to, log)
	return err
}

// tailLog writes a log's last lines. The daemon counts bytes: ask for enough of
// them, and for more while they do not hold so many lines.
func tailLog(ctx context.Context, c *client.Client, name, serial string, lines int, to io.Writer) error {
	const usual = 160 // bytes of a line
	for size := max(int64(lines)*usual, 16<<10); ; size *= 8 {
		log, err := c.Log(ctx, name, client.LogOptions{Name: serial, Tail: size})
		if err != nil {
			return err
		}
		data, err := io.ReadAll(log)
		log.Close()
		if err != nil {
			return err
		}
		tail, enough := lastLines(data, lines)
		if enough || int64(len(data)) < size {
			_, err = to.Write(tail)
			return err
		}
	}
}

// lastLines are the last lines of a text, and whether the text holds as many
// whole ones.
func lastLines(data []byte, lines int) ([]byte, bool) {
	end := len(data)
	if end > 0 && data[end-1] == '\n' {
		end--
	}
	for ; lines > 0; lines-- {
		at := bytes.LastIndexByte(data[:end], '\n')
		if at < 0 {
			return data, false
		}
		end = at
	}
	return data[end+1:], true
}
