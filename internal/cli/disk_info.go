package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/internal/diskfile"
)

func (a *app) diskInfoCommand() *cobra.Command {
	var f diskFlags
	var chain bool
	c := &cobra.Command{
		Use:   "info FILE",
		Short: "Show what an image is: format, sizes, parents, snapshots, state",
		Long: `Show what an image says of itself. With --chain its parents follow, which must be
there; without, they need not. An image in use by a running machine can be
looked at too.`,
		Example: "  panal disk info --chain web.vmdk",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options := diskfile.OpenOptions{Format: f.format, Alone: !chain, Unlocked: true}
			links, err := a.place(cmd.Context(), f).Chain(args[0], options)
			if printErr := a.printLinks(links, chain); printErr != nil {
				return printErr
			}
			return diskFailed("info", args[0], err)
		},
	}
	f.register(c)
	c.Flags().BoolVar(&chain, "chain", false, "show its parents too")
	return c
}

// imageJSON is an image as --json writes it.
type imageJSON struct {
	Name string `json:"name"`
	disk.Info
}

func (a *app) printLinks(links []diskfile.Link, chain bool) error {
	if len(links) == 0 {
		return nil
	}
	if a.json {
		all := make([]imageJSON, len(links))
		for i, l := range links {
			all[i] = imageJSON{l.Name, l.Info}
		}
		if chain {
			return a.printJSON(all)
		}
		return a.printJSON(all[0])
	}
	for i, l := range links {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		a.printImage(printable(l.Name), l.Info)
	}
	return nil
}

// printImage writes a page about an image.
func (a *app) printImage(name string, i disk.Info) {
	a.heading(name)
	a.facts([]fact{
		{"format", formatText(i)},
		{"size", exactBytes(i.Size)},
		{"on the host", exactBytes(i.Allocated)},
		{"block size", sizeOrNothing(i.BlockSize)},
		{"sectors", sectorText(i)},
		{"uuid", i.UUID},
		{"modification", i.Modified},
		{"parent", linkText(i.Parent)},
		{"geometry", geometryText(i.Geometry)},
		{"creator", printable(i.Creator)},
		{"created", timeText(i.Created)},
		{"comment", printable(i.Comment)},
		{"files", printable(strings.Join(i.Files, ", "))},
		{"state", imageState(i)},
		{"warning", printable(strings.Join(i.Warnings, "; "))},
	})
	if len(i.Details) > 0 {
		facts := make([]fact, len(i.Details))
		for at, d := range i.Details {
			facts[at] = fact{d.Name, printable(d.Value)}
		}
		a.heading("Details")
		a.facts(facts)
	}
	if len(i.Snapshots) > 0 {
		a.heading("Snapshots")
		a.printDiskSnapshots(i.Snapshots)
	}
}

func (a *app) printDiskSnapshots(snapshots []disk.Snapshot) {
	rows := make([]table.Row, len(snapshots))
	for i, s := range snapshots {
		name := printable(s.Name)
		if s.Current {
			name += " (current)"
		}
		rows[i] = table.Row{printable(s.ID), name, orDash(printable(s.Parent)), orDash(timeText(s.Created)), human(s.Memory)}
	}
	a.printTable(table.Row{"ID", "NAME", "PARENT", "CREATED", "MEMORY"}, rows)
}

func formatText(i disk.Info) string {
	text := i.Format
	if i.Variant != "" {
		text += ":" + i.Variant
	}
	if i.Version != "" {
		text += ", version " + printable(i.Version)
	}
	if i.Compressed {
		text += ", compressed"
	}
	if i.Encrypted {
		text += ", encrypted"
	}
	switch {
	case i.Guessed && i.Variant == "iso":
		text += " (an optical disc)"
	case i.Guessed && i.Variant == "floppy":
		text += " (by its size, a floppy disk)"
	case i.Guessed:
		text += " (no signature was found)"
	}
	return text
}

func sizeOrNothing(n int64) string {
	if n == 0 {
		return ""
	}
	return human(n)
}

func sectorText(i disk.Info) string {
	if i.SectorSize == 0 {
		return ""
	}
	if i.Physical != 0 && i.Physical != i.SectorSize {
		return fmt.Sprintf("%d bytes, %d physical", i.SectorSize, i.Physical)
	}
	return fmt.Sprintf("%d bytes", i.SectorSize)
}

