package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"github.com/panalvm/panal/api"
)

// isTerminal reports whether a person sees what is written to the file.
func isTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }

// colours reports whether colours are welcome on standard output.
func (a *app) colours() bool {
	return isTerminal(a.out) && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
}

// printJSON writes an object of the interface.
func (a *app) printJSON(value any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// printTable writes rows below a heading, with nothing but space between the
// columns, so that programs such as awk can read them too.
func (a *app) printTable(heading table.Row, rows []table.Row) {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatDefault
	if a.colours() {
		style.Color.Header = text.Colors{text.Bold}
	}
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.AppendHeader(heading)
	t.AppendRows(rows)
	fmt.Fprintln(a.out, t.Render())
}

// stateText is a machine's state in its colour.
func (a *app) stateText(state api.State) string {
	if !a.colours() {
		return string(state)
	}
	colour := text.FgYellow
	switch state {
	case api.StateRunning:
		colour = text.FgGreen
	case api.StateOff, api.StateSaved:
		colour = text.FgHiBlack
	}
	return colour.Sprint(string(state))
}

// span is a length of time for people: its largest unit, rounded down.
func span(d time.Duration) string {
	units := []struct {
		name string
		size time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}}
	for _, unit := range units {
		if n := int64(d / unit.size); n > 0 {
			return plural(n, unit.name)
		}
	}
	return "moments"
}

// plural is a count of things.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// ago is when something happened, for people.
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(time.Since(t)) + " ago"
}

// human is a number of bytes with three digits at most: 1.5G, 512M, 20G.
func human(bytes int64) string {
	value, unit := float64(bytes), 0
	const units = "BKMGTPE"
	for value >= 1000 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%dB", bytes)
	}
	number := fmt.Sprintf("%.1f", value)
	if value >= 100 || strings.HasSuffix(number, ".0") {
		number = fmt.Sprintf("%.0f", value)
	}
	return number + units[unit:unit+1]
}

// orDash is a value, or a dash where there is none.
func orDash(value string) string {
	if value == "" {
		return "-"
	}
	return value
}

// yesNo is a flag for people.
func yesNo(flag bool) string {
	if flag {
		return "yes"
	}
	return "no"
}

// printable is text of unknown origin without the control characters that a
// terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' '
		}
		return r
	}, text)
}
