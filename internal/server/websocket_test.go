package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/service"
)

// pipeConsole is a serial line whose guest the test is.
type pipeConsole struct {
	net.Conn
	resized chan [2]int
	readErr error // what Read answers when the guest has gone, if not io.EOF
}

func (c *pipeConsole) Resize(rows, columns int) { c.resized <- [2]int{rows, columns} }

func (c *pipeConsole) Read(data []byte) (int, error) {
	n, err := c.Conn.Read(data)
	if err == io.EOF && c.readErr != nil {
		err = c.readErr
	}
	return n, err
}

// viewer is a served console, the guest at its far end, and a client of it.
type viewer struct {
	guest   net.Conn
	console *pipeConsole
	client  *websocket.Conn
	closed  chan struct{} // when the console's context is done
	stop    func()
}

func dial(t *testing.T, path string, prepare func(*fakeServices, *viewer)) *viewer {
	t.Helper()
	guest, line := net.Pipe()
	v := &viewer{guest: guest, console: &pipeConsole{Conn: line, resized: make(chan [2]int, 1)}, closed: make(chan struct{})}
	fake := &fakeServices{
		console: func(ctx context.Context) service.Console {
			context.AfterFunc(ctx, func() { close(v.closed) })
			return v.console
		},
		display: func() net.Conn { return line },
	}
	if prepare != nil {
		prepare(fake, v)
	}
	client, stop := serveUnix(t, New(fake.services(), Options{}))
	conn, answer, err := websocket.Dial(t.Context(), "ws://panal"+path, &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"binary"}})
	if err != nil {
		stop()
		t.Fatal(err, answer)
	}
	conn.SetReadLimit(-1)
	v.client, v.stop = conn, stop
	t.Cleanup(func() { guest.Close() })
	return v
}

// expect reads from the WebSocket until want has come.
func (v *viewer) expect(t *testing.T, want []byte) {
	t.Helper()
	var got []byte
	for len(got) < len(want) {
		kind, data, err := v.client.Read(t.Context())
		if err != nil || kind != websocket.MessageBinary {
			t.Fatalf("after %d bytes: %v %v", len(got), kind, err)
		}
		got = append(got, data...)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got %.100q, want %.100q", got, want)
	}
}

// ends reads the WebSocket's end.
func (v *viewer) ends(t *testing.T, want websocket.StatusCode) {
	t.Helper()
	for {
		_, _, err := v.client.Read(t.Context())
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); got != want {
			t.Errorf("closed with %v: %v; want %v", got, err, want)
		}
		return
	}
}

func (v *viewer) send(t *testing.T, kind websocket.MessageType, data string) {
	t.Helper()
	if err := v.client.Write(t.Context(), kind, []byte(data)); err != nil {
		t.Fatal(err)
	}
}

func TestConsoleCarriesBytesBothWays(t *testing.T) {
	v := dial(t, "/v1/machines/web/console", nil)
	defer v.stop()
	go io.Copy(v.guest, v.guest) //nolint:errcheck // the guest echoes until it ends
	data := make([]byte, 100_000)
	rand.Read(data)
	go func() {
		for piece := data; len(piece) > 0; piece = piece[10_000:] {
			if err := v.client.Write(t.Context(), websocket.MessageBinary, piece[:10_000]); err != nil {
				t.Error(err)
			}
		}
	}()
	v.expect(t, data)
	v.send(t, websocket.MessageText, `{"rows":25,"columns":80}`)
	if got := <-v.console.resized; got != [2]int{25, 80} {
		t.Errorf("resized to %v", got)
	}
	if err := v.client.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	<-v.closed
}

func TestConsoleEndsWithTheMachine(t *testing.T) {
	v := dial(t, "/v1/machines/web/console", nil)
	defer v.stop()
	if _, err := v.guest.Write([]byte("Power down.")); err != nil {
		t.Fatal(err)
	}
	v.guest.Close()
	v.expect(t, []byte("Power down."))
	v.ends(t, websocket.StatusNormalClosure)
	<-v.closed
}

func TestConsoleEndsWithTheDaemon(t *testing.T) {
	for _, path := range []string{"console", "display"} {
		v := dial(t, "/v1/machines/web/"+path, nil)
		stopped := make(chan struct{})
		go func() { v.stop(); close(stopped) }()
		v.ends(t, websocket.StatusGoingAway)
		<-stopped
	}
}

func TestConsoleThatBreaks(t *testing.T) {
	v := dial(t, "/v1/machines/web/console", func(_ *fakeServices, v *viewer) {
		v.console.readErr = errors.New("the line is cut " + fmt.Sprintf("%0200d", 1))
	})
	defer v.stop()
	v.guest.Close()
	v.ends(t, websocket.StatusInternalError)
}

