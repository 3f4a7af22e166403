package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"

	"github.com/panalvm/panal/api"
)

// viewers are the programs that show VNC, and how each takes an address.
var viewers = []struct {
	program string
	address func(port uint16) string
}{
	{"vncviewer", func(port uint16) string { return fmt.Sprintf("127.0.0.1::%d", port) }},
	{"remote-viewer", func(port uint16) string { return fmt.Sprintf("vnc://127.0.0.1:%d", port) }},
	{"gvncviewer", func(port uint16) string { return fmt.Sprintf("127.0.0.1:%d", int(port)-5900) }},
}

// display reaches a machine's display: on an address of this computer, in a
// viewer, or by telling how.
func (a *app) display(ctx context.Context, name, listen string) error {
	machine, err := a.client.Get(ctx, name)
	if err != nil {
		return failed("console", name, err)
	}
	name = machine.Spec.Name
	if err := hasDisplay(machine); err != nil {
		return failed("console", name, err)
	}
	if listen != "" {
		address, err := loopback(listen)
		if err != nil {
			return err
		}
		return failed("console", name, a.offerDisplay(ctx, machine, address))
	}
	if a.getenv("DISPLAY") != "" || a.getenv("WAYLAND_DISPLAY") != "" {
		for i, viewer := range viewers {
			if path, err := exec.LookPath(viewer.program); err == nil {
				return failed("console", name, a.openViewer(ctx, machine, path, viewers[i].address))
			}
		}
	}
	return a.tellDisplay(machine)
}

// hasDisplay says why there is no display to look at.
func hasDisplay(m api.Machine) error {
	switch {
	case m.Spec.Display.Type == "none":
		return &api.Problem{Kind: api.KindUnsupported, Detail: "it has no display", Help: "panal set " + m.Spec.Name + " display.type=vnc"}
	case m.Status.VNC == "":
		return &api.Problem{Kind: api.KindWrongState, Detail: "its display is not there while it is " + string(m.Status.State), Help: "panal start " + m.Spec.Name}
	}
	return nil
}

// tellDisplay says how to reach the display.
func (a *app) tellDisplay(m api.Machine) error {
	switch {
	case a.json:
		return a.printJSON(map[string]string{"vnc": m.Status.VNC})
	case a.quiet:
		_, err := fmt.Fprintln(a.out, m.Status.VNC)
		return err
	}
	a.say(`The display of %s is VNC on the Unix socket %s.
To look at it with any viewer, run this and connect the viewer to 127.0.0.1:5900:
  panal console '%[1]s' --vnc --listen 127.0.0.1:5900
From another computer, forward that port: ssh -L 5900:127.0.0.1:5900 HOST`, m.Spec.Name, m.Status.VNC)
	return nil
}

// loopback reads an address of this computer alone. Others are refused, for the
// display has no password.
func loopback(text string) (netip.AddrPort, error) {
	if port, found := strings.CutPrefix(text, "localhost:"); found {
		text = "127.0.0.1:" + port
	}
	address, err := netip.ParseAddrPort(text)
	if err != nil {
		return address, usageError{fmt.Sprintf("--listen takes an address and a port, such as 127.0.0.1:5900, not %q", text)}
	}
	if !address.Addr().IsLoopback() {
		return address, usageError{fmt.Sprintf("--listen takes an address of this computer alone, such as 127.0.0.1, not %s: the display has no password", address.Addr())}
	}
	return address, nil
}

// offerDisplay forwards connections to the display until ^C.
func (a *app) offerDisplay(ctx context.Context, m api.Machine, address netip.AddrPort) error {
	listener, err := net.Listen("tcp", address.String())
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s\n", listener.Addr())
	a.note("The display of %s can be reached there with a VNC viewer, until ^C.", m.Spec.Name)
	return a.forwardDisplay(ctx, m, listener)
}

// openViewer runs a viewer on the display, and returns when it is closed.
func (a *app) openViewer(ctx context.Context, m api.Machine, program string, address func(uint16) string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	forwarded := make(chan error, 1)
	go func() { forwarded <- a.forwardDisplay(ctx, m, listener) }()
	port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
	viewer := exec.CommandContext(ctx, program, address(port))
	viewer.Stderr = a.err
	err = viewer.Run()
	if ctx.Err() != nil {
		err = nil // ^C closed it
	}
	cancel()
	return errors.Join(err, <-forwarded)
}

// forwardDisplay takes connections and joins each with the display, until ctx
// ends.
func (a *app) forwardDisplay(ctx context.Context, m api.Machine, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	var open sync.WaitGroup
	defer open.Wait()
	for {
		viewer, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		open.Go(func() {
			if err := a.join(ctx, m.Spec.UUID, viewer); err != nil && ctx.Err() == nil {
				a.note("panal: the display of %s: %s", m.Spec.Name, oneLine(err))
			}
		})
	}
}

// join copies between a viewer and the display until either ends.
func (a *app) join(ctx context.Context, uuid string, viewer net.Conn) error {
	defer viewer.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	display, err := a.client.Display(ctx, uuid)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { viewer.Close() })
	defer stop()
	go func() {
		_, _ = io.Copy(display, viewer)
		cancel()
	}()
	_, err = io.Copy(viewer, display)
	if ctx.Err() != nil {
		return nil // the viewer was closed
	}
	return err
}
