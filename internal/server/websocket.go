package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

// maxMessage is the largest message a client may send: more than anybody types
// or pastes at once, and than any message of RFB but a large clipboard.
const maxMessage = 1 << 20

// closeTimeout is how long a client may take to answer that a WebSocket ends.
const closeTimeout = time.Second

type consoleInput struct {
	Ref        string `path:"ref" doc:"the machine's name, UUID, or a unique prefix of either"`
	Serial     string `query:"serial" doc:"the serial line's name; the first when left out"`
	Scrollback int    `query:"scrollback" default:"65536" minimum:"0" maximum:"67108864" doc:"bytes of what was printed before, to send first"`
}

func (s *server) console(w http.ResponseWriter, r *http.Request, in *consoleInput) {
	if !s.wantsWebSocket(w, r) {
		return
	}
	ctx, end := endless(r.Context())
	defer end()
	line, err := s.services.Views.Console(ctx, in.Ref, in.Serial, in.Scrollback)
	if err != nil {
		s.refuse(w, r, api.AttachConsole.ID, err)
		return
	}
	s.bridge(ctx, w, r, line, func(text []byte) error {
		var control api.ConsoleControl
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&control); err != nil {
			return err
		}
		if control.Rows > 0 && control.Columns > 0 {
			line.Resize(control.Rows, control.Columns)
		}
		return nil
	})
}

func (s *server) display(w http.ResponseWriter, r *http.Request, in *refInput) {
	if !s.wantsWebSocket(w, r) {
		return
	}
	ctx, end := endless(r.Context())
	defer end()
	screen, err := s.services.Views.Display(ctx, in.Ref)
	if err != nil {
		s.refuse(w, r, api.AttachDisplay.ID, err)
		return
	}
	s.bridge(ctx, w, r, screen, func([]byte) error { return errors.New("a display takes binary messages only") })
}

// wantsWebSocket refuses a client that speaks plain HTTP, before anything is
// opened for it.
func (s *server) wantsWebSocket(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return true
	}
	w.Header().Set("Upgrade", "websocket")
	writeProblem(w, problem.New(api.KindInvalid, "connect with a WebSocket client", "%s is a WebSocket", r.URL.Path))
	return false
}

// bridge makes a WebSocket of the connection and carries bytes between it and
// far until either ends, or ctx does. Text messages go to control, whose error
// ends the connection.
func (s *server) bridge(ctx context.Context, w http.ResponseWriter, r *http.Request, far io.ReadWriteCloser, control func([]byte) error) {
	defer far.Close()
	catch := &upgrade{ResponseWriter: w}
	// A page of another host may not open it: Accept compares Origin and Host.
	near, err := websocket.Accept(catch, r, &websocket.AcceptOptions{Subprotocols: []string{"binary"}})
	if err != nil {
		if catch.refused != 0 {
			writeProblem(w, upgradeProblem(catch.refused, err))
		}
		return
	}
	defer near.CloseNow() //nolint:errcheck // it is closed on every path that matters
	near.SetReadLimit(maxMessage)
	carrying, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	ends := make(chan ending, 2)
	var directions sync.WaitGroup
	broke := func(err error) { ends <- failing(err) }
	directions.Go(func() {
		defer s.catch(ctx, "to a viewer", broke)
		ends <- toClient(carrying, near, far)
	})
	directions.Go(func() {
		defer s.catch(ctx, "from a viewer", broke)
		ends <- fromClient(carrying, near, far, control)
	})
	end := ending{websocket.StatusGoingAway, "the daemon is stopping"}
	select {
	case end = <-ends:
	case <-ctx.Done():
	}
	far.Close() // wakes the direction that reads it
	if end.code != 0 {
		late := time.AfterFunc(closeTimeout, cut) // wakes both, and so Close, when the client does not answer
		_ = near.Close(end.code, end.reason)
		late.Stop()
	}
	cut()
	directions.Wait()
}

// ending is how a WebSocket is to be closed; the zero ending is one that the
// client closed itself.
type ending struct {
	code   websocket.StatusCode
	reason string
}

// toClient has no deadline: a viewer may stop its terminal for as long as it
// likes, and what far then loses is far's to decide.
func toClient(ctx context.Context, near *websocket.Conn, far io.Reader) ending {
	piece := make([]byte, 32<<10)
	for {
		n, err := far.Read(piece)
		if n > 0 {
			if near.Write(ctx, websocket.MessageBinary, piece[:n]) != nil {
				return ending{}
			}
		}
		if ended(err) {
			return ending{websocket.StatusNormalClosure, "the machine has ended"}
		}
		if err != nil {
			return failing(err)
		}
	}
}

func fromClient(ctx context.Context, near *websocket.Conn, far io.Writer, control func([]byte) error) ending {
	for {
		kind, message, err := near.Read(ctx)
		if err != nil {
			return ending{}
		}
		if kind == websocket.MessageText {
			if err := control(message); err != nil {
				return ending{websocket.StatusInvalidFramePayloadData, reason("the text message is not valid: %v", err)}
			}
			continue
		}
		if _, err := far.Write(message); err != nil && !ended(err) {
			return failing(err)
		}
	}
}

// ended reports whether an error says that the machine has ended. Who writes
// to it goes on as if not: who reads has yet to pass on its last output.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// failing is the ending of a serial line or display that broke.
func failing(err error) ending {
	return ending{websocket.StatusInternalError, reason("the connection to the machine broke: %v", err)}
}

// maxReason is what fits into the frame that closes a WebSocket.
const maxReason = 123

func reason(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxReason {
		text = text[:maxReason-len("…")] + "…"
	}
	return strings.ToValidUTF8(text, "")
}

// upgrade keeps websocket.Accept from answering with plain text when it
// refuses.
type upgrade struct {
	http.ResponseWriter
	refused int // the status it refused with
}

// Unwrap lets websocket.Accept take the connection over.
func (u *upgrade) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// WriteHeader passes on only that the protocols are switched.
func (u *upgrade) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols {
		u.ResponseWriter.WriteHeader(status)
		return
	}
	u.refused = status
}

// Write drops the text of a refusal.
func (u *upgrade) Write(data []byte) (int, error) { return len(data), nil }

// upgradeProblem is a refusal of websocket.Accept.
func upgradeProblem(status int, err error) *api.Problem {
	switch status {
	case http.StatusForbidden:
		return problem.New(api.KindRefused, "", "a page of another host may not connect: %v", err)
	case http.StatusNotImplemented:
		return problem.New(api.KindUnsupported, "connect with HTTP/1.1", "this connection cannot become a WebSocket")
	}
	return problem.New(api.KindInvalid, "connect with a WebSocket client", "%v", err)
}
