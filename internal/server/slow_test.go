package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/panalvm/panal/api"
)

// pipes is a listener within a synctest bubble: its connections are in memory,
// and time passes when both ends wait.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, open := <-p
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// overPipe runs a test as the client of one connection to a handler, on a clock
// of its own.
func overPipe(t *testing.T, h http.Handler, client func(t *testing.T, conn net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		listener, served := make(pipes), make(chan error, 1)
		go func() { served <- Serve(ctx, listener, h) }()
		near, far := net.Pipe()
		listener <- far
		client(t, near)
		near.Close()
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestASlowHeaderIsCutOff(t *testing.T) {
	overPipe(t, http.NotFoundHandler(), func(t *testing.T, conn net.Conn) {
		began := time.Now()
		if _, err := io.WriteString(conn, "GET /v1 HTTP/1.1\r\nHost:"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != headerTimeout {
			t.Errorf("cut off after %v", took)
		}
	})
}

func TestASlowBodyIsRefused(t *testing.T) {
	overPipe(t, New((&fakeServices{}).services(), Options{}), func(t *testing.T, conn net.Conn) {
		began := time.Now()
		if _, err := io.WriteString(conn, "POST /v1/machines HTTP/1.1\r\nHost: panal\r\nContent-Length: 100\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		p := problemOf(t, r)
		if p.Kind != api.KindInvalid || !strings.Contains(p.Detail, "did not arrive within 10s") || !r.Close {
			t.Errorf("%+v", p)
		}
		if took := time.Since(began); took != bodyTimeout {
			t.Errorf("refused after %v", took)
		}
	})
}

// TestALongRequestIsNotCancelled sees that the time for a body is over with the
// body: a request may take as long as it likes after that.
func TestALongRequestIsNotCancelled(t *testing.T) {
	slow := (&server{}).readBody(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-time.After(time.Hour) // of the bubble's clock
		if err := r.Context().Err(); err != nil {
			t.Errorf("the request's context: %v", err)
		}
		_, _ = io.Copy(w, r.Body)
	}))
	overPipe(t, slow, func(t *testing.T, conn net.Conn) {
		if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: panal\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
			t.Fatal(err)
		}
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body := text(t, r); body != "{}" {
			t.Errorf("status %d, body %q", r.StatusCode, body)
		}
	})
}

// TestAnAnswerThatIsNotReadIsCutOff sees that a client which takes only the
// start of an answer does not keep it for ever.
func TestAnAnswerThatIsNotReadIsCutOff(t *testing.T) {
	fake := &fakeServices{list: manyMachines(1000)}
	overPipe(t, New(fake.services(), Options{}), func(t *testing.T, conn net.Conn) {
		if _, err := io.WriteString(conn, "GET /v1/machines HTTP/1.1\r\nHost: panal\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-time.After(writeTimeout + time.Second) // of the bubble's clock
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read: %v", err)
		}
	})
}
