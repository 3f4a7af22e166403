package importer

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/ovf"
)

// AllowRemote lets content be fetched that a description says lies elsewhere,
// over HTTP or HTTPS.
func (s *Source) AllowRemote() { s.remote = true }

// checkRemote refuses content that lies elsewhere and is not to be fetched, or cannot be.
func (s *Source) checkRemote(d appliance.Disk) error {
	const help = "fetch it yourself, put it beside the description, and name it there"
	if !s.remote {
		return problem.New(api.KindRefused, help+"; or let it be fetched with --remote",
			"import %s: its disk lies elsewhere, at %s", s.path, d.File)
	}
	u, err := url.Parse(d.File)
	switch {
	case err != nil || u.Host == "" || !isWeb(u):
		return problem.New(api.KindUnsupported, help, "import %s: only http and https are fetched, and its disk lies at %s", s.path, d.File)
	case d.Parts != 0:
		return problem.New(api.KindUnsupported, help, "import %s: its disk lies elsewhere, and in parts, at %s", s.path, d.File)
	}
	return nil
}

func isWeb(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

// maxRedirects bounds how often a server may send one on.
const maxRedirects = 5

// answerWithin is how long a server may take to begin its answer.
const answerWithin = 30 * time.Second

// fetch begins to fetch what lies elsewhere. What was read of it is known by its
// digests when it is closed at its end.
func (s *Source) fetch(ctx context.Context, d appliance.Disk) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.File, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept-Encoding", "identity")
	answer, err := webClient().Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("the server answers %s", answer.Status), answer.Body.Close())
	}
	f := &fetching{source: s, name: d.File, body: answer.Body, sums: map[ovf.Algorithm]hash.Hash{}}
	for _, algorithm := range ovf.Algorithms() {
		f.sums[algorithm] = algorithm.New()
	}
	return f, nil
}

// webClient follows a server that sends one on to the same scheme or a safer one.
func webClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: answerWithin, DisableKeepAlives: true},
		CheckRedirect: func(request *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("it is sent on more than %d times", maxRedirects)
			}
			if from := via[len(via)-1].URL; !isWeb(request.URL) || from.Scheme == "https" && request.URL.Scheme != "https" {
				return fmt.Errorf("%s sends on to %s, which is not as safe", from.Redacted(), request.URL.Redacted())
			}
			return nil
		},
	}
}

// fetching reads what a server sends, and computes its digests.
type fetching struct {
	source *Source
	name   string
	body   io.ReadCloser
	sums   map[ovf.Algorithm]hash.Hash
}

// Read reads on. At the end, the source knows the digests.
func (f *fetching) Read(p []byte) (int, error) {
	n, err := f.body.Read(p)
	for _, sum := range f.sums {
		_, _ = sum.Write(p[:n]) // never fails
	}
	if errors.Is(err, io.EOF) {
		known := map[ovf.Algorithm][]byte{}
		for algorithm, sum := range f.sums {
			known[algorithm] = sum.Sum(nil)
		}
		if f.source.fetched == nil {
			f.source.fetched = map[string]map[ovf.Algorithm][]byte{}
		}
		f.source.fetched[f.name] = known
	}
	return n, err
}

// Close ends the transfer.
func (f *fetching) Close() error { return f.body.Close() }

// Fetches tells whether content lies elsewhere and is fetched: only when it has
// been can it be compared with the manifest, by Verify.
func (s *Source) Fetches() bool {
	if !s.remote || s.Appliance == nil {
		return false
	}
	for _, m := range s.Appliance.Machines {
		if slices.ContainsFunc(m.Disks, func(d appliance.Disk) bool { return d.Remote }) {
			return true
		}
	}
	return false
}

// elsewhere judges the digest of a file that is in no archive.
func (s *Source) elsewhere(d ovf.Digest) (bool, error) {
	remote := s.remoteOf(d.File)
	if remote == "" {
		return false, nil
	}
	return true, s.verifyRemote(remote, d)
}

// remoteOf is the content elsewhere that a manifest's file is: by its URL, or the
// last part of it; empty if it is none.
func (s *Source) remoteOf(file string) string {
	for _, m := range s.Appliance.Machines {
		for _, d := range m.Disks {
			if !d.Remote {
				continue
			}
			u, err := url.Parse(d.File)
			if strings.EqualFold(d.File, file) || strings.EqualFold(path.Clean(d.File), path.Clean(file)) || err == nil && path.Base(u.Path) == file {
				return d.File
			}
		}
	}
	return ""
}

// verifyRemote compares what was fetched with the manifest. What was not
// fetched, because nothing is imported yet, is compared when it is.
func (s *Source) verifyRemote(name string, want ovf.Digest) error {
	sums, fetched := s.fetched[name]
	if !fetched {
		return nil
	}
	return want.Verify(sums[want.Algorithm])
}
