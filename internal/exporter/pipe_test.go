package exporter_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/importer"
)

// TestAPipeTakesEveryFormat writes what can be written in one pass into what
// cannot be sought in: the length of each disk is known before it comes.
func TestAPipeTakesEveryFormat(t *testing.T) {
	m, content := machine(t, "web")
	for _, format := range append(formats.Streamed(), "") {
		for _, compress := range []bool{false, true} {
			o := options("web")
			o.Format, o.Compress = format, compress
			var out pipe
			if err := exporter.ToPipe(context.Background(), &out, []exporter.Machine{m}, o); err != nil {
				t.Errorf("%s, compressed %t: %v", format, compress, err)
				continue
			}
			if out.Len()%512 != 0 {
				t.Errorf("%s, compressed %t: %d bytes", format, compress, out.Len())
			}
			path := filepath.Join(t.TempDir(), "web.ova")
			if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			holds(t, path, 0, content, importer.Trust{})
		}
	}
}
