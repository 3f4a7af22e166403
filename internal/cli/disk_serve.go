package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/nbd"
	"github.com/panalvm/panal/internal/diskfile"
)

// serveFlags are the flags of `disk serve`.
type serveFlags struct {
	diskFlags
	address, socket, name, snapshot string
	readOnly, resize                bool
	certificate, key, clients       string
}

func (a *app) diskServeCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve FILE",
		Short: "Offer an image over NBD, until ^C",
		Long: `Offer an image over NBD (Network Block Device), to QEMU, nbdcopy, the kernel's
nbd-client and others, until ^C or SIGTERM. Several clients may connect at once.

Without --addr or --socket a socket is made in the runtime directory. What is
printed is the address for clients. NBD knows no passwords: bind to other
addresses than this computer's only with TLS and --tls-clients.

The socket is a file that only its owner may connect to. One that a killed program
has left is replaced.`,
		Example: `  panal disk serve web.vmdk --socket web.sock &
  nbdcopy nbd+unix:///?socket=web.sock web.raw
  panal disk serve web.vdi --read-only --addr 0.0.0.0:10809 \
      --tls-cert server.pem --tls-key server.key --tls-clients ca.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.address != "" && f.socket != "" {
				return usageError{"say either --addr or --socket"}
			}
			return diskFailed("serve", args[0], a.serveDisk(cmd.Context(), args[0], f))
		},
	}
	f.register(c)
	f.keys.content = true
	flags := c.Flags()
	flags.StringVar(&f.address, "addr", "", "listen on HOST:PORT; 10809 is usual")
	flags.StringVar(&f.socket, "socket", "", "listen on a Unix socket of this `PATH`")
	flags.StringVar(&f.name, "name", "", "the export's name; clients that name none get it in any case")
	flags.StringVar(&f.snapshot, "snapshot", "", "offer an earlier state that the image holds; read-only")
	flags.BoolVarP(&f.readOnly, "read-only", "r", false, "let nobody write")
	flags.BoolVar(&f.resize, "allow-resize", false, "let clients change the disk's size")
	flags.StringVar(&f.certificate, "tls-cert", "", "the server's certificate chain, PEM; clients must then use TLS")
	flags.StringVar(&f.key, "tls-key", "", "the certificate's key, PEM")
	flags.StringVar(&f.clients, "tls-clients", "", "the authorities whose certificates clients must show, PEM")
	return c
}

func (a *app) serveDisk(ctx context.Context, name string, f serveFlags) error {
	policy, config, err := f.tls()
	if err != nil {
		return err
	}
	img, err := a.place(ctx, f.diskFlags).Open(name, diskfile.OpenOptions{
		Format: f.format, Write: !f.readOnly && f.snapshot == "", Snapshot: f.snapshot,
	})
	if err != nil {
		return err
	}
	err = a.serveImage(ctx, img, f, nbd.Options{TLS: policy, TLSConfig: config, Log: slog.New(slog.NewTextHandler(a.err, nil))})
	return errors.Join(err, img.Close())
}

func (a *app) serveImage(ctx context.Context, img disk.Image, f serveFlags, o nbd.Options) error {
	exports := []nbd.Export{{Image: img, ReadOnly: f.readOnly, Resize: f.resize}}
	if f.name != "" {
		exports = append(exports, nbd.Export{Name: f.name, Image: img, ReadOnly: f.readOnly, Resize: f.resize})
	}
	server, err := nbd.New(exports, o)
	if err != nil {
		return err
	}
	listener, address, err := a.listenNBD(f)
	if err != nil {
		return err
	}
	if err := a.tellAddress(address); err != nil {
		return errors.Join(err, listener.Close())
	}
	return server.Serve(ctx, listener)
}

// tellAddress says where clients find the image.
func (a *app) tellAddress(address string) error {
	if a.json {
		return a.printJSON(map[string]string{"address": address})
	}
	_, err := fmt.Fprintln(a.out, address)
	return err
}

// listenNBD makes the listener, and the address that clients understand.
func (a *app) listenNBD(f serveFlags) (net.Listener, string, error) {
	scheme := "nbd"
	if f.certificate != "" {
		scheme = "nbds"
	}
	if f.address != "" {
		l, err := net.Listen("tcp", f.address)
		if err != nil {
			return nil, "", err
		}
		at, all := reachable(l.Addr())
		if all && f.certificate == "" {
			a.note("whoever reaches this computer can read the image, and write to it unless --read-only; --tls-clients lets in only whom you know")
		}
		return l, fmt.Sprintf("%s://%s/%s", scheme, at, url.PathEscape(f.name)), nil
	}
	path := f.socket
	if path == "" {
		p, err := a.paths()
		if err != nil {
			return nil, "", err
		}
		if err := os.MkdirAll(p.Runtime, 0o700); err != nil {
			return nil, "", err
		}
		path = filepath.Join(p.Runtime, fmt.Sprintf("nbd-%d.sock", os.Getpid()))
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, "", err
	}
	l, err := listenPrivately(path)
	if err != nil {
		return nil, "", err
	}
	return l, fmt.Sprintf("%s+unix:///%s?socket=%s", scheme, url.PathEscape(f.name), url.QueryEscape(path)), nil
}

// listenPrivately makes a socket that only its owner may connect to, from the
// beginning.
func listenPrivately(path string) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".nbd-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	hidden := filepath.Join(dir, "s")
	l, err := net.Listen("unix", hidden)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	err = errors.Join(os.Chmod(hidden, 0o600), os.Link(hidden, path))
	if errors.Is(err, fs.ErrExist) && deserted(path) {
		err = os.Rename(hidden, path)
	}
	if err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = &fs.PathError{Op: "listen on", Path: path, Err: fs.ErrExist}
		}
		return nil, errors.Join(err, l.Close())
	}
	return &namedListener{l, path}, nil
}

// deserted tells whether a socket is one that nobody listens on any more: its
// program was killed.
func deserted(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return false
	}
	connection, err := net.Dial("unix", path)
	if err == nil {
		_ = connection.Close() // nothing was said
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// reachable is the address by which this computer's clients reach a listener,
// and whether it listens on all addresses.
func reachable(addr net.Addr) (address string, all bool) {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String(), false
	}
	return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port)), true
}

// namedListener removes its socket when it is closed, and tells the name that
// clients find it by: the listener within knows only the one it was made under.
type namedListener struct {
	net.Listener
	path string
}

// Addr is the socket's path.
func (l *namedListener) Addr() net.Addr {
	return &net.UnixAddr{Name: l.path, Net: "unix"}
}

// Close ends listening.
func (l *namedListener) Close() error {
	err := l.Listener.Close()
	if err == nil {
		err = os.Remove(l.path)
	}
	return err
}

// tls reads the certificates.
func (f serveFlags) tls() (nbd.TLSPolicy, *tls.Config, error) {
	if f.certificate != "" && f.key == "" {
		return nbd.TLSOff, nil, usageError{"--tls-cert needs --tls-key"}
	}
	if f.certificate == "" {
		if f.key != "" || f.clients != "" {
			return nbd.TLSOff, nil, usageError{"--tls-key and --tls-clients need --tls-cert"}
		}
		return nbd.TLSOff, nil, nil
	}
	certificate, err := os.ReadFile(f.certificate)
	if err != nil {
		return nbd.TLSOff, nil, err
	}
	key, err := os.ReadFile(f.key)
	if err != nil {
		return nbd.TLSOff, nil, err
	}
	var clients []byte
	if f.clients != "" {
		if clients, err = os.ReadFile(f.clients); err != nil {
			return nbd.TLSOff, nil, err
		}
	}
	config, err := nbd.TLSFromPEM(certificate, key, clients)
	return nbd.TLSRequire, config, err
}
