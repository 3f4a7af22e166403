package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/service"
)

// send gives a request to a handler.
func send(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestPathsAndMethodsThatAreNot(t *testing.T) {
	fake := &fakeServices{}
	h := New(fake.services(), Options{})
	for _, test := range []struct {
		method, target string
		status         int
		allow          string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/v1/", 404, ""},
		{"GET", "/v2/machines", 404, ""},
		{"GET", "/v1/machines/", 404, ""},
		{"GET", "/v1//machines", 404, ""},
		{"GET", "/v1/machines//start", 404, ""},
		{"GET", "/v1/machines/a/b/c", 404, ""},
		{"GET", "/../etc/passwd", 404, ""},
		{"CONNECT", "/v1", 405, "GET, HEAD"},
		{"DELETE", "/v1/machines/web", 405, "GET, HEAD, PATCH, PUT"},
		{"POST", "/v1/machines/web", 405, "GET, HEAD, PATCH, PUT"},
		{"GET", "/v1/machines/web/start", 405, "POST"},
		{"GET", "/v1/machines:register", 405, "POST"},
		{"OPTIONS", "/v1/machines", 405, "GET, HEAD, POST"},
	} {
		r := do(h, test.method, test.target, "")
		p := problemOf(t, r)
		if r.StatusCode != test.status || p.Kind != api.KindNotFound || r.Header.Get("Allow") != test.allow {
			t.Errorf("%s %s: status %d, kind %s, allowed %q", test.method, test.target, r.StatusCode, p.Kind, r.Header.Get("Allow"))
		}
		if calls := fake.called(); calls != "" {
			t.Errorf("%s %s called %s", test.method, test.target, calls)
		}
	}
}

func TestOddReferencesAreReferences(t *testing.T) {
	fake := &fakeServices{}
	h := New(fake.services(), Options{})
	long := strings.Repeat("x", 50_000)
	for _, ref := range []string{"..", ".", "...", "a/b", "../../etc/passwd", "a//b", "\x00", "\xff", "é ö", " ", "%2F", "{ref}", "?", "#", "a:b", "~", long} {
		escaped := url.PathEscape(ref)
		for suffix, call := range map[string]string{"": "get ", "/log": "log "} {
			r := do(h, "GET", "/v1/machines/"+escaped+suffix, "")
			if r.StatusCode != http.StatusOK {
				t.Errorf("%.20q%s: status %d: %s", ref, suffix, r.StatusCode, text(t, r))
			}
			if got := fake.called(); !strings.HasPrefix(got, call+ref) {
				t.Errorf("%.20q%s: called %.60q", ref, suffix, got)
			}
		}
	}
}

func TestLargeBodies(t *testing.T) {
	fake := &fakeServices{}
	h := New(fake.services(), Options{})
	body := func(size int) string {
		const frame = `{"name":""}`
		return `{"name":"` + strings.Repeat("x", size-len(frame)) + `"}`
	}
	if r := do(h, "POST", "/v1/machines/web/rename", body(maxBody)); r.StatusCode != http.StatusOK {
		t.Errorf("a body of the largest size: status %d: %s", r.StatusCode, text(t, r))
	}
	fake.called()
	for _, target := range []string{"/v1/machines/web/rename", "/v1/machines/web/start"} {
		if p := problemOf(t, do(h, "POST", target, body(maxBody+1))); p.Kind != api.KindTooLarge || fake.called() != "" {
			t.Errorf("%s: kind %s", target, p.Kind)
		}
	}
}

func TestBrokenBody(t *testing.T) {
	r := httptest.NewRequest("POST", "/v1/machines", io.MultiReader(strings.NewReader("{"), &failingReader{}))
	if p := problemOf(t, send(New((&fakeServices{}).services(), Options{}), r)); p.Kind != api.KindInvalid {
		t.Errorf("kind %s", p.Kind)
	}
}

type failingReader struct{}

func (*failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestPanicsAreAnsweredAndLogged(t *testing.T) {
	var log bytes.Buffer
	fake := &fakeServices{panic: "the roof is on fire"}
	h := New(fake.services(), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, op := range operations {
		if op.op == api.ReadEvents {
			continue // Info panics there like anywhere
		}
		log.Reset()
		p := problemOf(t, do(h, op.op.Method, op.target, op.body))
		if p.Kind != api.KindInternal || strings.Contains(p.Detail, "roof") {
			t.Errorf("%s: %s: %s", op.target, p.Kind, p.Detail)
		}
		if !strings.Contains(log.String(), "roof is on fire") || !strings.Contains(log.String(), "fake_test.go") {
			t.Errorf("%s: the log lacks the panic or its stack:\n%s", op.target, log.String())
		}
	}
}

func TestPanicOfTheEvents(t *testing.T) {
	fake := &fakeServices{events: func(context.Context, int64) iter.Seq2[service.Delivery, error] {
		return func(func(service.Delivery, error) bool) { panic("the roof is on fire") }
	}}
	body := text(t, do(New(fake.services(), Options{}), "GET", "/v1/events", ""))
	if !strings.Contains(body, "event: error\ndata: ") || !strings.Contains(body, `"kind":"internal"`) || strings.Contains(body, "roof") {
		t.Errorf("the stream:\n%s", body)
	}
}

func TestDefectsAreLogged(t *testing.T) {
	var log bytes.Buffer
	h := New((&fakeServices{err: errOdd}).services(), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	problemOf(t, do(h, "GET", "/v1/machines/web", ""))
	if !strings.Contains(log.String(), "operation=get-machine error=\"something odd\"") {
		t.Errorf("the log: %s", log.String())
	}
}

func FuzzHandler(f *testing.F) {
	for _, op := range operations {
		f.Add(op.op.Method, op.target, op.body, "", "")
	}
	f.Add("GET", "/v1/machines/web/console?scrollback=1", "", "Upgrade", "websocket")
	f.Add("GET", "/v1/machines/../../x", "", "Accept", "text/html;q=0.1,*/*")
	f.Add("PATCH", "/v1/machines/%2e%2e%2f%00", `{"set":[1,null,{}],"set":"x"}`, "Content-Type", "application/x+json;a")
	f.Add("PUT", "/v1/machines/é", `{"revision":1e99,"spec":{"memory":{"size":null},"tpm":null,"labels":{"":""}}}`, "Last-Event-ID", "-1")
	fake := &fakeServices{}
	h := New(fake.services(), Options{})
	f.Fuzz(func(t *testing.T, method, target, body, name, value string) {
		where, err := url.ParseRequestURI(target)
		if err != nil {
			return // net/http refuses it before the handler is asked
		}
		r := &http.Request{
			Method: method, URL: where, Host: "localhost", Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}
		r.Header.Set(name, value)
		answer := send(h, r)
		fake.called()
		switch {
		case answer.StatusCode >= 500:
			t.Errorf("status %d: %s", answer.StatusCode, text(t, answer))
		case answer.StatusCode >= 400:
			problemOf(t, answer)
		case answer.StatusCode >= 300:
			t.Errorf("status %d to %s", answer.StatusCode, answer.Header.Get("Location"))
		case answer.Header.Get("Content-Type") == "application/json" && !json.Valid([]byte(text(t, answer))):
			t.Error("the answer is not JSON")
		}
	})
}
