package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/diskfile"
)

// errFound is the exit code of a check that found something; it has been told.
type errFound struct{ what string }

// Error says what was found.
func (e errFound) Error() string { return e.what }

func (a *app) diskCheckCommand() *cobra.Command {
	var f diskFlags
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "Look through an image's own tables for what is wrong",
		Long: `Look through an image's headers, tables, checksums and log, and whether its
parent is the one that it was made for, and change nothing.

Exit codes: 0 nothing is wrong, though there may be notes; 1 something was found:
damage, or space that nothing uses; 2 it could not be checked, as with raw, which
has nothing to check; 3 it was not found; 4 it is in use.`,
		Example: "  panal disk check web.qcow2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := a.check(cmd.Context(), args[0], f)
			if errors.Is(err, errors.ErrUnsupported) {
				return troubled{diskFailed("check", args[0], err)}
			}
			if err != nil {
				return diskFailed("check", args[0], err)
			}
			if err := a.printReport(report); err != nil {
				return err
			}
			if worst, any := report.Worst(); any && worst > disk.Note {
				return diskFailed("check", args[0], errFound{summary(report)})
			}
			a.say("%s: nothing is wrong; %s", args[0], plural(report.Allocated, "block"))
			return nil
		},
	}
	f.register(c)
	return c
}

// check looks through an image, and then at its parent.
func (a *app) check(ctx context.Context, name string, f diskFlags) (disk.Report, error) {
	place := a.place(ctx, f)
	img, err := place.Open(name, diskfile.OpenOptions{Format: f.format, Alone: true})
	if err != nil {
		return disk.Report{}, err
	}
	defer img.Close()
	report, err := disk.Check(ctx, img)
	if err != nil || disk.Describe(img).Parent == nil || name == "-" {
		return report, err
	}
	whole, err := place.Open(name, diskfile.OpenOptions{Format: f.format})
	if err != nil {
		report.Add(disk.Finding{Severity: severityOfParent(err), Offset: -1, Reason: "with its parents it cannot be opened: " + oneLine(err)})
		return report, nil
	}
	for _, w := range disk.Describe(whole).Warnings {
		report.Add(disk.Finding{Severity: disk.Damage, Offset: -1, Reason: w})
	}
	return report, whole.Close()
}

// severityOfParent is how bad it is that an image cannot be opened with its
// parents: a parent that is elsewhere or in use is no damage, another one is.
func severityOfParent(err error) disk.Severity {
	_, busy := errors.AsType[*hostfs.Busy](err)
	elsewhere := errors.Is(err, disk.ErrNoParent) || errors.Is(err, disk.ErrOutside) || errors.Is(err, fs.ErrNotExist)
	if busy || elsewhere && !errors.Is(err, disk.ErrWrongParent) {
		return disk.Note
	}
	return disk.Damage
}

