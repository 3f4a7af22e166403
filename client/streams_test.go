package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// echo is a serial line that sends its query first, then what it gets: text
// messages in brackets. "end" hangs up.
func echo(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow()
		_ = conn.Write(r.Context(), websocket.MessageBinary, []byte(r.URL.RawQuery+"|"))
		for {
			kind, data, err := conn.Read(r.Context())
			switch {
			case err != nil:
				return
			case string(data) == "end":
				conn.Close(websocket.StatusNormalClosure, "the machine ended")
				return
			case string(data) == "fault":
				conn.Close(websocket.StatusInternalError, "out of order")
				return
			case kind == websocket.MessageText:
				data = fmt.Appendf(nil, "[%s]", data)
			}
			if err := conn.Write(r.Context(), websocket.MessageBinary, data); err != nil {
				return
			}
		}
	})
}

func TestConsole(t *testing.T) {
	console, err := serve(t, echo(t)).Console(context.Background(), "web", client.ConsoleOptions{Serial: "serial1", Scrollback: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	expect := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(console, got); err != nil || string(got) != want {
			t.Fatalf("read %q %v, want %q", got, err, want)
		}
	}
	expect("scrollback=0&serial=serial1|")
	fmt.Fprint(console, "hello")
	expect("hello")
	if err := console.Resize(24, 80); err != nil {
		t.Fatal(err)
	}
	expect(`[{"rows":24,"columns":80}]`)
	large := strings.Repeat("0123456789", 10_000)
	fmt.Fprint(console, large)
	expect(large)
	fmt.Fprint(console, "end")
	if rest, err := io.ReadAll(console); err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q %v, want nothing", rest, err)
	}
}

func TestConsoleFault(t *testing.T) {
	console, err := serve(t, echo(t)).Console(context.Background(), "web", client.ConsoleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	fmt.Fprint(console, "fault")
	if _, err := io.ReadAll(console); client.KindOf(err) != api.KindUnavailable || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("%v, want the daemon's reason", err)
	}
}

func TestConsoleRefused(t *testing.T) {
	detail := strings.Repeat("long ", 500)
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 409, api.Problem{Kind: api.KindWrongState, Detail: detail})
	}))
	_, err := c.Console(context.Background(), "web", client.ConsoleOptions{})
	if client.KindOf(err) != api.KindWrongState || err.Error() != detail {
		t.Errorf("%v, want the daemon's whole problem", err)
	}
	if _, err := c.Display(context.Background(), "web"); client.KindOf(err) != api.KindWrongState {
		t.Errorf("display: %v", err)
	}
}

func TestConsoleEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	console, err := serve(t, echo(t)).Console(ctx, "web", client.ConsoleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	cancel()
	if _, err := io.ReadAll(console); err != context.Canceled {
		t.Errorf("%v, want the context's error", err)
	}
}

func TestDisplay(t *testing.T) {
	display, err := serve(t, echo(t)).Display(context.Background(), "web")
	if err != nil {
		t.Fatal(err)
	}
	defer display.Close()
	sent := bytes.Repeat([]byte("RFB "), 20_000)
	if n, err := display.Write(sent); n != len(sent) || err != nil {
		t.Fatal(n, err)
	}
	got := make([]byte, 1+len(sent))
	if _, err := io.ReadFull(display, got); err != nil || !bytes.Equal(got[1:], sent) {
		t.Errorf("what came back differs (%v)", err)
	}
}

func TestScreenshotAndLog(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/machines/web/screenshot", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "PNG") })
	mux.HandleFunc("GET /v1/machines/web/log", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.RawQuery) })
	c := serve(t, mux)
	if picture, err := c.Screenshot(context.Background(), "web"); err != nil || string(picture) != "PNG" {
		t.Errorf("%q %v", picture, err)
	}
	log, err := c.Log(context.Background(), "web", client.LogOptions{Name: "serial0", Tail: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if text, err := io.ReadAll(log); err != nil || string(text) != "name=serial0&tail=9" {
		t.Errorf("%q %v", text, err)
	}
}
