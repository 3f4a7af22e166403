package importer_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/importer"
)

// TestAFileThatWasCutOffIsRefused, unless a manifest says that it is whole.
func TestAFileThatWasCutOffIsRefused(t *testing.T) {
	sized := func(more int) string {
		return descriptor(fmt.Sprintf(`ovf:href="d.img" ovf:size="%d"`, len(content)+more), len(content))
	}
	for name, c := range map[string]struct {
		more     int
		manifest string // the files that it mentions besides the descriptor; "none" if there is none
		refused  string
	}{
		"as said":                 {0, "none", ""},
		"shorter":                 {512, "none", "d.img has 65536 bytes, and the description says 66048"},
		"shorter, and the digest": {512, "d.img", ""},
		"shorter, without one":    {512, "", "d.img has 65536 bytes, and the description says 66048"},
		"longer":                  {-512, "none", ""},
	} {
		t.Run(name, func(t *testing.T) {
			pairs := []string{"a.ovf", sized(c.more)}
			switch c.manifest {
			case "d.img":
				pairs = append(pairs, "a.mf", digest("a.ovf", sized(c.more))+digest("d.img", content))
			case "":
				pairs = append(pairs, "a.mf", digest("a.ovf", sized(c.more)))
			}
			pairs = append(pairs, "d.img", content)
			packed := archive(t, pairs...)
			for _, path := range []string{filepath.Join(folder(t, pairs...), "a.ovf"), filepath.Join(folder(t, "a.ova", packed), "a.ova")} {
				s, err := importer.Open(path, appliance.Choices{})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				_, err = s.Verify(context.Background(), importer.Trust{})
				judged(t, err, c.refused)
			}
			_, err := received(t, strings.NewReader(packed), importer.ReceiveOptions{})
			judged(t, err, c.refused)
		})
	}
}

func judged(t *testing.T, err error, refused string) {
	t.Helper()
	if (err == nil) != (refused == "") || err != nil && !strings.Contains(err.Error(), refused) {
		t.Errorf("got %v, want it to say %q", err, refused)
	}
}