func (a *app) diskRepairCommand() *cobra.Command {
	var f diskFlags
	var yes bool
	c := &cobra.Command{
		Use:   "repair FILE [--yes]",
		Short: "Mend what a check finds",
		Long: `Mend what a check finds. Without --yes only what would be done is told. Make a
copy of an image that matters before.`,
		Example: `  panal disk repair web.qcow2
  panal disk repair web.qcow2 --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			img, err := a.place(cmd.Context(), f).Open(args[0], diskfile.OpenOptions{Format: f.format, Alone: true, Write: yes})
			if err != nil {
				return diskFailed("repair", args[0], err)
			}
			err = a.repair(cmd.Context(), args[0], img, yes)
			if closeErr := img.Close(); err == nil {
				err = closeErr
			}
			return diskFailed("repair", args[0], err)
		},
	}
	f.register(c)
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do it")
	return c
}

// repair tells what would be mended, or mends it.
func (a *app) repair(ctx context.Context, name string, img disk.Image, yes bool) error {
	before, err := disk.Check(ctx, img)
	if err != nil {
		return err
	}
	mendable := remedies(before)
	if !yes || mendable == 0 {
		if err := a.printReport(before); err != nil {
			return err
		}
		worst, any := before.Worst()
		switch {
		case mendable > 0:
			return errFound{fmt.Sprintf("%s could be mended; do it with --yes", plural(int64(mendable), "thing"))}
		case any && worst > disk.Note:
			return errFound{"nothing of that can be mended"}
		}
		a.say("%s: there is nothing to mend", name)
		return nil
	}
	mended, err := disk.Repair(ctx, img)
	if err != nil {
		return err
	}
	if err := a.printReport(mended); err != nil {
		return err
	}
	after, err := disk.Check(ctx, img)
	if err != nil {
		return err
	}
	if worst, any := after.Worst(); any && worst > disk.Note {
		text := "mended in part: " + summary(after) + " is left"
		if n := remedies(after); n > 0 {
			text += fmt.Sprintf("; repair it again to mend %s of that", plural(int64(n), "thing"))
		}
		return errFound{text}
	}
	a.say("%s: mended", name)
	return nil
}

// remedies counts what a repair would mend.
func remedies(r disk.Report) (n int) {
	for _, f := range r.Findings {
		if f.Remedy != "" {
			n++
		}
	}
	return n
}

func (a *app) printReport(r disk.Report) error {
	if a.json {
		if r.Findings == nil {
			r.Findings = []disk.Finding{}
		}
		return a.printJSON(r)
	}
	if len(r.Findings) == 0 {
		return nil
	}
	rows := make([]table.Row, len(r.Findings))
	for i, f := range r.Findings {
		where := "-"
		if f.Offset >= 0 {
			where = fmt.Sprintf("%#x", f.Offset)
		}
		if f.File != "" {
			where = printable(f.File) + " " + where
		}
		rows[i] = table.Row{f.Severity.String(), where, printable(f.Reason), orDash(printable(f.Remedy))}
	}
	a.printTable(table.Row{"WHAT", "WHERE", "WHY", "REMEDY"}, rows)
	if r.More > 0 {
		a.note("and %d more", r.More)
	}
	return nil
}

// summary is what a report found, in a few words.
func summary(r disk.Report) string {
	damaged, leaked := 0, 0
	for _, f := range r.Findings {
		switch f.Severity {
		case disk.Damage:
			damaged++
		case disk.Leak:
			leaked++
		case disk.Note:
		}
	}
	var parts []string
	if damaged > 0 {
		parts = append(parts, plural(int64(damaged), "case")+" of damage")
	}
	if leaked > 0 {
		parts = append(parts, plural(int64(leaked), "leak"))
	}
	text := strings.Join(parts, ", ")
	if r.More > 0 {
		text += fmt.Sprintf(", and %d more", r.More)
	}
	return text
}

func (a *app) diskCompareCommand() *cobra.Command {
	var f diskFlags
	var second string
	var strict bool
	c := &cobra.Command{
		Use:   "compare A B",
		Short: "Tell whether two images of any formats have the same content",
		Long: `Tell whether guests would read the same in two images. Where one is longer, its
rest counts as the same when it is zero, unless --strict.

Exit codes: 0 the same, 1 different, 2 they could not be compared, 3 one was not
found, 4 one is in use.`,
		Example: "  panal disk compare web.vmdk web.qcow2",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := a.compare(cmd.Context(), args, f, second)
			if err != nil {
				if _, ok := errors.AsType[usageError](err); ok {
					return err
				}
				return troubled{diskFailed("compare", args[0]+" with "+args[1], err)}
			}
			return a.tellDifference(args, found, strict)
		},
	}
	f.register(c)
	f.keys.content = true
	c.Flags().StringVarP(&second, "second-format", "F", "", "the format of B; without it, the content tells")
	c.Flags().BoolVar(&strict, "strict", false, "the sizes must be the same too")
	return c
}

func (a *app) compare(ctx context.Context, names []string, f diskFlags, second string) (disk.Difference, error) {
	if names[0] == "-" && names[1] == "-" {
		return disk.Difference{}, usageError{"only one of the images can be standard input"}
	}
	place := a.place(ctx, f)
	one, err := place.Open(names[0], diskfile.OpenOptions{Format: f.format})
	if err != nil {
		return disk.Difference{}, err
	}
	defer one.Close()
	two, err := place.Open(names[1], diskfile.OpenOptions{Format: second})
	if err != nil {
		return disk.Difference{}, err
	}
	defer two.Close()
	progress, ended := a.progressOn("compare", names[0])
	defer ended()
	return disk.Compare(ctx, one, two, disk.CopyOptions{Progress: progress})
}

// differenceJSON is a comparison as --json writes it.
type differenceJSON struct {
	Same   bool   `json:"same"`
	Offset *int64 `json:"offset,omitempty"` // of the first byte that differs
	Longer int64  `json:"longer,omitempty"` // how many bytes A is longer than B; negative if B is
}

func (a *app) tellDifference(names []string, d disk.Difference, strict bool) error {
	if a.json {
		j := differenceJSON{Same: d.Same && (!strict || d.Longer == 0), Longer: d.Longer}
		if !d.Same {
			j.Offset = &d.Offset
		}
		if err := a.printJSON(j); err != nil {
			return err
		}
	}
	longer := ""
	switch {
	case d.Longer > 0:
		longer = fmt.Sprintf("%s is %d bytes longer", names[0], d.Longer)
	case d.Longer < 0:
		longer = fmt.Sprintf("%s is %d bytes longer", names[1], -d.Longer)
	}
	switch {
	case !d.Same:
		return errFound{fmt.Sprintf("%s and %s differ, first at offset %d (%#x)", names[0], names[1], d.Offset, d.Offset)}
	case strict && longer != "":
		return errFound{fmt.Sprintf("%s and %s differ: %s", names[0], names[1], longer)}
	case longer != "":
		a.say("The content is the same; %s, by zeros.", longer)
	default:
		a.say("The content is the same.")
	}
	return nil
}

// troubled is an error of a comparison or a check: its exit code must differ
// from that of a difference or a finding.
type troubled struct{ error }

// Unwrap is the error itself.
func (t troubled) Unwrap() error { return t.error }
