package stories

import (
	"net/http"
	"net/http/httptest"

	"github.com/rogpeppe/go-internal/testscript"
)

// served serves a directory over HTTP, on the loopback interface, until the story ends, and puts
// its URL into a variable.
func served(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "served VARIABLE DIR")
	server := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[1]))))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}
