package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/panalvm/panal/client"
)

// converse lets a script speak to a serial line: standard input is typed, what
// the line prints is written, until --until, --idle, --timeout, the machine's
// end or the context's.
func (a *app) converse(ctx context.Context, console *client.Console, f consoleFlags) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	typed, printed := make(chan error, 1), make(chan chunk)
	if !isTerminal(a.in) {
		go func() { typed <- typeLines(console, a.in, f.raw) }()
	}
	go readChunks(ctx, console, printed)
	wanted := finder{text: []byte(f.until)}
	tooLate, silent := timer(f.timeout), (<-chan time.Time)(nil)
	inputEnded := false
	for {
		select {
		case part := <-printed:
			if part.err != nil {
				return f.atEnd(part.err)
			}
			if _, err := a.out.Write(part.data); err != nil {
				return err
			}
			if wanted.find(part.data) {
				return nil
			}
			if inputEnded {
				silent = f.silence()
			}
		case err := <-typed:
			if err != nil {
				return err
			}
			inputEnded, typed, silent = true, nil, f.silence()
		case <-silent:
			return nil
		case <-tooLate:
			return fmt.Errorf("%q was not printed within %s", f.until, f.timeout)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// silence is when there was nothing printed for long enough to leave. With
// --until, silence means nothing.
func (f consoleFlags) silence() <-chan time.Time {
	if f.until != "" {
		return nil
	}
	return timer(f.idle)
}

// atEnd is what the console's end means.
func (f consoleFlags) atEnd(err error) error {
	if err != io.EOF {
		return err
	}
	if f.until != "" {
		return fmt.Errorf("the machine ended before it printed %q", f.until)
	}
	return nil
}

// timer fires after a time; never for 0.
func timer(d time.Duration) <-chan time.Time {
	if d <= 0 {
		return nil
	}
	return time.After(d)
}

// chunk is something that was printed, or why nothing more will be.
type chunk struct {
	data []byte
	err  error
}

// readChunks hands over what is printed.
func readChunks(ctx context.Context, from io.Reader, to chan<- chunk) {
	for {
		buffer := make([]byte, 16<<10)
		n, err := from.Read(buffer)
		for _, part := range []chunk{{data: buffer[:n]}, {err: err}} {
			if len(part.data) == 0 && part.err == nil {
				continue
			}
			select {
			case to <- part:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// typeLines types a text. A line's end is the Enter key, which sends CR, unless
// the text is to be typed as it is.
func typeLines(console io.Writer, from io.Reader, raw bool) error {
	buffer := make([]byte, 4<<10)
	for {
		n, err := from.Read(buffer)
		text := buffer[:n]
		if !raw {
			text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r"))
		}
		if _, err := console.Write(text); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
	}
}

// finder looks for a text in a stream that comes in parts.
type finder struct {
	text []byte
	tail []byte // the end of what came before, shorter than text
}

// find reports whether the text is there, with this part. An empty text is
// never there.
func (f *finder) find(part []byte) bool {
	if len(f.text) == 0 {
		return false
	}
	f.tail = append(f.tail, part...)
	if bytes.Contains(f.tail, f.text) {
		return true
	}
	keep := min(len(f.tail), len(f.text)-1)
	f.tail = append(f.tail[:0], f.tail[len(f.tail)-keep:]...)
	return false
}
