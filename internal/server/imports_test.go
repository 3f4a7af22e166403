package server

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
)

// sendAlong posts a request with content, in the two parts that it has.
func sendAlong(t *testing.T, at, request string, content io.Reader) (*http.Response, error) {
	t.Helper()
	var head bytes.Buffer
	form := multipart.NewWriter(&head)
	if err := form.WriteField(partRequest, request); err != nil {
		t.Fatal(err)
	}
	if _, err := form.CreateFormFile(partContent, "content"); err != nil {
		t.Fatal(err)
	}
	tail := strings.NewReader("\r\n--" + form.Boundary() + "--\r\n")
	return http.Post(at, form.FormDataContentType(), io.MultiReader(&head, content, tail))
}

func TestContentFlowsThrough(t *testing.T) {
	fake := &fakeServices{}
	at := httptest.NewServer(New(fake.services(), Options{}))
	defer at.Close()
	r, err := sendAlong(t, at.URL+api.ImportStream.Path, `{"source":"-"}`, io.LimitReader(zeros{}, 20<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body := text(t, r); r.StatusCode != http.StatusOK || !strings.Contains(body, `"task"`) {
		t.Errorf("status %d: %s", r.StatusCode, body)
	}
	if got := fake.called(); got != "import-stream - 20971520" {
		t.Errorf("called %q", got)
	}
}

// zeros never end.
type zeros struct{}

// Read gives zeros.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestNoMoreIsReadThanNeeded: the answer comes while content still does.
func TestNoMoreIsReadThanNeeded(t *testing.T) {
	fake := &fakeServices{}
	at := httptest.NewServer(New(fake.services(), Options{}))
	defer at.Close()
	r, err := sendAlong(t, at.URL+api.PlanImportStream.Path, `{"source":"-"}`, zeros{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("status %d: %s", r.StatusCode, text(t, r))
	}
	if got := fake.called(); got != "plan-import-stream - \x00\x00\x00\x00" {
		t.Errorf("called %q", got)
	}
}

// breaking ends with an error.
type breaking struct{}

// Read fails.
func (breaking) Read([]byte) (int, error) { return 0, errors.New("the pipe broke") }

func TestContentThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	fake := &fakeServices{}
	at := httptest.NewServer(New(fake.services(), Options{}))
	defer at.Close()
	_, err := sendAlong(t, at.URL+api.ImportStream.Path, `{"source":"-"}`, io.MultiReader(strings.NewReader("half"), breaking{}))
	if err == nil {
		t.Error("half of it was sent, and answered")
	}
	if got := fake.called(); got != "" {
		t.Errorf("called %q", got)
	}
}

func TestWhatIsNotInTwoPartsIsRefused(t *testing.T) {
	h := New((&fakeServices{}).services(), Options{})
	for name, c := range map[string]struct{ kind, body string }{
		"JSON":            {"application/json", `{}`},
		"no boundary":     {"multipart/form-data", "x"},
		"nothing":         {"multipart/form-data; boundary=b", ""},
		"another part":    {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n{}\r\n--b--\r\n"},
		"no content":      {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{}\r\n--b--\r\n"},
		"no JSON in that": {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{\r\n--b--\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest("POST", api.ImportStream.Path, strings.NewReader(c.body))
			request.Header.Set("Content-Type", c.kind)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, request)
			if p := problemOf(t, w.Result()); p.Kind != api.KindInvalid {
				t.Errorf("%+v", p)
			}
		})
	}
}
