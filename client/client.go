// Package client speaks to Panal's daemon over its Unix socket. It has one
// method for each operation of package api, and two that make the stream of
// events easy to use: [Client.Events], which reconnects by itself, and
// [Client.WaitTask].
//
// An operation that fails returns a *[api.Problem], also when the daemon cannot
// be reached (its Kind is then [api.KindUnavailable], or [api.KindRefused] when
// the socket is somebody else's). Only the end of the caller's context comes
// back as the context's own error.
//
//	c := client.New("/run/panal/panal.sock", client.Options{})
//	task, err := c.Start(ctx, "web")
//	if err == nil {
//		task, err = c.WaitTask(ctx, task, nil)
//	}
package client

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Options are what a client can be told beyond the socket. The zero value is
// right for most.
type Options struct {
	// UserAgent is what the daemon's log calls this client; default "panal-client".
	UserAgent string
	// Patience is how long [Client.Events] tries to reach a daemon again that
	// it has lost, for example while it is upgraded; default 30 seconds.
	Patience time.Duration
	// Lost is told when a daemon that was lost cannot be reached at once, and how long it
	// is waited for.
	Lost func(patience time.Duration)
}

// Client is a connection to one daemon. It can be used by several goroutines
// at once, and keeps connections open between requests.
type Client struct {
	socket   string
	options  Options
	http     *http.Client // requests with an answer
	upgrades *http.Client // WebSocket handshakes; refusals are errors
}

// New returns a client for the daemon that listens on the Unix socket at the
// path. It connects with the first request.
func New(socket string, options Options) *Client {
	if options.UserAgent == "" {
		options.UserAgent = "panal-client"
	}
	if options.Patience == 0 {
		options.Patience = 30 * time.Second
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true, // it costs time, and a Unix socket has bandwidth
	}
	return &Client{
		socket:  socket,
		options: options,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		upgrades: &http.Client{Transport: upgrader{transport}},
	}
}

// Socket is the path of the daemon's Unix socket.
func (c *Client) Socket() string { return c.socket }

// Close closes the connections that no request is using.
func (c *Client) Close() { c.http.CloseIdleConnections() }
