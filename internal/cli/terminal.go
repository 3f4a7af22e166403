package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/term"

	"github.com/panalvm/panal/client"
)

// leaveKey is Ctrl-], as in telnet and virsh.
const leaveKey = 0x1d

// interact gives a person's terminal to a serial line until Ctrl-], the
// machine's end or the context's. The terminal is as before when it returns.
func (a *app) interact(ctx context.Context, name string, console *client.Console) error {
	a.note("Connected to %s. Ctrl-] leaves.", name)
	keyboard := int(a.in.Fd())
	before, err := term.MakeRaw(keyboard)
	if err != nil {
		return fmt.Errorf("make the terminal raw: %w", err)
	}
	restore := sync.OnceFunc(func() { _ = term.Restore(keyboard, before) })
	defer restore()
	stop := followWindow(a.out, console, restore)
	defer stop()
	typed, printed := make(chan error, 1), make(chan error, 1)
	go guarded(restore, func() { typed <- typeKeys(console, a.in) })
	go guarded(restore, func() {
		_, err := io.Copy(a.out, console)
		printed <- err
	})
	var ending string
	select {
	case err = <-typed:
		ending = "Left " + name + "."
	case err = <-printed:
		ending = name + " has ended."
	case <-ctx.Done():
		ending = "Left " + name + "."
	}
	restore()
	fmt.Fprintln(a.err)
	if err == nil || interrupted(err) {
		a.note("%s", ending)
		return nil
	}
	return err
}

// guarded runs part of a console beside the rest. A panic there would end the
// program without the deferred calls of interact: the terminal comes first.
func guarded(restore func(), run func()) {
	defer func() {
		if broken := recover(); broken != nil {
			restore()
			panic(broken)
		}
	}()
	run()
}

// typeKeys sends what is typed until Ctrl-].
func typeKeys(console io.Writer, keyboard io.Reader) error {
	buffer := make([]byte, 4<<10)
	for {
		n, err := keyboard.Read(buffer)
		keys, _, leave := bytes.Cut(buffer[:n], []byte{leaveKey})
		if len(keys) > 0 {
			if _, err := console.Write(keys); err != nil {
				return err
			}
		}
		switch {
		case leave, err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// followWindow tells the console the window's size, now and whenever it
// changes, until it is stopped.
func followWindow(window *os.File, console *client.Console, restore func()) (stop func()) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	changed <- syscall.SIGWINCH // its size now
	go guarded(restore, func() {
		for range changed {
			columns, rows, err := term.GetSize(int(window.Fd()))
			if err == nil && console.Resize(rows, columns) != nil {
				return
			}
		}
	})
	return func() {
		signal.Stop(changed)
		close(changed)
	}
}
