package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"github.com/panalvm/panal/disk"
)

// buffered is for output of many lines; flush writes what is left.
func buffered(to io.Writer) (out *bufio.Writer, flush func()) {
	out = bufio.NewWriterSize(to, 64<<10)
	return out, func() { _ = out.Flush() }
}

// writeLine writes an object on a line of its own.
func writeLine(to io.Writer, value any) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// printLayer writes one line of a map.
func printLayer(to io.Writer, l disk.Layer, asJSON bool) error {
	placed := l.State == disk.Data && l.File != nil && !l.Compressed
	if asJSON {
		e := extentJSON{Start: l.Off, Length: l.Len, State: l.State.String(), Depth: l.Depth, Compressed: l.Compressed}
		if placed {
			e.Offset = &l.HostOff
		}
		return writeLine(to, e)
	}
	where := "-"
	if placed {
		where = fmt.Sprintf("%#x", l.HostOff)
	}
	if l.Compressed {
		where = "compressed"
	}
	_, err := fmt.Fprintf(to, "%#-18x  %#-18x  %-11s  %5d  %s\n", l.Off, l.Len, l.State, l.Depth, where)
	return err
}
