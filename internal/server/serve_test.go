package server

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/service"
)

// serveUnix serves a handler on a Unix socket, and gives a client of it. stop
// ends the daemon's context and waits for Serve's end, which must be a good
// one.
func serveUnix(tb testing.TB, h http.Handler) (_ *http.Client, stop func()) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(tb.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, listener, h) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	return &http.Client{Transport: transport}, func() {
		tb.Helper()
		cancel()
		if err := <-served; err != nil {
			tb.Errorf("Serve: %v", err)
		}
		transport.CloseIdleConnections()
	}
}

func TestServeFinishesWhatIsUnderWay(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		if r.Context().Err() == nil {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	client, stop := serveUnix(t, h)
	answered := make(chan int, 1)
	go func() {
		r, err := client.Get("http://panal/")
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		r.Body.Close()
		answered <- r.StatusCode
	}()
	<-entered
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	close(release)
	if got := <-answered; got != http.StatusTeapot {
		t.Errorf("status %d", got)
	}
	<-stopped
}

func TestServeSaysWhenItCannot(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := Serve(t.Context(), listener, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "accept connections on") {
		t.Errorf("error %v", err)
	}
}

func TestPeer(t *testing.T) {
	peers := make(chan Peer, 1)
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		peer, ok := PeerOf(r.Context())
		if !ok {
			t.Error("no peer")
		}
		peers <- peer
	})
	client, stop := serveUnix(t, h)
	defer stop()
	r, err := client.Get("http://panal/")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if got, want := <-peers, (Peer{PID: os.Getpid(), UID: os.Getuid(), GID: os.Getgid()}); got != want {
		t.Errorf("peer %v, want %v", got, want)
	}
	if _, ok := PeerOf(t.Context()); ok {
		t.Error("a peer without a connection")
	}
}

func TestRequestsAreLoggedWithTheirPeer(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, stop := serveUnix(t, New((&fakeServices{}).services(), Options{Logger: logger}))
	r, err := client.Get("http://panal/v1/machines/a%2Fb")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	stop()
	for _, part := range []string{"uid=" + strconv.Itoa(os.Getuid()), "method=GET", "path=/v1/machines/a%2Fb", "status=200"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %s: %s", part, log.String())
		}
	}
}

func TestBodyInChunksAndALongHandler(t *testing.T) {
	fake := &fakeServices{}
	client, stop := serveUnix(t, New(fake.services(), Options{}))
	defer stop()
	body := struct{ *strings.Reader }{strings.NewReader(`{"name":"mail"}`)} // its length is not known to the client
	r, err := client.Post("http://panal/v1/machines/web/rename", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK || fake.called() != "rename web {Name:mail}" {
		t.Errorf("status %d", r.StatusCode)
	}
}

func TestServeEndsStreams(t *testing.T) {
	fake := &fakeServices{events: func(ctx context.Context, _ int64) iter.Seq2[service.Delivery, error] {
		return func(func(service.Delivery, error) bool) { <-ctx.Done() }
	}}
	client, stop := serveUnix(t, New(fake.services(), Options{}))
	r, err := client.Get("http://panal/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	stop()
	body := text(t, r)
	if !strings.HasPrefix(body, "id: 0\n\nevent: error\ndata: ") || !strings.Contains(body, `"kind":"`+string(api.KindUnavailable)+`"`) {
		t.Errorf("the stream:\n%s", body)
	}
}
