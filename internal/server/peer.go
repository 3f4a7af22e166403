package server

import (
	"context"
	"log/slog"
	"net"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end of a Unix socket, as it was when it
// connected.
type Peer struct {
	PID int
	UID int
	GID int
}

// peerKey is where a request's context holds its Peer.
type peerKey struct{}

// PeerOf is who sent a request. It is false for a connection that is not a
// Unix socket's.
func PeerOf(ctx context.Context) (Peer, bool) {
	peer, ok := ctx.Value(peerKey{}).(Peer)
	return peer, ok
}

// withPeer asks the kernel who has connected.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return ctx
	}
	var credentials *unix.Ucred
	var optErr error
	err = raw.Control(func(fd uintptr) {
		credentials, optErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || optErr != nil {
		return ctx // it is for the log only
	}
	return context.WithValue(ctx, peerKey{}, Peer{PID: int(credentials.Pid), UID: int(credentials.Uid), GID: int(credentials.Gid)})
}

// who is the peer for the log.
func who(ctx context.Context) []slog.Attr {
	peer, ok := PeerOf(ctx)
	if !ok {
		return nil
	}
	return []slog.Attr{slog.Int("uid", peer.UID), slog.Int("client", peer.PID)}
}