func linkText(l *disk.Link) string {
	if l == nil {
		return ""
	}
	text := printable(l.Name)
	if l.Format != "" {
		text += " (" + printable(l.Format) + ")"
	}
	if l.UUID != "" {
		text += " " + l.UUID
	}
	return strings.TrimSpace(text)
}

func geometryText(g *disk.Geometry) string {
	if g == nil {
		return ""
	}
	return fmt.Sprintf("%d cylinders, %d heads, %d sectors", g.Cylinders, g.Heads, g.Sectors)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func imageState(i disk.Info) string {
	switch {
	case i.Corrupt:
		return "marked as damaged"
	case i.Dirty:
		return "was not closed as it should be"
	}
	return ""
}

func (a *app) diskFormatsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "formats",
		Short: "List the formats and variants, what can be done with each, and their options",
		Long: `List all formats and variants: whether images of a kind can be made, written at
random places, written to a pipe, and have a parent; what other programs call
them; and which options -o takes.`,
		Example: "  panal disk formats",
		Args:    cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			if a.json {
				return a.printJSON(formatsJSON())
			}
			a.printFormats()
			return nil
		},
	}
}

func (a *app) printFormats() {
	var variants, options []table.Row
	for _, f := range formats.All() {
		for _, v := range f.Variants {
			variants = append(variants, table.Row{
				kindName(f.Name, v.Name), "yes", yesNo(v.Create), yesNo(v.Write), yesNo(v.Stream), yesNo(v.Parent),
				orDash(strings.Join(v.Aliases, ", ")), v.Title,
			})
		}
		for _, o := range f.Options {
			options = append(options, table.Row{f.Name, o.Name, optionValues(o), orDash(o.Default), orDash(strings.Join(o.Variants, ", ")), o.Help})
		}
	}
	a.printTable(table.Row{"FORMAT", "READ", "CREATE", "WRITE", "PIPE", "PARENT", "ALSO CALLED", "WHAT IT IS"}, variants)
	fmt.Fprintln(a.out)
	a.printTable(table.Row{"FORMAT", "OPTION", "VALUES", "DEFAULT", "ONLY FOR", "WHAT IT DOES"}, options)
}

// kindName is what people type for a variant.
func kindName(format, variant string) string {
	if variant == "" {
		return format
	}
	return format + ":" + variant
}

func optionValues(o disk.Option) string {
	switch o.Kind {
	case disk.Bytes:
		return "size"
	case disk.Number:
		return "number"
	case disk.Switch:
		return "on|off"
	case disk.Choice:
		return strings.Join(o.Choices, "|")
	case disk.Text:
	}
	return "text"
}

// formatJSON is a format as --json writes it.
type formatJSON struct {
	Name       string        `json:"name"`
	Aliases    []string      `json:"aliases"`
	Extensions []string      `json:"extensions"`
	Title      string        `json:"title"`
	Variants   []variantJSON `json:"variants"`
	Options    []optionJSON  `json:"options"`
}

type variantJSON struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
	Title   string   `json:"title"`
	Create  bool     `json:"create"`
	Write   bool     `json:"write"`
	Pipe    bool     `json:"pipe"`
	Parent  bool     `json:"parent"`
}

type optionJSON struct {
	Name     string   `json:"name"`
	Values   string   `json:"values"`
	Default  string   `json:"default,omitempty"`
	Variants []string `json:"variants,omitempty"`
	Help     string   `json:"help"`
}

func formatsJSON() []formatJSON {
	var all []formatJSON
	for _, f := range formats.All() {
		j := formatJSON{Name: f.Name, Aliases: f.Aliases, Extensions: f.Extensions, Title: f.Title}
		for _, v := range f.Variants {
			j.Variants = append(j.Variants, variantJSON{v.Name, v.Aliases, v.Title, v.Create, v.Write, v.Stream, v.Parent})
		}
		for _, o := range f.Options {
			j.Options = append(j.Options, optionJSON{o.Name, optionValues(o), o.Default, o.Variants, o.Help})
		}
		all = append(all, j)
	}
	return all
}