type panickingConsole struct{ *pipeConsole }

func (panickingConsole) Write([]byte) (int, error) { panic("the roof is on fire") }

func TestConsoleThatPanics(t *testing.T) {
	v := dial(t, "/v1/machines/web/console", func(f *fakeServices, v *viewer) {
		f.console = func(context.Context) service.Console { return panickingConsole{v.console} }
	})
	defer v.stop()
	v.send(t, websocket.MessageBinary, "x")
	v.ends(t, websocket.StatusInternalError)
}

func TestConsoleRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, message := range []string{`{"row":25}`, `nonsense`, ``, `{"rows":"x"}`} {
		v := dial(t, "/v1/machines/web/console", nil)
		v.send(t, websocket.MessageText, message)
		v.ends(t, websocket.StatusInvalidFramePayloadData)
		v.stop()
	}
	v := dial(t, "/v1/machines/web/console", nil)
	defer v.stop()
	go v.client.Write(t.Context(), websocket.MessageBinary, make([]byte, maxMessage+1)) //nolint:errcheck // it is cut off
	v.ends(t, websocket.StatusMessageTooBig)
}

// fill lets the guest print until the viewer, who does not read, holds it up.
func (v *viewer) fill(t *testing.T) {
	t.Helper()
	piece := make([]byte, 1<<16)
	for printed := 0; printed < 64<<20; printed += len(piece) {
		if err := v.guest.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := v.guest.Write(piece); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("64 MiB were taken for a viewer that reads nothing")
}

func TestAViewerThatReadsNothingAndIsKilled(t *testing.T) {
	v := dial(t, "/v1/machines/web/console", nil)
	defer v.stop()
	v.fill(t)
	v.client.CloseNow() //nolint:errcheck // as good as a viewer that is killed
	<-v.closed
}

func TestAViewerThatReadsNothingDoesNotHoldTheDaemon(t *testing.T) {
	v := dial(t, "/v1/machines/web/console", nil)
	defer v.client.CloseNow() //nolint:errcheck // it is gone already
	v.fill(t)
	v.stop()
	<-v.closed
}

func TestDisplay(t *testing.T) {
	v := dial(t, "/v1/machines/web/display", nil)
	defer v.stop()
	if got := v.client.Subprotocol(); got != "binary" {
		t.Errorf("subprotocol %q", got)
	}
	go v.guest.Write([]byte("RFB 003.008\n")) //nolint:errcheck // expect sees it
	v.expect(t, []byte("RFB 003.008\n"))
	v.send(t, websocket.MessageText, "x")
	v.ends(t, websocket.StatusInvalidFramePayloadData)
}

func TestWebSocketsThatAreRefused(t *testing.T) {
	fake := &fakeServices{}
	client, stop := serveUnix(t, New(fake.services(), Options{}))
	defer stop()
	guest, line := net.Pipe()
	defer guest.Close()
	upgrade := map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
	for _, test := range []struct {
		name, header, value string
		running             bool
		kind                api.Kind
	}{
		{"plain HTTP", "Upgrade", "", true, api.KindInvalid},
		{"machine off", "", "", false, api.KindWrongState},
		{"another host's page", "Origin", "https://evil.example", true, api.KindRefused},
		{"old version", "Sec-WebSocket-Version", "8", true, api.KindInvalid},
		{"no key", "Sec-WebSocket-Key", "", true, api.KindInvalid},
	} {
		for _, path := range []string{"console", "display"} {
			fake.console, fake.display = nil, nil
			if test.running {
				fake.console = func(context.Context) service.Console { return &pipeConsole{Conn: line} }
				fake.display = func() net.Conn { return line }
			}
			r, err := http.NewRequest("GET", "http://panal/v1/machines/web/"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range upgrade {
				r.Header.Set(name, value)
			}
			if test.header != "" {
				r.Header.Set(test.header, test.value)
			}
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if p := problemOf(t, answer); p.Kind != test.kind {
				t.Errorf("%s of a %s: %+v", test.name, path, p)
			}
			answer.Body.Close()
		}
	}
}

func TestConsoleParameters(t *testing.T) {
	var fake *fakeServices
	v := dial(t, "/v1/machines/a%2Fb/console?serial=serial1&scrollback=0", func(f *fakeServices, _ *viewer) { fake = f })
	v.stop()
	if got := fake.called(); got != "console a/b serial1 0" {
		t.Errorf("called %q", got)
	}
}
