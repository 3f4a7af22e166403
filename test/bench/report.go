package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// report is the table that is printed in the end.
type report struct {
	rows []table.Row
	live io.Writer // gets each line at once too, if not nil
}

// row is one line of it. What is empty has no such thing.
type row struct {
	work, ours, peer, compared string
	goal                       string
	met                        bool // counts where there is a goal
}

func (r *report) add(line row) {
	if line.goal != "" {
		line.goal += map[bool]string{true: ": met", false: ": MISSED"}[line.met]
	}
	r.rows = append(r.rows, table.Row{line.work, line.ours, line.peer, line.compared, line.goal})
	if r.live != nil {
		fmt.Fprintln(r.live, strings.Join([]string{line.work, line.ours, line.peer, line.compared, line.goal}, " | "))
	}
}

// compare adds a line of two medians, without a goal.
func (r *report) compare(work, peer string, ours, theirs samples) {
	r.add(row{work: work, ours: milliseconds(ours.median()), peer: peer + " " + milliseconds(theirs.median()), compared: ratio(ours, theirs)})
}

// slowest adds a line whose goal is for the 99th of a hundred.
func (r *report) slowest(work string, ours samples, goal time.Duration) {
	p99 := ours.quantile(0.99)
	r.add(row{
		work: work, ours: milliseconds(ours.median()) + ", p99 " + milliseconds(p99),
		goal: "p99 < " + milliseconds(goal), met: p99 < goal,
	})
}

func (r *report) print(to io.Writer) error {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Format.Header = text.FormatDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.AppendHeader(table.Row{"work", "ours", "peer", "compared", "goal"})
	t.AppendRows(r.rows)
	_, err := fmt.Fprintln(to, t.Render())
	return err
}

func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms > -10 && ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func ratio(ours, theirs samples) string {
	if theirs.median() == 0 {
		return ""
	}
	return fmt.Sprintf("× %.2f", float64(ours.median())/float64(theirs.median()))
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }
