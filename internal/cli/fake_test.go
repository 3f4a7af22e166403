package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// fake is a daemon that answers by a script. Each line of the script is
//
//	METHOD PATH?QUERY STATUS FILE [close] [until METHOD PATH FILE]…
//
// and answers one request with the file's content; the last line for a request
// answers all further ones. A file that ends in .sse is a stream of events, which
// stays open, unless the word "close" follows; after "until" it goes on with the next file when that request has
// come. Instead of a status, "console" is a serial line that prints the file,
// and then repeats what is typed in brackets; on "bye" it ends.
type fake struct {
	dir    string
	socket string
	server *httptest.Server

	mu      sync.Mutex
	changed *sync.Cond // something was asked
	routes  map[string][][]string
	asked   []string
	bodies  bytes.Buffer
	conns   []net.Conn
}

// newFake starts a fake daemon on a socket, which answers by a script; see load.
func newFake(dir, socket, script string) (*fake, error) {
	f := &fake{dir: dir, socket: socket, routes: map[string][][]string{}}
	f.changed = sync.NewCond(&f.mu)
	f.load(script) // before anybody can ask
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	f.server = httptest.NewUnstartedServer(f)
	f.server.Listener.Close()
	f.server.Listener = listener
	f.server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.conns = append(f.conns, conn)
		return ctx
	}
	f.server.Start()
	return f, nil
}

// load adds a script's lines, in place of those for the same requests.
func (f *fake) load(script string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	added := map[string][][]string{}
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) >= 4 {
			route := words[0] + " " + words[1]
			added[route] = append(added[route], words[2:])
		}
	}
	maps.Copy(f.routes, added)
}

// close ends the daemon and its streams.
func (f *fake) close() {
	f.server.CloseClientConnections()
	f.server.Close()
}

// hangUp cuts all connections, those of consoles too.
func (f *fake) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.conns {
		conn.Close()
	}
}

// await returns when a request has come n times.
func (f *fake) await(ctx context.Context, request string, n int) bool {
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.changed.Broadcast()
	})
	defer stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for ctx.Err() == nil {
		seen := 0
		for _, asked := range f.asked {
			if asked == request || strings.HasPrefix(asked, request+"?") {
				seen++
			}
		}
		if seen >= n {
			return true
		}
		f.changed.Wait()
	}
	return false
}

// ServeHTTP answers by the script.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	answer := f.take(r, body)
	if answer == nil {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"kind":"internal","detail":"the script has no %s %s"}`, r.Method, r.URL.RequestURI())
		return
	}
	file := answer[1]
	content, err := os.ReadFile(filepath.Join(f.dir, file))
	if err != nil {
		panic(err)
	}
	switch {
	case answer[0] == "console":
		serveConsole(w, r, content)
	case strings.HasSuffix(file, ".sse"):
		f.serveEvents(w, r, content, answer[2:])
	default:
		status, _ := strconv.Atoi(answer[0])
		w.WriteHeader(status)
		_, _ = w.Write(content)
	}
}

// take notes a request and returns the script's answer.
func (f *fake) take(r *http.Request, body []byte) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	request := r.Method + " " + r.URL.RequestURI()
	f.asked = append(f.asked, request)
	f.changed.Broadcast()
	if r.Method != http.MethodGet {
		fmt.Fprintf(&f.bodies, "%s %s\n", request, body)
	}
	answers := f.routes[request]
	switch len(answers) {
	case 0:
		return nil
	case 1:
		return answers[0]
	}
	f.routes[request] = answers[1:]
	return answers[0]
}

// serveEvents sends events and stays until the client leaves.
func (f *fake) serveEvents(w http.ResponseWriter, r *http.Request, content []byte, then []string) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = w.Write(content)
	_ = http.NewResponseController(w).Flush()
	if len(then) > 0 && then[0] == "close" {
		return
	}
	for len(then) >= 4 && f.await(r.Context(), then[1]+" "+then[2], 1) {
		content, err := os.ReadFile(filepath.Join(f.dir, then[3]))
		if err != nil {
			panic(err)
		}
		_, _ = w.Write(content)
		_ = http.NewResponseController(w).Flush()
		then = then[4:]
	}
	<-r.Context().Done()
}

// serveConsole is a serial line.
func serveConsole(w http.ResponseWriter, r *http.Request, banner []byte) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	_ = conn.Write(r.Context(), websocket.MessageBinary, banner)
	for {
		kind, data, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		text := fmt.Sprintf("[%s]", strings.ReplaceAll(string(data), "\r", "<CR>"))
		if kind == websocket.MessageText {
			text = "size " + string(data) + "\r\n"
		}
		if bytes.Contains(data, []byte("bye")) {
			_ = conn.Write(r.Context(), websocket.MessageBinary, []byte("good"))
			_ = conn.Write(r.Context(), websocket.MessageBinary, []byte("bye\n"))
			conn.Close(websocket.StatusNormalClosure, "the machine ended")
			return
		}
		_ = conn.Write(r.Context(), websocket.MessageBinary, []byte(text))
	}
}
