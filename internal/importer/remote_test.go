package importer_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/importer"
)

// server serves a disk, and sends on to it and to elsewhere.
func server(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/d.img", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(content)) })
	mux.HandleFunc("/d.img.gz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(zipped(t, content))) })
	mux.Handle("/once", http.RedirectHandler("/d.img", http.StatusFound))
	mux.Handle("/circle", http.RedirectHandler("/circle", http.StatusFound))
	mux.Handle("/file", http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for block := make([]byte, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func TestDisksElsewhereAreFetchedWhenAskedFor(t *testing.T) {
	base := server(t)
	for name, c := range map[string]struct {
		href     string
		manifest string // of the disk's content
		want     string // of the error; empty for none
	}{
		"a disk":            {base + `/d.img`, content, ""},
		"a compressed one":  {base + `/d.img.gz" ovf:compression="gzip`, "", ""},
		"sent on":           {base + `/once`, "", ""},
		"another digest":    {base + `/d.img`, "something else", "d.img"},
		"in a circle":       {base + `/circle`, "", "sent on more than 5 times"},
		"to a file":         {base + `/file`, "", "which is not as safe"},
		"endless":           {base + `/endless`, "", "there is more of it than"},
		"not there":         {base + `/gone`, "", "404"},
		"another scheme":    {`ftp://localhost/d.img`, "", "only http and https"},
		"in parts":          {base + `/d.img" ovf:chunkSize="100`, "", "in parts"},
		"nobody is at home": {"http://127.0.0.1:1/d.img", "", "refused"},
		"no host":           {"http:///d.img", "", "only http and https"},
	} {
		t.Run(name, func(t *testing.T) {
			d := descriptor(`ovf:href="`+c.href+`"`, len(content))
			files := []string{"a.ovf", d}
			if c.manifest != "" {
				files = append(files, "a.mf", digest("a.ovf", d)+digest(c.href, c.manifest))
			}
			for kind, path := range map[string]string{
				"a folder": filepath.Join(folder(t, files...), "a.ovf"), "an archive": filepath.Join(folder(t, "a.ova", archive(t, files...)), "a.ova"),
			} {
				err := fetched(t, path)
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("%s: got %v, want %q", kind, err, c.want)
				}
			}
		})
	}
}

// fetched reads the disk of a source and compares it, and verifies the source.
func fetched(t *testing.T, path string) error {
	t.Helper()
	s, err := importer.Open(path, appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := s.Appliance.Machines[0].Disks[0]
	if _, err := s.Image(context.Background(), d, t.TempDir()); err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("without being asked for it is fetched: %v", err)
	}
	s.AllowRemote()
	img, err := s.Image(context.Background(), d, t.TempDir())
	if err != nil {
		return err
	}
	defer img.Close()
	got := make([]byte, img.Size())
	if _, err := img.ReadAt(got, 0); err != nil || string(got) != content {
		t.Errorf("the disk holds %.40q…, %v", got, err)
	}
	_, err = s.Verify(context.Background(), importer.Trust{})
	return err
}
