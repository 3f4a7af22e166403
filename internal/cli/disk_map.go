package cli

import (
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/diskfile"
)

// extentJSON is an extent as --json writes it: a line each, because there may
// be millions.
type extentJSON struct {
	Start      int64  `json:"start"`
	Length     int64  `json:"length"`
	State      string `json:"state"`
	Depth      int    `json:"depth"`
	Offset     *int64 `json:"offset,omitempty"`
	Compressed bool   `json:"compressed,omitempty"`
}

func (a *app) diskMapCommand() *cobra.Command {
	var f diskFlags
	var alone bool
	c := &cobra.Command{
		Use:   "map FILE",
		Short: "List which ranges of a disk hold data, and in which image of its chain",
		Long: `List the ranges of a disk: data, zero, or unallocated, which reads as zero too.
DEPTH tells which image holds it: 0 the image itself, 1 its parent, and so on.
OFFSET is where the data lies in that image's file, if it lies there as it is.
With --json, each line is an object.`,
		Example: "  panal disk map web.vmdk",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			img, err := a.place(cmd.Context(), f).Open(args[0], diskfile.OpenOptions{Format: f.format, Alone: alone, Unlocked: true})
			if err != nil {
				return diskFailed("map", args[0], err)
			}
			defer img.Close()
			return diskFailed("map", args[0], a.printMap(disk.Layers(cmd.Context(), img)))
		},
	}
	f.register(c)
	c.Flags().BoolVar(&alone, "alone", false, "only what the image itself holds")
	return c
}

func (a *app) printMap(layers iter.Seq2[disk.Layer, error]) error {
	out, flush := buffered(a.out)
	defer flush()
	if !a.json {
		fmt.Fprintf(out, "%-18s  %-18s  %-11s  %5s  %s\n", "START", "LENGTH", "STATE", "DEPTH", "OFFSET")
	}
	for l, err := range layers {
		if err == nil {
			err = printLayer(out, l, a.json)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *app) diskDumpCommand() *cobra.Command {
	var f diskFlags
	c := &cobra.Command{
		Use:   "dump FILE",
		Short: "Show an image's headers and tables, annotated, offset by offset",
		Long: `Show every field of an image's headers, and its tables in short: where it lies in
which file, how long it is, its name, its value, and what that means. With
--json, each line is an object.`,
		Example: "  panal disk dump web.vhd",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			img, err := a.place(cmd.Context(), f).Open(args[0], diskfile.OpenOptions{Format: f.format, Alone: true, Unlocked: true})
			if err != nil {
				return diskFailed("dump", args[0], err)
			}
			defer img.Close()
			return diskFailed("dump", args[0], a.printFields(disk.Dump(cmd.Context(), img)))
		},
	}
	f.register(c)
	return c
}

func (a *app) printFields(fields iter.Seq2[disk.Field, error]) error {
	out, flush := buffered(a.out)
	defer flush()
	part := ""
	for field, err := range fields {
		if err != nil {
			return err
		}
		if a.json {
			if err := writeLine(out, field); err != nil {
				return err
			}
			continue
		}
		if title := field.File + "\x00" + field.Part; title != part {
			part = title
			fmt.Fprintf(out, "%s\n", printable(partTitle(field)))
		}
		note := ""
		if field.Note != "" {
			note = "  " + printable(field.Note)
		}
		fmt.Fprintf(out, "  %#012x  %6d  %-28s  %s%s\n", field.Offset, field.Len, printable(field.Name), printable(field.Value), note)
	}
	return nil
}

func partTitle(f disk.Field) string {
	if f.File != "" {
		return f.File + ": " + f.Part
	}
	return f.Part
}
